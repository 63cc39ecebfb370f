"""file_locks.py: one writer in a run directory; its workers and its death, the message to the second."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from artifact_folders import content
from forks import fork
from operation_faults import needs_fork

from llmkit.errors import InputError
from llmkit.store import artifacts


@needs_fork
def test_a_forked_child_that_leaves_the_block_removes_nothing(run: Path) -> None:
    parent = os.getpid()
    try:
        with artifacts.lock(run, "train"), artifacts.building(run / "model") as folder:
            (folder.path / "a").write_bytes(b"a")
            worker = fork()
            if worker == 0:
                raise SystemExit
            os.waitpid(worker, 0)
            with pytest.raises(InputError, match="in use"), artifacts.lock(run, "tune"):
                pass
            folder.finish(stage="train", settings={})
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert content(run / "model") == {"a": b"a"}


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen]]:
    started: list[subprocess.Popen] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def holder(children: list[subprocess.Popen], run: Path, worker: str = "0") -> tuple[subprocess.Popen, int]:
    """A process that holds the lock for a minute, and what the expression `worker` gave in it."""
    code = f"""
import os, subprocess, sys, time
from llmkit.store import artifacts
with artifacts.lock({str(run)!r}, "llmkit train x.yaml"):
    worker = {worker}
    print(worker, flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout
    return child, int(child.stdout.readline())


def test_the_second_writer_is_told_who_is_first(run: Path, children: list[subprocess.Popen]) -> None:
    child, _ = holder(children, run / "deep")
    message = f"^{run}/deep is in use by process {child.pid} on .* \\(llmkit train x.yaml, since 20.*\\); wait"
    with pytest.raises(InputError, match=message), artifacts.lock(run / "deep", "llmkit tune x.yaml"):
        pass
    with artifacts.lock(run / "other", "llmkit tune x.yaml"):
        pass
    child.kill()
    child.wait()
    with artifacts.lock(run / "deep", "llmkit tune x.yaml"):
        assert artifacts.read_json(run / "deep" / ".lock")["pid"] == os.getpid()


@needs_fork
@pytest.mark.parametrize(
    "worker",
    [
        "os.fork() or time.sleep(60)",
        'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False).pid',
    ],
    ids=["forked", "executed"],
)
def test_workers_of_a_killed_holder_do_not_keep_the_lock(
    run: Path, children: list[subprocess.Popen], worker: str
) -> None:
    child, pid = holder(children, run, worker)
    try:
        with pytest.raises(InputError, match=f"in use by process {child.pid}"), artifacts.lock(run, "tune"):
            pass
        child.kill()
        child.wait()
        free = False
        for _ in range(100):  # a forked worker gives the lock up when it first runs
            with suppress(InputError), artifacts.lock(run, "tune"):
                free = True
                break
            time.sleep(0.05)
        os.kill(pid, 0)  # it lives
        assert free
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_lock_is_free_after_the_block_and_after_an_error(run: Path) -> None:
    with pytest.raises(ZeroDivisionError), artifacts.lock(run, "train"):
        _ = 1 / 0
    (run / ".lock").write_text("half a li")  # stale or torn content is harmless
    with artifacts.lock(run, "train"):
        (run / ".lock").write_text("")
        with pytest.raises(InputError, match="run is in use by another process"), artifacts.lock(run, "tune"):
            pass
    with artifacts.lock(run, "train"):
        pass
