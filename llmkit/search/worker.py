"""One trial, and the process that runs trials for the search: messages in on standard input, out on standard output.

In, one JSON object per line: what all trials share (`Shared`), then {"config", "folder"} of each trial, answers
{"prune": bool} and at last {"stop": true}. Out: each a `Message`.
A stop lets the trial write a checkpoint first. The end of standard input means that the search's own process died:
the worker is gone at once, whatever it is doing.
"""

import _thread
import json
import math
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

from llmkit.console.callbacks import Event
from llmkit.console.messages import Console
from llmkit.errors import Diverged, Interrupted, LlmkitError
from llmkit.plain import Json
from llmkit.search.values import LOOKS
from llmkit.store import artifacts
from llmkit.tasks import experiment as experiments
from llmkit.tasks.experiment import Experiment


class Outcome(TypedDict):
    """How a trial ended: a complete one with what it came to, another one with a message."""

    state: Literal["complete", "pruned", "diverged"]
    val_loss: NotRequired[float]
    steps: NotRequired[int]
    seconds: NotRequired[float]
    message: NotRequired[str]


class Step(TypedDict):
    """How far a trial is: the share of its budget that is spent, its running training loss."""

    event: Literal["step"]
    spent: float
    loss: float


class Warned(TypedDict):
    """What the training warned of."""

    event: Literal["warn"]
    message: str


class Look(TypedDict):
    """A validation loss at a point of the trial: the answer is whether to give it up."""

    event: Literal["look"]
    point: int
    loss: float


class Ended(Outcome):
    """The trial has come to its end."""

    event: Literal["ended"]


class Failed(TypedDict):
    """What the trial raised; `kind`: the name of an error of llmkit, None for another one."""

    event: Literal["error"]
    kind: str | None
    message: str
    traceback: str


TrialEvent = Step | Warned
Message = TrialEvent | Look | Ended | Failed
"""What a worker sends."""


class _Pruned(Exception):
    """The search gives the trial up."""


def run_trial(
    experiment: Experiment,
    prepared: artifacts.Artifact,
    folder: Path,
    device: str,
    report: Callable[[TrialEvent], None],
    look: Callable[[int, float], bool],
) -> Outcome:
    """Train a trial, checkpoints in `folder`; how it ended.

    `report` gets the loop's steps and warnings; `look(point, val_loss)`, at each LOOKS-th of the budget but the last,
    is whether to give the trial up. Raises what `fitting.fit.train_weights` raises, but Diverged.
    """
    from llmkit.fitting import fit
    from llmkit.fitting.setup import Setup

    looked = set()

    def give_up(spent: float, loss: float) -> None:
        point = int(LOOKS * spent + 1e-9)
        if 0 < point < LOOKS and point not in looked:
            looked.add(point)
            if look(point, loss):
                raise _Pruned(f"pruned at {100 * spent:.0f} % with val_loss {loss:.4f}")

    try:
        with artifacts.writing(folder):
            setup = Setup(experiment.settings, prepared, device, _Reporter(report))
            _, outcome = fit.train_weights(setup, folder, give_up)
    except _Pruned as pruned:
        return {"state": "pruned", "message": str(pruned)}
    except Diverged as error:
        return {"state": "diverged", "message": str(error).split(";")[0]}
    loss = outcome.val_loss
    if not math.isfinite(loss):
        return {"state": "diverged", "message": f"training diverged: val_loss is {loss}"}
    return {"state": "complete", "val_loss": loss, "steps": outcome.step, "seconds": outcome.seconds}


class _Reporter(Console):
    """Passes steps and warnings on; says nothing itself."""

    def __init__(self, report: Callable[[TrialEvent], None]):
        super().__init__(0)
        self.report = report

    def training(self, event: Event) -> None:
        if event["event"] == "step":
            self.report({"event": "step", "spent": event["spent"], "loss": event["loss"]})

    def warn(self, message: str) -> None:
        self.report({"event": "warn", "message": message})


# --- the process ------------------------------------------------------------------------------------------------


def main() -> None:
    """Run the trials that come in until told to stop."""
    signal.signal(signal.SIGTERM, _interrupt)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no message
    inbox: queue.SimpleQueue[Json] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()

    def send(event: Message) -> None:
        out.write(json.dumps(event) + "\n")
        out.flush()

    with suppress(KeyboardInterrupt, Interrupted, BrokenPipeError):
        try:
            _serve(inbox.get, send)
        except Interrupted:
            raise
        except Exception as error:
            kind = type(error).__name__ if isinstance(error, LlmkitError) else None
            send({"event": "error", "kind": kind, "message": str(error), "traceback": traceback.format_exc()})
    os._exit(0)  # at once: the listening thread would hold an ordinary exit up


def _serve(receive: Callable[[], Json], send: Callable[[Message], None]) -> None:
    shared = receive()
    if "stop" in shared:
        return
    import torch

    torch.set_num_threads(min(torch.get_num_threads(), shared["threads"]))
    prepared = artifacts.read(shared["prepared"], stage="prepare", verify=False)  # the search has verified it

    def look(point: int, loss: float) -> bool:
        send({"event": "look", "point": point, "loss": loss})
        return receive().get("prune", False)  # a stop is none: the loop answers it after a checkpoint

    while "stop" not in (job := receive()):
        experiment = experiments.from_data(job["config"], shared["config_path"])
        outcome = run_trial(experiment, prepared, Path(job["folder"]), shared["device"], send, look)
        send({"event": "ended", **outcome})


def _listen(inbox: "queue.SimpleQueue[Json]") -> None:
    """Pass messages on, from a thread of its own."""
    for line in sys.stdin:
        message = json.loads(line)
        inbox.put(message)
        if "stop" in message:
            _thread.interrupt_main(signal.SIGTERM)  # the training loop takes it for the signal
    os._exit(1)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
