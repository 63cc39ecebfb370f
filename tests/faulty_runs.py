"""A small training run that is made to fail and to go on, compared byte by byte with one that was left alone.

It is trained through `stages.train.train` as the command line does it and compared file by file: the model folder and
the last checkpoint (weights, best weights, optimizer, carried state, random states, reading position).
"""

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faults import Faults, injected, kill

from llmkit.console.messages import Console
from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments
from llmkit.training import checkpoint

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads the names of open files from /proc")
# Dropout everywhere, so that random states matter; validations between checkpoints; windows of an odd length.
SETTINGS = [
    "model={embedding_size: 4, hidden_size: 8, layers: 2, dropout: 0.2, input_dropout: 0.1, recurrent_dropout: 0.1}",
    "train.batch_size=3",
    "train.sequence_length=7",
    "train.validation_steps=2",
    "train.checkpoint_steps=3",
    "train.keep_checkpoints=1",
    "train.steps=7",
]
# A rate so high that the model gets worse.
STOPS_EARLY = ["train.steps=40", "train.patience=2", "train.learning_rate=1.0", "train.warmup_steps=0"]
NGRAM = "train.ngram=true"


class Ears(Console):
    """Keeps what the user would read."""

    def __init__(self) -> None:
        super().__init__(0)
        self.warnings: list[str] = []
        self.events: list[dict] = []

    def warn(self, message: str) -> None:
        if "is not better than" not in message:  # of a model so small
            self.warnings.append(message)

    def training(self, event: dict) -> None:
        self.events.append(event)

    @property
    def went_on_from(self) -> int:
        """The step of the checkpoint that the run went on from."""
        return next((event["step"] for event in self.events if event["event"] == "resumed"), 0)


@dataclass
class Run:
    """A run directory with prepared data, and how an uninterrupted training ends there."""

    config: Path
    run_dir: Path
    loaded: dict[tuple[str, ...], experiments.Experiment] = field(default_factory=dict)
    ends: dict[tuple[str, ...], dict[str, bytes]] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / "work" / "train"

    def load(self, *overrides: str) -> experiments.Experiment:
        if overrides not in self.loaded:
            self.loaded[overrides] = experiments.load(self.config, [*SETTINGS, *overrides])
        return self.loaded[overrides]

    def train(self, *overrides: str) -> Ears:
        """Train in this process; the checkpoints of the finished run stay, to be compared."""
        ears = Ears()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checkpoint, "drop", lambda folder: None)
            train(self.load(*overrides), ui=ears)
        return ears

    def faulty(self, at: float, fault: Callable[[str], object], *overrides: str) -> list[str]:
        """Train until the `at`-th file operation meets with `fault`; returns the operations of a run that ends."""
        with injected(Faults(self.run_dir, at, fault)) as faults:
            train(self.load(*overrides))
        return faults.seen

    def operations(self, *overrides: str) -> list[str]:
        """The file operations of an uninterrupted run."""
        self.clear(*overrides)
        seen = self.faulty(float("inf"), kill, *overrides)
        self.clear(*overrides)
        return seen

    def clear(self, *overrides: str) -> None:
        """Back to where nothing has been trained; the n-gram model stays but where it is a part of the model."""
        for name in ("model", "model.old", "work/train", "work/timings", *["work/ngram"][: NGRAM in overrides]):
            shutil.rmtree(self.run_dir / name, ignore_errors=True)

    def end(self, *overrides: str) -> dict[str, bytes]:
        """What an uninterrupted run leaves."""
        if overrides not in self.ends:
            self.clear(*overrides)
            self.train(*overrides)
            self.ends[overrides] = self.content()
            self.clear(*overrides)
        return self.ends[overrides]

    def content(self) -> dict[str, bytes]:
        """Every byte of the model folder and of the last checkpoint, but for the clock's."""
        found = {f"model/{path.name}": path.read_bytes() for path in (self.run_dir / "model").iterdir()}
        for path in sorted(self.checkpoints.glob("checkpoint-" + 8 * "[0-9]"))[-1:]:
            found |= {f"{path.name}/{file.name}": file.read_bytes() for file in path.glob("*.safetensors")}
            plain = json.loads((path / "state.json").read_text())
            del plain["progress"]["seconds"], plain["progress"]["validation_seconds"]
            found[f"{path.name}/state.json"] = json.dumps(plain, sort_keys=True).encode()
        return found

    def assert_ended(self, *overrides: str) -> None:
        """The run is where an uninterrupted one is, and nothing half-done lies about."""
        expected, found = self.end(*overrides), self.content()
        if not any(name.startswith("checkpoint-") for name in found):  # killed after the model was in its place
            expected = {name: data for name, data in expected.items() if name.startswith("model/")}
        assert found.keys() == expected.keys()
        assert [name for name in expected if found[name] != expected[name]] == []
        assert set(os.listdir(self.run_dir)) == {".lock", "prepared", "model", "work"}

    def state_of_disk(self) -> str:
        """The same for two crashes that left the same behind, but for the names of folders being built."""
        found = hashlib.sha256()
        for path in sorted(path for name in ("model", "work", ".model.*") for path in self._below(name)):
            name = re.sub(r"building-\d+-[0-9a-f]{8}", "building", str(path.relative_to(self.run_dir)))
            found.update(f"{name} {path.stat().st_size if path.is_file() else 'folder'}\n".encode())
            found.update(path.read_bytes() if path.is_file() else b"")
        return found.hexdigest()

    def _below(self, name: str) -> Iterator[Path]:
        for path in self.run_dir.glob(name):
            yield from (path, *path.rglob("*"))

    def assert_goes_on(self, done: list[str], proven: set[str], *overrides: str) -> None:
        """Start the run again after the operations `done`: it loses what came after the last checkpoint, no more."""
        if (state := self.state_of_disk()) in proven:
            return
        resumed = self.train(*overrides)
        assert resumed.warnings == []
        if "rename model" not in done:
            assert resumed.went_on_from == max(steps_saved(done), default=0)
        self.assert_ended(*overrides)
        proven.add(state)


def steps_saved(seen: list[str]) -> list[int]:
    """The steps of the checkpoints that are in their place after these operations."""
    return [int(name.split("-")[1]) for name in seen if re.fullmatch(r"rename checkpoint-\d+", name)]
