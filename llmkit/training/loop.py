"""The one training loop: budget, schedule, validation, best weights, early stopping, checkpoints, resume.

It knows no task. A task hands it a `Learner`; the loop owns *when*, the learner's `step` owns *what*. The settings
and the checkpoint decide every step, so a run that was interrupted and goes on ends bit for bit where an
uninterrupted one ends (budgets in steps or epochs; one in minutes counts the minutes already spent).
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from llmkit.errors import Diverged, Interrupted
from llmkit.training import checkpoint, interruption, metrics
from llmkit.training.settings import Training

VALIDATION_SHARE = 0.1  # of the time that training takes, where `validation_steps` does not say otherwise
RESERVE = 1.15  # times the last validation's seconds, kept of a budget in minutes for the validation at its end
LOG_SECONDS = 0.5  # between progress reports
SMOOTHING = 0.98  # of the running training loss that is reported


class Learner(Protocol):
    """What a task hands to the loop: its weights, its data and what one update does."""

    unit: str
    """What is counted: "tokens" or "examples"."""
    count: int
    """Units trained on so far."""
    epochs: float
    """Passes over the training split so far."""
    step_count: int
    """Units in an ordinary step."""
    validation_count: int
    """Units in one validation."""

    def step(self, learning_rate: float) -> Tensor:
        """One update of the weights; returns its loss, a scalar that may still be on the device."""

    def validate(self) -> dict[str, float]:
        """Figures of the present weights on the whole validation split; `val_loss` decides which are best."""

    def weights(self) -> dict[str, Tensor]:
        """The model's weights by name: what is kept when they are the best (not copies)."""

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Put weights back that `weights` gave."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything else needed to go on: tensors (optimizer, carried state) and plain data (reading position)."""

    def load_state(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        """Go on from what `state` gave."""


@dataclass
class Progress:
    """Where a run is: stored in each checkpoint."""

    step: int = 0
    seconds: float = 0.0
    best_loss: float | None = None
    best_step: int = 0
    validations_since_best: int = 0
    validated_step: int = -1
    smooth_loss: float | None = None


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
    fingerprint: dict[str, Any],
    report: Callable[[dict[str, Any]], None],
    warn: Callable[[str], None],
    prune: Callable[[float, float], None] | None = None,
) -> Outcome:
    """Train until the budget is spent or patience ends; goes on from the newest sound checkpoint in `folder`.

    `fingerprint` is what must be the same for a checkpoint to be continued (settings, data, versions). `report` gets
    a dict for the display; `prune(share of the budget spent, val_loss)` may raise to give a run up. Raises InputError
    when checkpoints belong to other settings, Diverged when the loss is no number and Interrupted, after a
    checkpoint, on Ctrl-C or SIGTERM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record_file = folder / "metrics.jsonl"
    progress, best = Progress(), {}
    found = checkpoint.newest(folder, fingerprint, warn)
    if found:
        progress = Progress(**found.plain["progress"])
        best = checkpoint.restore(found, learner)
        report({"event": "resumed", "step": progress.step, "seconds": progress.seconds})
    metrics.cut(record_file, progress.step)
    clock = _Clock(progress.seconds)
    last_saved, last_report = clock.seconds, 0.0
    validation_seconds = 0.0
    interval = validation_interval(settings, learner)

    def save() -> None:
        progress.seconds = clock.seconds
        checkpoint.write(folder, asdict(progress), learner, best, fingerprint, settings.keep_checkpoints)

    def spent_share() -> float:
        kept = validation_seconds or _expected_validation_seconds(learner, clock.seconds)
        return _spent(settings, progress.step, learner.epochs, clock.seconds, RESERVE * kept)

    def validate() -> None:
        nonlocal best, validation_seconds
        start = clock.seconds
        figures = learner.validate()
        validation_seconds = clock.seconds - start
        loss = figures["val_loss"]
        progress.validated_step = progress.step
        progress.validations_since_best += 1
        if progress.best_loss is None or loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.validations_since_best = loss, progress.step, 0
            best = {name: tensor.detach().to("cpu", copy=True) for name, tensor in learner.weights().items()}
        record = {
            "step": progress.step,
            learner.unit: learner.count,
            "seconds": round(clock.seconds, 3),
            "train_loss": progress.smooth_loss,
            **figures,
        }
        metrics.append(record_file, record)
        report({"event": "validated", "best": progress.best_step == progress.step, **record})
        if prune:
            prune(spent_share(), loss)

    with interruption.watch() as stop:
        while True:
            spent = spent_share()
            stopped_early = bool(settings.patience) and progress.validations_since_best >= settings.patience
            if spent >= 1 or stopped_early:
                break
            if stop.requested:
                save()
                raise Interrupted(f"interrupted at step {progress.step}; the same command goes on from there")
            rate = learning_rate(settings, progress.step, spent)
            loss_tensor = learner.step(rate)
            progress.step += 1
            loss = loss_tensor.item()
            if not math.isfinite(loss):
                raise Diverged(_diverged(progress, loss, settings))
            smooth = progress.smooth_loss
            progress.smooth_loss = loss if smooth is None else SMOOTHING * smooth + (1 - SMOOTHING) * loss
            if progress.step % interval == 0:
                validate()
            due = settings.checkpoint_steps and progress.step % settings.checkpoint_steps == 0
            if due or clock.seconds - last_saved >= 60 * settings.checkpoint_minutes:
                save()
                last_saved = clock.seconds
            if clock.seconds - last_report >= LOG_SECONDS:
                last_report = clock.seconds
                report(
                    {
                        "event": "step",
                        "step": progress.step,
                        "loss": progress.smooth_loss,
                        "learning_rate": rate,
                        "spent": spent,
                        "seconds": last_report,
                        learner.unit: learner.count,
                    }
                )
        if progress.validated_step != progress.step:
            validate()
        save()  # so that a crash while the model folder is written costs nothing
    assert progress.best_loss is not None  # validated above
    return Outcome(
        progress.step, clock.seconds, learner.count, progress.best_loss, progress.best_step, stopped_early, best
    )


def learning_rate(settings: Training, step: int, spent: float) -> float:
    """Linear warm-up over `warmup_steps`, then a half cosine over the budget (`spent` runs from 0 to 1)."""
    low = settings.final_learning_rate
    scale = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(spent, 1.0)))
    return settings.learning_rate * scale * min(1.0, (step + 1) / max(settings.warmup_steps, 1))


def _spent(settings: Training, step: int, epochs: float, seconds: float, reserve_seconds: float) -> float:
    """Share of the budget that is spent; a budget in minutes keeps time for the validation at the end."""
    kind, amount = settings.budget
    if kind == "steps":
        return step / amount
    if kind == "epochs":
        return epochs / amount
    return seconds / max(60 * amount - reserve_seconds, 1e-3)


def _expected_validation_seconds(learner: Learner, seconds: float) -> float:
    """Before the first one: a pass without gradients costs a third of one with."""
    return learner.validation_count / 3 * seconds / max(learner.count, 1)


def validation_interval(settings: Training, learner: Learner) -> int:
    """Steps between validations: as set, or from counts (never a timing): a pass without gradients costs a third."""
    if settings.validation_steps:
        return settings.validation_steps
    return max(10, math.ceil(learner.validation_count / (3 * VALIDATION_SHARE) / learner.step_count))


def _diverged(progress: Progress, loss: float, settings: Training) -> str:
    return (
        f"training diverged: the loss of step {progress.step} is {loss}; lower train.learning_rate "
        f"(now {settings.learning_rate:g}) or train.gradient_clip (now {settings.gradient_clip:g}), then start "
        "again with --fresh"
    )


class _Clock:
    """Seconds of training, those before an interruption included."""

    def __init__(self, already: float):
        self.start = time.monotonic() - already

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.start
