"""Training loses no work: killed, interrupted, out of room or with damaged checkpoints, it ends bit for bit the same.

One small run, trained through `stages.train.train` as the command line does it, is compared file by file: the model
folder and the last checkpoint (weights, best weights, optimizer, carried state, random states, reading position).
"""

import hashlib
import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import tiny_text, write_tiny_config
from faults import GROWS, Faults, full_disk, in_child, injected, interrupt, kill

from llmkit.config import schema as configs
from llmkit.console import charts as pictures
from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.stages.prepare import prepare
from llmkit.stages.train import train
from llmkit.training import checkpoint, loop

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
    pytest.mark.skipif(sys.platform != "linux", reason="forks, and reads the names of open files from /proc"),
]

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
    loaded: dict[tuple[str, ...], configs.Config] = field(default_factory=dict)
    ends: dict[tuple[str, ...], dict[str, bytes]] = field(default_factory=dict)

    @property
    def checkpoints(self) -> Path:
        return self.run_dir / "work" / "train"

    def load(self, *overrides: str) -> configs.Config:
        if overrides not in self.loaded:
            self.loaded[overrides] = configs.load(self.config, [*SETTINGS, *overrides])
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


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "text.txt").write_text(tiny_text(1500), encoding="utf-8")
    write_tiny_config(folder / "tiny.yaml", folder / "text.txt", folder / "run")
    run = Run(folder / "tiny.yaml", folder / "run")
    prepare(run.load())
    return run


@pytest.fixture
def run(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The clock stands still, so that the same crash leaves the same bytes; nothing loses power or is drawn."""
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(pictures, "loss_curve", lambda metrics, picture: False)
    prepared.end()
    prepared.clear()
    return prepared


def test_killed_at_every_file_operation(run: Run) -> None:
    seen, proven = run.operations(), set[str]()
    for number, name in enumerate(seen, 1):
        if number > 1 and seen[number - 2].startswith("fsync"):
            continue  # a flush changes nothing that a kill leaves behind: the kill before it was the same
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, kill)) == -signal.SIGKILL, name
        run.assert_goes_on(seen[: number - 1], proven)
    assert steps_saved(seen) == [3, 6, 7] and len(proven) > 60
    for name in ("half of a write weights.safetensors", "half of a write metrics.jsonl", "rename model"):
        assert name in seen


@pytest.mark.parametrize(
    "others", [["train.steps=null", "train.epochs=0.1"], STOPS_EARLY, [NGRAM]], ids=["epochs", "patience", "n-grams"]
)
def test_other_runs_killed_now_and_then(run: Run, others: list[str]) -> None:
    end, seen, proven = run.end(*others), run.operations(*others), set[str]()
    assert json.loads(end["model/manifest.json"])["result"]["stopped_early"] == (others == STOPS_EARLY)
    for number in range(1, len(seen), 17):
        run.clear(*others)
        assert in_child(lambda number=number: run.faulty(number, kill, *others)) == -signal.SIGKILL
        run.assert_goes_on(seen[: number - 1], proven, *others)
    assert len(proven) > 4


def test_full_disk_from_every_file_operation_on(run: Run) -> None:
    assert full_from_each(run, run.operations()) > 5


def test_full_disk_while_the_n_gram_model_is_made(run: Run) -> None:
    run.end(NGRAM)
    seen = run.operations(NGRAM)
    first = next(number for number, name in enumerate(seen) if name.startswith("mkdir .ngram.building"))
    assert full_from_each(run, seen, NGRAM, first=first) > 1


def full_from_each(run: Run, seen: list[str], *overrides: str, first: int = 0) -> int:
    """Fill the disk from each operation on that needs room; returns how many different states were gone on from."""
    proven = set[str]()
    for number, name in enumerate(seen[first:], first + 1):
        if name.startswith(GROWS):
            run.clear(*overrides)
            if number > seen.index("fsync timings") + 1:  # the last checkpoint is deleted, which needs no room
                run.faulty(number, full_disk, *overrides)
                assert checkpoint._steps(run.checkpoints) == []
                continue
            with pytest.raises(InputError, match="No space left on device; free some space, then run it again"):
                run.faulty(number, full_disk, *overrides)
            run.assert_goes_on(seen[: number - 1], proven, *overrides)
    return len(proven)


def test_a_limit_on_file_sizes_set_by_the_kernel(run: Run) -> None:
    import resource

    sizes = [file.stat().st_size for file in (run.run_dir / "prepared").iterdir()]
    codes = set()
    for limit in (100, 1000, 3000, 6000, 10 * max(sizes)):
        run.clear()

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            train(run.load())

        codes.add(in_child(limited))
        run.train()
        run.assert_ended()
    assert codes == {3, 0}


def test_a_second_ctrl_c_in_the_midst_of_writing(run: Run) -> None:
    seen, proven = run.operations(), set[str]()
    for number in range(1, len(seen), 4):
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, interrupt)) == 130
        run.assert_goes_on(seen[: number - 1], proven)


def test_after_the_model_is_in_its_place_nothing_is_left_to_go_on_with(run: Run) -> None:
    seen, other = run.operations(), "train.learning_rate=0.002"
    run.end(other)
    for number in (seen.index("rename model") + 2, seen.index("rename run-model.json"), len(seen) - 2, len(seen)):
        run.clear()
        assert in_child(lambda number=number: run.faulty(number, kill)) == -signal.SIGKILL
        ears = Ears()
        train(run.load(other), ui=ears)  # not refused: the run with other settings has its model
        assert (ears.warnings, ears.went_on_from) == ([], 0)
        assert run.content() == {name: data for name, data in run.end(other).items() if name.startswith("model/")}


# --- damage -------------------------------------------------------------------------------------------------

KEEP = "train.keep_checkpoints=3"


@pytest.fixture
def unfinished(run: Run, tmp_path: Path) -> Callable[[], None]:
    """Puts a run in place that was killed before its model folder was made: checkpoints of the steps 3, 6 and 7."""
    run.end(KEEP)
    at = next(n for n, name in enumerate(run.operations(KEEP), 1) if name.startswith("mkdir .model.building"))
    in_child(lambda: run.faulty(at, kill, KEEP))
    shutil.copytree(run.checkpoints, tmp_path / "checkpoints")
    assert checkpoint._steps(run.checkpoints) == [3, 6, 7]

    def again() -> None:
        run.clear()
        shutil.copytree(tmp_path / "checkpoints", run.checkpoints)

    return again


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << place % 8)]) + data[place + 1 :]


DAMAGE = {
    "a bit at the start": lambda data: flip(data, 0),
    "a bit in the middle": lambda data: flip(data, len(data) // 2),
    "a bit at the end": lambda data: flip(data, len(data) - 1),
    "cut in half": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
}


def test_a_damaged_file_of_the_newest_checkpoint(run: Run, unfinished: Callable[[], None]) -> None:
    names = sorted(path.name for path in (run.checkpoints / "checkpoint-00000007").iterdir())
    assert len(names) == 6
    for name, (what, damaged) in itertools.product(names, DAMAGE.items()):
        unfinished()
        file = run.checkpoints / "checkpoint-00000007" / name
        file.write_bytes(damaged(file.read_bytes()))
        resumed = run.train(KEEP)
        [warning] = resumed.warnings
        assert warning.startswith(f"skipping a damaged checkpoint: {file} is damaged"), what
        assert resumed.went_on_from == 6
        run.assert_ended(KEEP)


def test_a_bit_that_makes_another_setting_of_it_is_damage_too(run: Run, unfinished: Callable[[], None]) -> None:
    unfinished()
    file = run.checkpoints / "checkpoint-00000007" / "manifest.json"
    data = file.read_bytes()
    assert b'"batch_size": 3' in data
    file.write_bytes(data.replace(b'"batch_size": 3', b'"batch_size": 7'))  # one bit
    resumed = run.train(KEEP)
    assert len(resumed.warnings) == 1 and resumed.went_on_from == 6  # not refused as a run of other settings
    run.assert_ended(KEEP)


def test_missing_files_of_the_newest_checkpoint(run: Run, unfinished: Callable[[], None]) -> None:
    for name in ("manifest.json", "state.safetensors"):
        unfinished()
        (run.checkpoints / "checkpoint-00000007" / name).unlink()
        resumed = run.train(KEEP)
        assert len(resumed.warnings) == 1 and resumed.went_on_from == 6
        run.assert_ended(KEEP)
        train(run.load("train.steps=2"))  # what was moved out of the way is no checkpoint


def test_no_checkpoint_is_whole(run: Run, unfinished: Callable[[], None]) -> None:
    """It starts anew, loudly; what it saves from then on is not dropped in favour of what nobody can read."""
    unfinished()
    for file in run.checkpoints.glob("checkpoint-*/weights.safetensors"):
        file.write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", stop_after(checkpoint.write, 3))
        with pytest.raises(Stopped):
            run.train()  # keeps one checkpoint
    resumed = run.train()
    assert [message.split(":")[0] for message in resumed.warnings] == ["skipping a damaged checkpoint"] * 2
    assert resumed.went_on_from == 3
    run.assert_ended()
    for file in run.checkpoints.glob("checkpoint-*/weights.safetensors"):
        file.write_bytes(b"")
    shutil.rmtree(run.run_dir / "model")
    resumed = run.train()
    assert resumed.went_on_from == 0 and len(resumed.warnings) == 2
    assert "no checkpoint in" in resumed.warnings[-1] and "starts from the beginning" in resumed.warnings[-1]
    run.assert_ended()


class Stopped(Exception):
    """The end of a run in a test."""


def stop_after(write: Callable, step: int) -> Callable:
    def stopping(folder: Path, progress: dict, *more: object) -> None:
        write(folder, progress, *more)
        if progress["step"] == step:
            raise Stopped

    return stopping


def test_a_checkpoint_of_a_later_version_is_neither_skipped_nor_dropped(run: Run, unfinished: Callable) -> None:
    unfinished()
    file = run.checkpoints / "checkpoint-00000007" / "manifest.json"
    manifest = json.loads(file.read_text()) | {"schema_version": 99, "llmkit_version": "9.1.0"}
    del manifest["manifest_sha256"]
    file.write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"install llmkit 9\.1\.0 or later"):
        run.train()
    assert checkpoint._steps(run.checkpoints) == [3, 6, 7]


def test_the_weights_to_start_from_belong_to_a_run(run: Run, tmp_path: Path) -> None:
    train(run.load())
    shutil.move(run.run_dir / "model", tmp_path / "start")
    start = f"train.start_from={tmp_path / 'start'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "write", stop_after(checkpoint.write, 3))
        with pytest.raises(Stopped):
            run.train(start)
    saved = run.run_dir / "work"
    shutil.move(saved, tmp_path / "work")
    train(run.load("train.learning_rate=0.002"))
    shutil.rmtree(tmp_path / "start")
    shutil.move(run.run_dir / "model", tmp_path / "start")
    shutil.rmtree(saved)
    shutil.move(tmp_path / "work", saved)
    with pytest.raises(InputError, match="(?s)other settings.*start_from: .* → .*--fresh"):
        run.train(start)


def test_a_picture_that_finds_no_room_is_no_failure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(metrics: Path, picture: Path) -> bool:
        full_disk(GROWS[0])
        return True

    monkeypatch.setattr(pictures, "loss_curve", full)
    ears = Ears()
    assert train(run.load(), ui=ears)["steps"] == 7
    assert len(ears.warnings) == 1 and "loss.png was not written: No space left on device" in ears.warnings[0]


# --- in processes of their own ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "code", "says"),
    [(signal.SIGKILL, -9, ""), (signal.SIGTERM, 130, "the same command goes on from there")],
    ids=["SIGKILL", "SIGTERM"],
)
def test_a_process_that_gets_a_signal_at_any_time(run: Run, number: int, code: int, says: str) -> None:
    long = ["train.steps=300", "train.validation_steps=20", "train.checkpoint_steps=20"]
    run.end(*long)
    command = [sys.executable, "-m", "llmkit", "train", str(run.config), *SETTINGS, *long]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    metrics = run.checkpoints / "metrics.jsonl"
    wanted = random.Random(number).randint(1, 5)  # validations, then a moment
    while started.poll() is None and (not metrics.exists() or len(metrics.read_bytes().splitlines()) < wanted):
        time.sleep(0.002)
    time.sleep(random.Random(code).random() / 20)
    started.send_signal(number)
    _, said = started.communicate()
    assert (started.returncode, says in said) == (code, True)
    resumed = run.train(*long)
    assert resumed.went_on_from >= 20 * (wanted - 1)
    run.assert_ended(*long)
