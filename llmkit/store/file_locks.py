"""Exclusive locks on files and folders that the system lets go of when their holder dies.

In: a path. Out: a descriptor to `release`. Children of a fork and programs started do not keep a lock.
"""

import os
import sys
from pathlib import Path

_held: set[int] = set()  # descriptors of the locks of this process


def hold(path: Path, flags: int) -> int:
    """Open and lock; the descriptor closes on exec. Raises BlockingIOError while another holder has it."""
    fd = os.open(path, flags, 0o666)
    try:
        _lock_descriptor(fd)
        _held.add(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def hold_folder(folder: Path) -> int | None:
    """`hold` of a folder; None where the system cannot lock one: the lock on the run directory must do."""
    if sys.platform == "win32":
        return None
    try:
        return hold(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (BlockingIOError, FileNotFoundError):
        raise
    except OSError:
        return None


def release(fd: int | None) -> None:
    """Unlock and close; None and what is released already do nothing."""
    if fd in _held:
        _held.discard(fd)
        os.close(fd)


if sys.platform == "win32":
    import msvcrt

    def _lock_descriptor(fd: int) -> None:
        os.lseek(fd, 1 << 30, os.SEEK_SET)  # a byte far beyond the content, which stays readable
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(error.errno, "locked by another process") from error
        os.lseek(fd, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock_descriptor(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _forget_locks() -> None:
        """A forked child shares the locks of its parent until it closes them."""
        while _held:
            os.close(_held.pop())

    os.register_at_fork(after_in_child=_forget_locks)
