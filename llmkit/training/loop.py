"""The one training loop: budget, schedule, validation, best weights, early stopping, checkpoints, resume.

It knows no task. A task hands it a `Learner`; the loop owns *when*, the learner's `step` owns *what*. The settings
and the checkpoint decide every step, so a run that was interrupted and goes on ends bit for bit where an
uninterrupted one ends (budgets in steps or epochs; one in minutes counts the minutes already spent).

Several processes (`distributed.Processes`) go through it side by side and take every decision alike: what they cannot
know alike, the time and a request to stop, they agree on after each step. Process 0 alone writes.
"""

import math
import shutil
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

from llmkit.config.training import Training
from llmkit.console.callbacks import Report, Warn
from llmkit.errors import Diverged, Interrupted
from llmkit.store import artifacts
from llmkit.training import checkpoint, interruption, metrics_file
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.interruption import Stop
from llmkit.training.learner import FUTILE, Learner

VALIDATION_SHARE = 0.05  # of the time that training takes, where `validation_steps` does not say otherwise
RESERVE = 1.15  # times the last validation's seconds, kept of a budget in minutes for the validation at its end
WARMUP_SHARE = 0.1  # of the budget, at most: a short trial must not spend its time on warming up
# Without a better validation, for a training to end where `patience` is left open. Ten validations alone are a
# twentieth of a budget of 15 minutes, and the loss may stand still for that long in the middle of the schedule.
PATIENCE, PATIENCE_SHARE = 10, 0.25  # validations, and share of the budget
SAVING_SHARE = 0.1  # of the time, at most, goes into checkpoints that the clock asks for
LOG_SECONDS = 0.5  # between progress reports
SAMPLES = "samples"  # folder of what the model makes at each validation
SMOOTHING = 0.98  # of the running training loss that is reported
# Steps that a GPU is given before the loss of the first of them is read: to read it is to wait for the device, which
# then has nothing to do while the next step is put together.
AHEAD = 16


GiveUp = Callable[[float, float], None]
"""(share of the budget spent, val_loss): may raise, to give a training up, as a search does with a poor trial."""


@dataclass
class Progress:
    """Where a run is: stored in each checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int = 0
    best_spent: float = 0.0
    """Share of the budget that was spent then."""
    validations_since_best: int = 0
    validated_step: int = -1
    validation_seconds: float = 0.0
    """That the last validation took: a budget in minutes keeps them for the one at its end."""
    ended: bool = False
    """Training has come to its end; only the model folder may be missing."""
    smooth_loss: float | None = None
    futile: bool = False
    """The learner says that going on adds nothing."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `weights` are the best ones, on the CPU."""

    step: int
    seconds: float
    count: int
    val_loss: float
    best_step: int
    stopped_early: bool
    weights: dict[str, Tensor]


def run(
    learner: Learner,
    settings: Training,
    folder: Path,
    fingerprint: Mapping[str, object],
    report: Report,
    warn: Warn,
    give_up: GiveUp | None = None,
    processes: Processes = ALONE,
) -> Outcome:
    """Train until the budget is spent or patience ends; goes on from the newest sound checkpoint in `folder`.

    `fingerprint` is what must be the same for a checkpoint to be continued (settings, data, versions). `report` gets
    events for the display; `give_up` is asked at each validation. Raises InputError
    when checkpoints belong to other settings, Diverged when the loss is no number and Interrupted, after a
    checkpoint, on Ctrl-C or SIGTERM (to any of the `processes`).
    """
    if processes.leads:
        artifacts.make_folder(folder)
    interval = validation_interval(settings, learner)
    with interruption.watch() as stop:
        going = _Run(learner, settings, folder, fingerprint, report, processes, stop)
        going.resume(warn)
        while not going.progress.ended and (spent := going.spent()) < 1 and not going.out_of_patience():
            if going.stopping:
                going.save()
                raise Interrupted(f"interrupted at step {going.progress.step}; the same command goes on from there")
            going.step(learning_rate(settings, going.progress.step, spent), spent)
            if going.progress.step % interval == 0:
                going.validate(give_up)
            if going.checkpoint_is_due():
                going.save()
        if going.progress.validated_step != going.progress.step:
            going.validate(give_up)
        if not going.progress.ended:  # so that a crash while the model folder is written costs nothing
            going.progress.ended = True
            going.save()
    return going.outcome()


class _Run:
    """A training under way: where it is, its best weights, its clock."""

    def __init__(
        self,
        learner: Learner,
        settings: Training,
        folder: Path,
        fingerprint: Mapping[str, object],
        report: Report,
        processes: Processes,
        stop: Stop,
    ):
        self.learner, self.settings, self.folder = learner, settings, folder
        self.fingerprint, self.report = fingerprint, report
        self.processes, self.stop = processes, stop
        self.progress, self.best = Progress(), dict[str, Tensor]()
        self.metrics = folder / metrics_file.NAME
        self.saving_seconds = 0.0  # that the last checkpoint took
        self.clock = _Clock(0.0)
        self.now, self.stopping = 0.0, False  # as `agree` found them
        self.saved_at, self.reported_at = 0.0, 0.0  # seconds on the clock
        self.unread = deque[Tensor | None]()  # losses of the last steps
        self.ahead = steps_ahead(learner, processes)

    def resume(self, warn: Warn) -> None:
        """Go on from the newest sound checkpoint, if there is one."""
        found = checkpoint.newest(self.folder, self.fingerprint, warn, self.processes)
        if found:
            self.progress = Progress(**found.plain["progress"])
            self.best = checkpoint.restore(found, self.learner, self.processes)
            self.report({"event": "resumed", "step": self.progress.step, "seconds": self.progress.seconds})
        if self.processes.leads:
            metrics_file.restore(self.metrics, found.files if found else None)
            if not found:
                shutil.rmtree(self.folder / SAMPLES, ignore_errors=True)
        self.clock = _Clock(self.progress.seconds)
        self.agree()
        self.saved_at = self.now

    def agree(self, loss: float = 0.0) -> float:
        """Look at the clock and for a request to stop, after each piece of work; returns the mean of all losses.

        Every decision follows from `now` and `stopping`, which are the same in all processes: the clock of process 0,
        and whether any of them was asked to stop.
        """
        seconds = self.clock.seconds if self.processes.leads else 0.0
        self.now, stops, loss = self.processes.sum(seconds, self.stop.requested, loss / self.processes.count)
        self.stopping = stops > 0
        return loss

    def spent(self) -> float:
        """Share of the budget that is spent; one in minutes keeps time for the validation at its end."""
        kind, amount = self.settings.budget
        if kind == "steps":
            return self.progress.step / amount
        if kind == "epochs":
            return self.learner.epochs / amount
        kept = self.progress.validation_seconds or self._expected_validation_seconds()
        return self.now / max(60 * amount - RESERVE * kept, 1e-3)

    def _expected_validation_seconds(self) -> float:
        """Before the first one: a pass without gradients costs a third of one with. At most a tenth of the budget, for
        the first step may take far longer than those that follow."""
        expected = self.learner.validation_count / 3 * self.now / max(self.learner.count, 1)
        return min(expected, 0.1 * 60 * self.settings.budget[1])

    def out_of_patience(self) -> bool:
        """Whether `patience` validations in a row were no better than the best, or the training is futile."""
        if self.progress.futile:
            return True
        if self.settings.patience is not None:
            return 0 < self.settings.patience <= self.progress.validations_since_best
        waited = self.spent() - self.progress.best_spent >= PATIENCE_SHARE
        return waited and self.progress.validations_since_best >= PATIENCE

    def checkpoint_is_due(self) -> bool:
        """By steps where `checkpoint_steps` is set, and by the clock; not so often that saving eats up the time."""
        every = self.settings.checkpoint_steps
        wait = max(60 * self.settings.checkpoint_minutes, self.saving_seconds / SAVING_SHARE)
        late = self.now - self.saved_at >= wait
        return late or (every is not None and self.progress.step % every == 0)

    def step(self, rate: float, spent: float) -> None:
        """One update, and a report now and then. Raises Diverged."""
        progress = self.progress
        self.unread.append(self.learner.step(rate, spent))
        progress.step += 1
        if len(self.unread) > self.ahead:
            self.read_loss()
        else:
            self.agree()
        if self.now - self.reported_at >= LOG_SECONDS:
            self.reported_at = self.now
            figures = {"step": progress.step, "loss": progress.smooth_loss, "learning_rate": rate, "spent": spent}
            self.report({"event": "step", **figures, "seconds": self.now, self.learner.unit: self.learner.count})

    def read_loss(self) -> None:
        """Read the loss of the earliest step that waits for it. Raises Diverged, which names that step."""
        progress = self.progress
        step = progress.step - len(self.unread) + 1
        told = self.unread.popleft()
        loss = self.agree(0.0 if told is None else told.item())
        if not math.isfinite(loss):
            raise Diverged(_diverged(step, loss, self.settings))
        if told is not None:
            smooth = progress.smooth_loss
            progress.smooth_loss = loss if smooth is None else SMOOTHING * smooth + (1 - SMOOTHING) * loss

    def read_losses(self) -> None:
        """Read those of all steps: before anything is kept of the weights that they led to."""
        while self.unread:
            self.read_loss()

    def validate(self, give_up: GiveUp | None) -> None:
        """Measure the weights on the validation split and keep them if they are the best so far (or `keep: last`)."""
        self.read_losses()
        progress = self.progress
        start = self.now
        figures = self.learner.validate()
        progress.futile = bool(figures.pop(FUTILE, 0.0))
        self.agree()
        progress.validation_seconds = self.now - start
        loss = figures["val_loss"]
        if not math.isfinite(loss):
            raise Diverged(_diverged(progress.step, loss, self.settings))
        progress.validated_step = progress.step
        progress.validations_since_best += 1
        if self.settings.keep == "last" or progress.best_loss is None or loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.validations_since_best = loss, progress.step, 0
            progress.best_spent = self.spent()
            weights = self.learner.weights().items()
            self.best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in weights}
        record: dict[str, float | None] = {"step": progress.step, self.learner.unit: self.learner.count}
        record |= {"seconds": round(self.now, 3), "train_loss": progress.smooth_loss, **figures}
        if self.processes.leads:
            metrics_file.append(self.metrics, record)
            self.write_samples()
        self.report({"event": "validated", "best": progress.best_step == progress.step, **record})
        if give_up:
            give_up(self.spent(), loss)

    def write_samples(self) -> None:
        """Write what the model makes for people to look at: a file of `samples` each."""
        for name, data in self.learner.samples().items():
            artifacts.make_folder(self.folder / SAMPLES)
            artifacts.write_bytes(self.folder / SAMPLES / name, data)

    def save(self) -> None:
        """Write a checkpoint; no process goes on before it is written."""
        self.read_losses()
        self.progress.seconds = start = self.now
        keep, progress = self.settings.keep_checkpoints, asdict(self.progress)
        checkpoint.write(self.folder, progress, self.learner, self.best, self.fingerprint, keep, self.processes)
        self.agree()
        self.saved_at = self.now
        self.saving_seconds = self.saved_at - start

    def outcome(self) -> Outcome:
        """How the run ended."""
        progress = self.progress
        assert progress.best_loss is not None  # validated at the end
        return Outcome(
            step=progress.step,
            seconds=self.now,
            count=self.learner.count,
            val_loss=progress.best_loss,
            best_step=progress.best_step,
            stopped_early=self.spent() < 1 and self.out_of_patience(),
            weights=self.best,
        )


def steps_ahead(learner: Learner, processes: Processes) -> int:
    """How many steps' losses may wait to be read: none on a CPU, and of several processes, which agree on each."""
    return AHEAD if learner.hardware.device.type == "cuda" and processes.count == 1 else 0


def learning_rate(settings: Training, step: int, spent: float) -> float:
    """Linear warm-up over `warmup_steps` or, if that is shorter, a tenth of the budget; a half cosine over the budget.

    `spent` is the share of the budget that is spent, from 0 to 1.
    """
    low = settings.final_learning_rate
    scale = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0)))
    warm = max((step + 1) / max(settings.warmup_steps, 1), spent / WARMUP_SHARE)
    return settings.learning_rate * scale * min(1.0, warm)


def validation_interval(settings: Training, learner: Learner) -> int:
    """Steps between validations: as set, or from counts (never a timing): a pass without gradients costs a third."""
    if settings.validation_steps:
        return settings.validation_steps
    return max(10, math.ceil(learner.validation_count / (3 * VALIDATION_SHARE) / learner.step_count))


def _diverged(step: int, loss: float, settings: Training) -> str:
    return (
        f"training diverged: the loss of step {step} is {loss}; lower train.learning_rate "
        f"(now {settings.learning_rate:g}), train.gradient_clip (now {settings.gradient_clip:g}) or train.weight_decay "
        f"(now {settings.weight_decay:g}), then start again with --fresh"
    )


class _Clock:
    """Seconds of training, those before an interruption included."""

    def __init__(self, already: float):
        self.start = time.monotonic() - already

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start
