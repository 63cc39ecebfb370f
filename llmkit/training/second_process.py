"""A second process that does a part of each training step on a core of its own.

Torch runs each operation of a small network on all cores, and what that gains is eaten up by waiting for each other
some thousand times a step; threads of Python wait for its lock instead. Here a fork of the process computes a part of
the step by itself, and the two meet once: what it is to do comes as bytes, arrays lie in memory that both see. Without
it (no Linux, one core, or it was killed) the caller does that part too, with the same outcome.
"""

import mmap
import os
import signal
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from llmkit.runtime.processors import usable_processors

ALIGNED = 64  # bytes between the beginnings of shared tensors


class SecondProcess:
    """A fork that does `work` on each message; it ends with this process, or when this object is gone."""

    def __init__(self, work: Callable[[bytes], bytes]):
        """`work` sees everything as it is now; later, of what changes here, only shared tensors."""
        here, there = Pipe()
        with warnings.catch_warnings():  # Python 3.12: the child waits for none of the threads
            warnings.filterwarnings("ignore", r".*is multi-threaded, use of fork\(\)", DeprecationWarning)
            child = os.fork()
        if child == 0:
            _serve(here, there, work)
        there.close()
        self.connection: Connection | None = here
        self.end = weakref.finalize(self, _end, here, child)

    def ask(self, message: bytes) -> bool:
        """Let it begin; whether it did."""
        return self._alive(lambda connection: connection.send_bytes(message))

    def answer(self) -> bytes | None:
        """What came of the last message; None where the process is gone or its work raised something."""
        found: list[bytes] = []
        self._alive(lambda connection: found.append(connection.recv_bytes()))
        return found[0] if found else None

    def _alive(self, use: Callable[[Connection], None]) -> bool:
        if self.connection is None:
            return False
        try:
            use(self.connection)
        except (EOFError, OSError):
            self.connection = None
            self.end()
        return self.connection is not None


def there_is_a_core_for_it() -> bool:
    """Whether a second process gains anything, and a fork is safe: on Linux, where there are two cores."""
    return sys.platform == "linux" and usable_processors() > 1 and torch.get_num_threads() > 1


def be_one_thread() -> None:
    """Let torch's operations in this Python thread run on one thread, denormal numbers being zero."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@contextmanager
def half_of_the_threads() -> Iterator[None]:
    """Within it torch's operations run on half of the threads: the other half is for who works beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // 2))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def shared_like(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Tensors of these shapes and types, of zeros, in memory that processes forked later share."""
    tensors = list(tensors)
    places, end = [], 0
    for tensor in tensors:
        places.append(end)
        end += -(-tensor.numel() * tensor.element_size() // ALIGNED) * ALIGNED
    memory = torch.frombuffer(mmap.mmap(-1, max(end, 1)), dtype=torch.uint8)
    parts = []
    for place, tensor in zip(places, tensors, strict=True):
        part = memory[place : place + tensor.numel() * tensor.element_size()]
        parts.append(part.view(tensor.dtype).view(tensor.shape))
    return parts


def _serve(parents: Connection, connection: Connection, work: Callable[[bytes], bytes]) -> None:
    """The child's life: never returns. It is asked to end by the end of its connection, not by signals."""
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        parents.close()
        torch.set_num_threads(1)  # OpenMP's other threads are not in a fork
        while message := connection.recv_bytes():
            connection.send_bytes(work(message))
        code = 0
    except (EOFError, OSError):
        code = 0
    finally:
        os._exit(code)


def _end(connection: Connection, child: int) -> None:
    with suppress(OSError):  # it is gone
        connection.send_bytes(b"")
    connection.close()
    os.waitpid(child, 0)
