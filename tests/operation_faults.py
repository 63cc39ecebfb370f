"""Faults at any file operation of a process, reads too: crashes and full disks while an artifact is written."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from llmkit.store import artifacts

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is killed in a forked process")
KILLED = 77  # exit code of a process that `kill` ends


class Faults:
    """Calls `fault(kind)` at the `number`-th file operation of this process and at all later ones.

    Python reports open, mkdir, rename, remove, rmdir and listings to its audit hooks (which cannot be taken
    back: use it in a child only); fsync and the writes of artifacts.py are wrapped.
    """

    EVENTS = frozenset(
        [
            "open",
            "os.mkdir",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.listdir",
            "os.scandir",
            "shutil.rmtree",
        ]
    )

    def __init__(self, number: int, fault: Callable[[str], object]) -> None:
        self.left, self.fault = number, fault
        sys.addaudithook(self.hook)
        os.fsync = lambda fd: self.count("fsync")
        artifacts.open = self.open  # type: ignore[attr-defined]

    def hook(self, event: str, details: tuple) -> None:
        if event in self.EVENTS:
            writes = event == "open" and bool(details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            self.count("open to write" if writes else event)

    def count(self, kind: str) -> None:
        self.left -= 1
        if self.left <= 0:
            self.fault(kind)

    def open(self, path: Path, mode: str) -> Any:
        file = open(path, mode)  # noqa: SIM115 (its user closes it)
        if "w" not in mode:
            return file
        write_all = file.write

        class Halved:
            def __getattr__(_, name: str) -> Any:
                return getattr(file, name)

            def __enter__(halved) -> Any:
                return halved

            def __exit__(_, *error: object) -> None:
                file.close()

            def write(_, data: bytes) -> None:
                write_all(data[: len(data) // 2])
                file.flush()
                self.count("write")
                write_all(data[len(data) // 2 :])

        return Halved()


def kill(kind: str) -> NoReturn:
    """The process ends here, and nothing of Python runs any more."""
    os._exit(KILLED)
