"""Ctrl-C and SIGTERM as a request that the loop answers between two steps, so that nothing is torn."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Stop:
    """`requested` turns true at the first signal; a second Ctrl-C interrupts at once."""

    requested: bool = False


@contextmanager
def watch() -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM for the length of the block (only the main thread can; elsewhere it does nothing)."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def request(number: int, frame: object) -> None:
        if stop.requested:
            raise KeyboardInterrupt
        stop.requested = True

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
