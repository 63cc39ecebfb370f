"""Messages and progress on standard error: rich on a terminal, plain lines in logs, nothing with --quiet.

Stages get a `Console` and call `info`, `warn`, `progress` and `training`; results are not its business (`cli.show`).
"""

import atexit
import sys
import time
from typing import TYPE_CHECKING, Any

from llmkit.console import terminal
from llmkit.console.callbacks import Event

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_SECONDS = 10.0  # between two lines of progress in a log file
SLOW_SECONDS = 1.0  # work that is done sooner shows no progress


class Console:
    """Where a command speaks. `level` is 0 (quiet: warnings and errors only), 1 or 2 (verbose)."""

    def __init__(self, level: int = 1):
        self.level = level
        self.terminal = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: Any = None
        self._description = ""
        self._started = self._printed = 0.0

    def info(self, message: str) -> None:
        """A line for the user; not with --quiet."""
        if self.level:
            self._line(message)

    def detail(self, message: str) -> None:
        """A line for --verbose."""
        if self.level > 1:
            self._line(message)

    def warn(self, message: str) -> None:
        """A line that --quiet keeps too."""
        self._line(f"warning: {message}")

    def error(self, message: str) -> None:
        """The one message of a command that fails."""
        self._line(f"error: {message}")

    def progress(self, description: str, done: float, total: float | None, note: str = "") -> None:
        """How far a piece of work is; a new description starts a new one, done == total ends it."""
        if not self.level:
            return
        description, note = terminal.line(description), terminal.line(note)
        now = time.monotonic()
        if description != self._description:
            self.close()
            self._description, self._started, self._printed = description, now, now
        finished = total is not None and done >= total
        if now - self._started < SLOW_SECONDS and self._bar is None:
            return
        if self.terminal:
            self._draw(description, done, total, note)
        elif now - self._printed >= PLAIN_SECONDS:
            self._printed = now
            share = f"{100 * done / total:.0f} %" if total else f"{done:,.0f}"
            self._line(f"{description}: {share}  {note}".rstrip())
        if finished:
            self.close()

    def close(self) -> None:
        """End the progress shown, if any."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._description = ""

    def training(self, event: Event) -> None:
        """What the training loop reports: a step, a validation, a resumption."""
        kind = event["event"]
        if kind == "resumed":
            self.info(f"going on from step {event['step']:,} ({event['seconds']:.0f} s of training so far)")
        elif kind == "validated":
            best = "  (best so far)" if event["best"] else ""
            train = event.get("train_loss")
            beside = f"train_loss {train:.4f}  " if train is not None else ""
            self.info(
                f"step {event['step']:>7,}  {event['seconds']:6.0f} s  {beside}val_loss {event['val_loss']:.4f}{best}"
            )
        elif kind == "step":
            unit = "tokens" if "tokens" in event else "examples"
            rate = event[unit] / max(event["seconds"], 1e-9)
            left = event["seconds"] * (1 / max(event["spent"], 1e-9) - 1)
            loss = f"loss {event['loss']:.4f}  " if event["loss"] is not None else ""
            note = f"step {event['step']:,}  {loss}{rate:,.0f} {unit}/s  {_duration(left)} left"
            self.progress("training", event["spent"], 1.0, note)

    def _draw(self, description: str, done: float, total: float | None, note: str) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}", markup=False),
            )
            self._bar = Progress(*columns, console=RichConsole(stderr=True), transient=True)
            self._task = self._bar.add_task(description, total=total, note=note)
            self._bar.start()
            atexit.register(self.close)  # an error ends the command: the bar goes, the cursor comes back
        self._bar.update(self._task, completed=done, total=total, note=note)

    def _line(self, message: str) -> None:
        if self._bar is not None:
            self._bar.console.print(terminal.clean(message), markup=False, highlight=False, emoji=False)
        else:
            terminal.complain(message)


class Silent(Console):
    """Says nothing at all: one process of several speaks for them."""

    def __init__(self) -> None:
        super().__init__(0)

    def _line(self, message: str) -> None:
        pass


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 90:
        return f"{seconds} s"
    return (
        f"{seconds // 60} min {seconds % 60:02d} s"
        if seconds < 3600
        else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )
