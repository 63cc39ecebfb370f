"""Forks on purpose, of a process that may have threads."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmkit.errors import LlmkitError


@contextmanager
def forking() -> Iterator[None]:
    """Forks of the block draw no warning about threads (Python 3.12 and later): no child waits for one of them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*is multi-threaded, use of fork\(\)", DeprecationWarning)
        yield


def fork() -> int:
    """`os.fork`: 0 in the child, its process id in the parent."""
    with forking():
        return os.fork()


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; 0, the exit code of what it raises, or minus the signal that killed it."""
    child = fork()
    if child == 0:
        code = 99
        try:
            work()
            code = 0
        except LlmkitError as error:
            code = error.exit_code
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
