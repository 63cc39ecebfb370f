"""Curves for TensorBoard (`train.tensorboard`): what the training loop reports, as event files in a folder.

In: the loop's events (`training.loop.run`, `report`). Out: FOLDER/events.out.tfevents.*, a file for each process that
trained, written by torch's SummaryWriter and the package `tensorboard`. Tags, all against the step: train/loss (the
running mean that the display shows too), train/learning_rate, train/tokens_per_second (or examples), val/loss and
whatever else a validation measures. Left out: showing them, the work of `tensorboard --logdir FOLDER`.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from llmkit.console.callbacks import Event, Report
from llmkit.errors import ConfigError
from llmkit.store import artifacts

FLUSH_SECONDS = 10  # between writes to disk: what a kill may lose of the curves
SHORTEST_SECONDS = 0.1  # over which a speed is measured: events give seconds to the millisecond


def require(wanted: bool) -> None:
    """Raise ConfigError with the command to run where event files are wanted and `tensorboard` is not installed."""
    if wanted and find_spec("tensorboard") is None:
        raise ConfigError(
            "train.tensorboard needs tensorboard; install it with: pip install '.[tensorboard]' in llmkit's own "
            "folder, or set train.tensorboard=false"
        )


@contextmanager
def recording(wanted: bool, folder: Path, unit: str, report: Report) -> Iterator[Report]:
    """A `report` that also writes event files into `folder`; where they are not wanted, `report` itself.

    A run that begins anew drops the files of the one before it; one that is resumed goes on in a file of its own.
    `unit` is what the learner counts, "tokens" or "examples". Raises ConfigError as `require` does, and InputError
    when the disk is full.
    """
    require(wanted)
    if not wanted:
        yield report
        return
    curves = _Curves(folder, unit)

    def both(event: Event) -> None:
        report(event)
        with artifacts.writing(folder):
            curves.add(event)

    try:
        yield both
    finally:
        with artifacts.writing(folder):
            curves.close()


class _Curves:
    """The event file of this process, opened with the first event, and where the speed was last measured."""

    def __init__(self, folder: Path, unit: str):
        self.folder, self.unit = folder, unit
        self.writer: Any = None  # torch's SummaryWriter, once there is an event
        self.measured: tuple[float, int] | None = None  # seconds, units

    def add(self, event: Event) -> None:
        """Write an event's figures. The first one tells whether the run goes on or begins."""
        step = event["step"]
        resumed = event["event"] == "resumed"
        if self.writer is None:
            self.open(step if resumed else None)
        if resumed:
            return
        figures = {f"val/{key.removeprefix('val_')}": value for key, value in event.items() if key.startswith("val_")}
        if event["event"] == "step":
            figures |= {"train/learning_rate": event["learning_rate"]}
            figures |= {"train/loss": event["loss"]} if event["loss"] is not None else {}
            figures |= self.speed(event)
        else:
            self.measured = event["seconds"], event[self.unit]  # the time of validating is not that of training
        for tag, value in figures.items():
            self.writer.add_scalar(tag, value, step)

    def speed(self, event: Event) -> dict[str, float]:
        """Units per second since the last event, where there is one and it is long enough ago."""
        seconds, count = event["seconds"], event[self.unit]
        if self.measured is None:
            self.measured = seconds, count
            return {}
        elapsed, done = seconds - self.measured[0], count - self.measured[1]
        if elapsed < SHORTEST_SECONDS:
            return {}
        self.measured = seconds, count
        return {f"train/{self.unit}_per_second": done / elapsed}

    def open(self, resumed_at: int | None) -> None:
        """Begin the file. Steps after `resumed_at` that are there already are done again: readers drop them."""
        from torch.utils.tensorboard import SummaryWriter

        if resumed_at is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        purge = None if resumed_at is None else resumed_at + 1
        self.writer = SummaryWriter(str(self.folder), purge_step=purge, flush_secs=FLUSH_SECONDS)

    def close(self) -> None:
        """Write what is left and end the file."""
        if self.writer is not None:
            self.writer.close()
