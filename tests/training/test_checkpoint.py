"""checkpoint.py: damaged, missing, newer checkpoints and those of another run; what training then goes on from.

It ends bit for bit as a run that was left alone: metrics_file.py and optimizer_state.py bring back what they kept.
"""

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import kill
from faulty_runs import Run, linux_only
from forks import in_child

from llmkit.errors import InputError
from llmkit.stages.train import train
from llmkit.training import checkpoint

pytestmark = linux_only
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


class Stopped(Exception):
    """The end of a run in a test."""


def stop_after(write: Callable, step: int) -> Callable:
    def stopping(folder: Path, progress: dict, *more: object) -> None:
        write(folder, progress, *more)
        if progress["step"] == step:
            raise Stopped

    return stopping


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
