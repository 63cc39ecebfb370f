"""Several processes at one folder without a lock: none sees another's work half done."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from artifact_folders import NEW, OLD, content, start, write
from forks import fork, in_child
from operation_faults import needs_fork

from llmkit.errors import InputError
from llmkit.store import artifacts


@needs_fork
def test_readers_never_notice_a_writer(run: Path) -> None:
    write(run / "model", OLD)

    def swap() -> None:
        for number in range(60):
            write(run / "model", (NEW, OLD)[number % 2])

    writer = fork()
    if writer == 0:
        os._exit(in_child(swap))
    reads = 0
    while (ended := os.waitpid(writer, os.WNOHANG)) == (0, 0):
        assert artifacts.read(run / "model").manifest["stage"] == "train"
        reads += 1
    assert ended == (writer, 0) and reads > 10 and content(run / "model") == OLD


def before_renaming_to(name: str, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let another process `act` just before each rename to `name`; the list of the renamed."""
    rename, seen = os.rename, []

    def late(old: Path, new: Path) -> None:
        if Path(new).name == name:
            monkeypatch.setattr(os, "rename", rename)
            seen.append(Path(old).name)
            act()
        rename(old, new)

    monkeypatch.setattr(os, "rename", late)
    return seen


def test_a_reader_that_restores_while_a_writer_swaps(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run / "model", OLD)
    read: list[dict] = []
    seen = before_renaming_to("model", lambda: read.append(content(run / "model")), monkeypatch)
    write(run / "model", NEW)
    assert seen[0].startswith(".model.building-") and read == [OLD]
    assert content(run / "model") == NEW and os.listdir(run) == ["model"]


def test_two_readers_that_restore_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(run, "only NAME.old")
    seen = before_renaming_to("model", lambda: os.rename(run / "model.old", run / "model"), monkeypatch)
    assert content(run / "model") == OLD and seen == ["model.old"]


def test_a_swap_that_fails_half_way_is_undone_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    write(run / "model", OLD)
    before_renaming_to("model", fail, monkeypatch)
    with pytest.raises(InputError, match="model was not written: Input/output error"):
        write(run / "model", NEW)
    assert os.listdir(run) == ["model"] and (run / "model" / "removed.txt").exists()


def test_two_writers_side_by_side_leave_each_other_alone(run: Path) -> None:
    with artifacts.building(run / "model") as first, artifacts.building(run / "tuned") as second:
        (first.path / "a").write_bytes(b"1")
        (second.path / "a").write_bytes(b"2")
        second.finish(stage="tune", settings={})
        first.finish(stage="train", settings={})
    assert content(run / "model") == {"a": b"1"} and content(run / "tuned") == {"a": b"2"}
    assert sorted(os.listdir(run)) == ["model", "tuned"]
