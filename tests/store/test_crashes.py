"""Crashes at every step of writing: a reader finds the old folder or the new one, whole."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from artifact_folders import NEW, OLD, content, start, write
from forks import in_child
from operation_faults import KILLED, Faults, kill, needs_fork

from llmkit.errors import InputError
from llmkit.store import artifacts, file_locks


@needs_fork
@pytest.mark.parametrize("state", ["NAME", "only NAME.old", "a stray NAME.old"])
def test_killed_at_every_file_operation_leaves_the_old_or_the_new(run: Path, state: str) -> None:
    found = []
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)
        start(run, state)

        def killed(number: int = number) -> None:
            Faults(number, kill)
            write(run / "model", NEW)

        code = in_child(killed)
        found.append(content(run / "model"))
        assert found[-1] in (OLD, NEW), number
        if number % 2:
            write(run / "model", {"a": b"next"})
            assert content(run / "model") == {"a": b"next"}
            assert os.listdir(run) == ["model"], number
        else:  # the user deletes it: what the crash left of others is whole or nothing
            shutil.rmtree(run / "model")
            try:
                assert content(run / "model") in (OLD, {"a": b"stray"}), number
            except InputError as error:
                assert "is missing" in str(error), number
        if code == 0:
            break
        assert code == KILLED
    assert number > 40 and found[0] == OLD and found[-1] == NEW
    assert sorted(found, key=lambda files: files == NEW) == found  # never back to the old


@needs_fork
def test_killed_during_the_first_write_leaves_nothing_or_the_new(run: Path) -> None:
    found = set()
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)

        def killed(number: int = number) -> None:
            Faults(number, kill)
            write(run / "compressed" / "int8", NEW)

        code = in_child(killed)
        try:
            assert content(run / "compressed" / "int8") == NEW
            found.add("new")
        except InputError as error:
            assert "is missing; run: llmkit train x.yaml" in str(error)
            found.add("missing")
        if code == 0:
            break
    assert code == 0 and found == {"missing", "new"}


@needs_fork
def test_interrupted_at_every_line_leaves_the_old_or_the_new(run: Path) -> None:
    found = []
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)
        write(run / "model", OLD)

        def interrupted(number: int = number) -> None:
            reached: set[int] = set()  # a line counts when it is reached for the first time

            def trace(frame: Any, event: str, argument: object) -> Any:
                if frame.f_code.co_filename not in (artifacts.__file__, file_locks.__file__):
                    return None
                if event == "line" and frame.f_lineno not in reached:
                    reached.add(frame.f_lineno)
                    if len(reached) == number:
                        raise KeyboardInterrupt
                return trace

            sys.settrace(trace)
            write(run / "model", NEW)

        code = in_child(interrupted)
        found.append(content(run / "model"))
        assert found[-1] in (OLD, NEW), number
        if number % 3 == 0:
            write(run / "model", {"a": b"next"})
            assert os.listdir(run) == ["model"], number
        if code == 0:
            break
        assert code == 130
    assert number > 100 and found[0] == OLD and found[-1] == NEW


@needs_fork
def test_write_json_killed_at_every_file_operation(run: Path) -> None:
    found = []
    for number in range(1, 100):
        artifacts._make_folder(run)
        artifacts.write_json(run / "state.json", {"step": 1})

        def killed(number: int = number) -> None:
            Faults(number, kill)
            artifacts.write_json(run / "state.json", {"step": 2})

        code = in_child(killed)
        found.append(artifacts.read_json(run / "state.json")["step"])
        if code == 0:
            break
    artifacts.write_json(run / "state.json", {"step": 3})
    assert found[0] == 1 and found[-1] == 2 and sorted(found) == found and number > 5
    assert os.listdir(run) == ["state.json"]


@needs_fork
def test_a_half_deleted_folder_has_no_manifest(run: Path) -> None:
    for number in range(1, 100):
        write(run / "model", dict.fromkeys("abcdefgh", b""))

        def killed(number: int = number) -> None:
            Faults(number, kill)
            artifacts._remove(run / "model")

        code = in_child(killed)
        left = os.listdir(run / "model") if code else []
        assert "manifest.json" not in left or len(left) == 9
        if code == 0:
            break
    assert number > 9


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not flushed there")
def test_everything_is_flushed_before_the_rename_that_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", OLD)
    steps: list[str] = []
    files: dict[int, str] = {}

    def flushed(fd: int) -> None:
        for path in tmp_path.rglob("*"):
            files[path.stat().st_ino] = path.name
        steps.append(f"flush {files.get(os.fstat(fd).st_ino, 'run')}")

    def wrap(name: str, describe: Callable[..., str]) -> None:
        real = getattr(os, name)

        def wrapped(*paths: Any, **more: Any) -> Any:
            steps.append(describe(*paths))
            return real(*paths, **more)

        monkeypatch.setattr(os, name, wrapped)

    def named(old: Path, new: Path) -> str:
        return f"{Path(old).name} to {Path(new).name}"

    monkeypatch.setattr(os, "fsync", flushed)
    wrap("rename", named)
    wrap("replace", named)
    monkeypatch.setattr(shutil, "rmtree", lambda path, **more: steps.append(f"remove {Path(path).name}"))
    with artifacts.building(tmp_path / "model") as folder:
        (folder.path / "pictures").mkdir()
        (folder.path / "pictures" / "a.png").write_bytes(b"a")
        (folder.path / "weights.bin").write_bytes(b"w")
        beside = folder.path.name
        folder.finish(stage="train", settings={})
    assert steps == [
        "flush a.png",
        "flush pictures",
        "flush weights.bin",
        f"flush {beside}",
        "flush .manifest.json.tmp",
        ".manifest.json.tmp to manifest.json",
        f"flush {beside}",
        "remove model.old",
        "model to model.old",
        "flush run",
        f"{beside} to model",
        "flush run",
        "remove model.old",
        f"remove {beside}",
    ]
