"""Faults at file operations: what a kill or a full disk at the n-th change below a folder leaves behind.

Every change that Python makes there is one operation: opening to write, half of a write, mkdir, rename, removal,
truncation, fsync. Python reports most of them to its audit hooks; writes, fsync and safetensors are wrapped.
Linux only: the names of open files come from /proc.
"""

import builtins
import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import safetensors
import safetensors.numpy

from llmkit.training import checkpoint

Fault = Callable[[str], object]

# What a full disk refuses; it lets files be removed and be made shorter.
GROWS = ("open to write", "half of a write", "mkdir", "rename", "fsync")
EVENTS = {
    "os.mkdir": "mkdir",
    "os.rename": "rename",
    "os.remove": "remove",
    "os.rmdir": "rmdir",
    "os.truncate": "truncate",
    "os.utime": "utime",
    "os.chmod": "chmod",
}

_active: "Faults | None" = None
_hooked = False


class Faults:
    """Operations below `folder`: `seen` names them; `fault(kind)` is called before each from the `at`-th on."""

    def __init__(self, folder: Path, at: float = float("inf"), fault: Fault = lambda kind: None):
        self.folder, self.at, self.fault = str(folder), at, fault
        self.seen: list[str] = []

    def count(self, kind: str, path: Any, torn: Callable[[], object] = lambda: None) -> None:
        """One operation is about to happen; `torn` makes what half of it leaves."""
        if not self.holds(path):
            return
        self.seen.append(f"{kind} {Path(_path_of(path)).name}")
        torn()
        if self.due():
            self.fault(kind)

    def holds(self, path: Any) -> bool:
        """Whether a path or an open file lies below the folder."""
        return _path_of(path).startswith(self.folder)

    def due(self) -> bool:
        """Whether the operation counted last is at fault."""
        return len(self.seen) >= self.at


def kill(kind: str) -> NoReturn:
    """The process ends here, as by the kernel's hand."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive")


def full_disk(kind: str) -> None:
    """No operation that needs room succeeds any more."""
    if kind in GROWS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(kind: str) -> None:
    """A second Ctrl-C, which does not wait for the end of a step; the disk does what it is told afterwards."""
    if _active is not None:
        _active.at = float("inf")
    raise KeyboardInterrupt


@contextmanager
def injected(faults: Faults) -> Iterator[Faults]:
    """Count the operations of the block, and let them fail."""
    global _active, _hooked
    if not _hooked:
        sys.addaudithook(_hook)  # for the life of this process; it does nothing outside of the block
        _hooked = True
    real = [(holder, name, getattr(holder, name)) for holder, name in _WRAPPED]
    _active = faults
    try:
        for (holder, name, function), wrap in zip(real, _WRAPPED.values(), strict=True):
            setattr(holder, name, wrap(function, faults))
        yield faults
    finally:
        _active = None
        for holder, name, function in real:
            setattr(holder, name, function)


def _hook(event: str, details: tuple) -> None:
    if _active is None:
        return
    if event == "open" and isinstance(details[2], int) and details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _active.count("open to write", details[0])
    elif event in ("os.remove", "os.rmdir") and details[1] != -1:  # of shutil.rmtree: relative to an open folder
        _active.count(EVENTS[event], os.path.join(_path_of(details[1]), details[0]))
    elif event in EVENTS:
        _active.count(EVENTS[event], details[1] if event == "os.rename" else details[0])


def _path_of(path: Any) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{path}") if isinstance(path, int) else os.path.abspath(os.fsdecode(path))
    except OSError:
        return ""


def _fsync(fsync: Callable, faults: Faults) -> Callable:
    """Nothing here loses power: it is counted only."""
    return lambda fd: faults.count("fsync", fd)


def _write(write: Callable, faults: Faults) -> Callable:
    def halved(fd: int, data: bytes) -> int:
        if not faults.holds(fd):
            return write(fd, data)
        half = len(data) // 2
        faults.count("half of a write", fd, lambda: write(fd, data[:half]))
        return half + write(fd, data[half:])

    return halved


def _sendfile(sendfile: Callable, faults: Faults) -> Callable:
    """What shutil.copyfile calls."""

    def counted(target: int, source: int, offset: int, count: int) -> int:
        faults.count("half of a write", target)
        return sendfile(target, source, offset, count)

    return counted


def _open(open: Callable, faults: Faults) -> Callable:
    def opened(path: Any, mode: str = "r", *more: Any, **others: Any) -> Any:
        file = open(path, mode, *more, **others)
        return _Halved(file, path, faults) if set(mode) & set("wa+x") and faults.holds(path) else file

    return opened


class _Halved:
    """A file of which each write is two: there is an operation between them."""

    def __init__(self, file: Any, path: Any, faults: Faults):
        self.file, self.path, self.faults = file, path, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def write(self, data: Any) -> int:
        half = len(data) // 2

        def torn() -> None:
            self.file.write(data[:half])
            self.file.flush()

        self.faults.count("half of a write", self.path, torn)
        self.file.write(data[half:])
        return len(data)


def _save_file(save_file: Callable, faults: Faults) -> Callable:
    """safetensors writes outside of Python, and has its own error of a full disk."""

    def counted(tensors: Any, path: Path, *more: Any, **others: Any) -> None:
        def torn() -> None:
            save_file(tensors, path, *more, **others)
            if faults.due():
                os.truncate(path, os.stat(path).st_size // 2)

        try:
            faults.count("open to write", path)
            faults.count("half of a write", path, torn)
        except OSError as error:
            text = f"Error while serializing: I/O error: {error.strerror} (os error {error.errno})"
            raise safetensors.SafetensorError(text) from None

    return counted


_WRAPPED: dict[tuple[Any, str], Callable[[Callable, Faults], Callable]] = {
    (os, "fsync"): _fsync,
    (os, "write"): _write,
    (os, "sendfile"): _sendfile,
    (builtins, "open"): _open,
    (io, "open"): _open,
    (checkpoint, "save_file"): _save_file,
    (safetensors.numpy, "save_file"): _save_file,
}
