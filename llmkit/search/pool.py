"""Runs the trials of a search: in this process where `tune.workers` is 1, else in so many worker processes.

Workers (`worker.py`) talk with this process alone, over pipes. Terminal signals do not reach them; they stop when told
to, and are gone when this process is.
"""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from llmkit import errors
from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.errors import Interrupted
from llmkit.plain import Json
from llmkit.runtime.processors import usable_processors
from llmkit.search.study import Running, Search
from llmkit.search.worker import Message, TrialEvent, run_trial
from llmkit.store import artifacts
from llmkit.tasks.experiment import Experiment

POLL_SECONDS = 0.2  # how soon Ctrl-C is noticed
STOP_SECONDS = 30.0  # for a worker to write its checkpoint and end

# The path of this process: the worker imports the same llmkit, whatever lies in the working directory.
_CODE = "import sys; sys.path[:] = {path!r}; from llmkit.search import worker; worker.main()"


def run(search: Search, experiment: Experiment, prepared: artifacts.Artifact, device: str, ui: Console) -> None:
    """Run trials until the search begins no more. Raises Interrupted and what a trial raises."""
    try:
        with artifacts.writing(search.folder):
            if experiment.settings.tune.workers == 1:
                _run_here(search, prepared, device, ui)
            else:
                _run_in_workers(search, experiment, prepared, device, ui)
    finally:
        ui.close()


def _run_here(search: Search, prepared: artifacts.Artifact, device: str, ui: Console) -> None:
    while running := search.begin():

        def report(event: TrialEvent, running: Running = running) -> None:
            _show(search, running, event, ui)

        def look(point: int, loss: float, running: Running = running) -> bool:
            return search.look(running, point, loss)

        place = search.trial_folder(running)
        search.end(running, run_trial(search.trial_experiment(running), prepared, place, device, report, look))


def _show(search: Search, running: Running, event: TrialEvent, ui: Console) -> None:
    if event["event"] == "step":
        search.progress(running, event["spent"], event["loss"])
    elif event["event"] == "warn":
        ui.warn(f"trial {running.number}: {event['message']}")


# --- workers ----------------------------------------------------------------------------------------------------


class _Worker:
    """A worker process and the trial it runs. Its messages come to `inbox` as (worker, message), None at its end."""

    def __init__(self, inbox: "Inbox", shared: Json):
        self.running: Running | None = None
        code = _CODE.format(path=sys.path)
        flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows: Ctrl-C is for this process
        with _signals_held():
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                creationflags=flags,
            )
        self.inbox = inbox
        threading.Thread(target=self._listen, daemon=True).start()
        self.send(shared)

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # half a message of a worker that was killed
            for line in self.process.stdout:
                self.inbox.put((self, json.loads(line)))
        self.inbox.put((self, None))

    def send(self, message: Json) -> None:
        """To a dead worker too: its end is noticed by `_listen`."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def how_it_ended(self) -> str:
        code = self.process.wait()
        if code >= 0:
            return f"ended with code {code}"
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"

    def close(self) -> None:
        """Close the pipes of a worker that has ended; what it did not read any more is dropped."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()


Inbox = queue.SimpleQueue[tuple[_Worker, Message | None]]
"""What workers send; None at the end of one."""


def _run_in_workers(
    search: Search, experiment: Experiment, prepared: artifacts.Artifact, device: str, ui: Console
) -> None:
    from llmkit.training import interruption

    count = experiment.settings.tune.workers
    threads = max(1, usable_processors() // count)
    shared = {"config_path": str(experiment.path), "prepared": str(prepared.path), "device": device, "threads": threads}
    inbox: Inbox = queue.SimpleQueue()
    workers: list[_Worker] = []
    with interruption.watch() as stop:
        try:
            while not stop.requested:
                while sum(worker.running is not None for worker in workers) < count and (running := search.begin()):
                    worker = next((worker for worker in workers if worker.running is None), None)
                    if worker is None:
                        worker = _Worker(inbox, shared)
                        workers.append(worker)
                        ui.detail(f"worker {len(workers)}: process {worker.process.pid}, threads: {threads}")
                    worker.running = running
                    config_data = to_data(search.trial_experiment(running).settings)
                    worker.send({"config": config_data, "folder": str(search.trial_folder(running))})
                if not search.running:
                    return
                with suppress(queue.Empty):
                    worker, message = inbox.get(timeout=POLL_SECONDS)
                    _answer(search, worker, message, ui)
                    if message is None:
                        workers.remove(worker)
                        worker.close()
            raise Interrupted(
                f"interrupted after {search.ended} of {search.settings.trials} trials; the same command goes on"
            )
        finally:
            _stop(workers)


def _answer(search: Search, worker: _Worker, message: Message | None, ui: Console) -> None:
    running = worker.running
    if message is None:
        how = worker.how_it_ended()
        if running:
            search.died(running, how)
        return
    assert running is not None  # a worker speaks of its trial only
    if message["event"] == "look":
        worker.send({"prune": search.look(running, message["point"], message["loss"])})
    elif message["event"] == "ended":
        search.end(running, message)
        worker.running = None
    elif message["event"] == "error":
        if message["kind"]:
            raise getattr(errors, message["kind"])(message["message"])
        error = RuntimeError(f"in trial {running.number}: {message['message']}")
        error.add_note(message["traceback"])
        raise error
    else:
        _show(search, running, message, ui)


def _stop(workers: list[_Worker]) -> None:
    """End the workers, each after a checkpoint of its trial; a second Ctrl-C ends them at once."""
    try:
        for worker in workers:
            worker.send({"stop": True})
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(STOP_SECONDS)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
            worker.close()


@contextmanager
def _signals_held() -> Iterator[None]:
    """Processes started within do not get Ctrl-C nor SIGTERM, which a terminal or `timeout` sends to a whole group."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
