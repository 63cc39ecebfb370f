"""Run a command line: its errors become one message and an exit code. The only place that prints errors.

llmkit STAGE CONFIG [NAME ...] [section.key=value ...] [options]; the stages are in `commands`. Where torchrun started
several processes, the first one speaks for all.
"""

import errno
import io
import os
import signal
import sys
from typing import TYPE_CHECKING

import typer

from llmkit.cli import show
from llmkit.cli.commands import app
from llmkit.console import terminal
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, Interrupted, LlmkitError, OfOneProcess

if TYPE_CHECKING:
    from llmkit.training.distributed import Processes


NO_MEMORY = (
    "there is not enough memory; close other programs, or take less at a time: fewer or smaller files, a smaller "
    "model, a lower train.batch_size"
)


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):  # what it cannot encode is shown as its number
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    as_json, verbose = "--json" in words, "--verbose" in words or "-v" in words
    command = typer.main.get_command(app)
    code = 0
    if _follows():  # one of several processes: the first one speaks for all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:  # not command(): that has its own answers to Ctrl-C and to a closed pipe
        with command.make_context("llmkit", words or ["--help"]) as context:
            _check_launch(words)
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        code = ended.exit_code
    except typer.TyperException as error:
        problem = error.format_message().rstrip(".")
        code = _fail(ConfigError(f"{problem}; see llmkit {_stage(words)}--help"), as_json)
    except LlmkitError as error:
        if verbose:
            _traceback()
        code = _fail(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(Interrupted("interrupted"), as_json)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if verbose:
            _traceback()
        code = _fail(_explained(error), as_json)
    sys.exit(code)


def _explained(error: Exception) -> LlmkitError:
    """An error that nobody caught in words, as far as it is one of the machine's."""
    if isinstance(error, MemoryError):
        return ConfigError(NO_MEMORY)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF) and error.filename is None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the end of the process would try again
        return LlmkitError(f"standard output cannot be written: {error.strerror}; what was made is kept")
    return LlmkitError(f"internal error: {type(error).__name__}: {error}; --verbose shows where")


def _launched() -> "Processes | None":
    """The processes that torchrun started, None where it did not (and then nothing of training is imported)."""
    if "WORLD_SIZE" not in os.environ:
        return None
    from llmkit.training import distributed

    return distributed.launched()


def _follows() -> bool:
    processes = _launched()
    return processes is not None and not processes.leads


def _check_launch(words: list[str]) -> None:
    """Raise ConfigError where torchrun started something else than a training."""
    processes = _launched()
    if processes is not None and processes.count > 1 and words[:1] != ["train"]:
        raise ConfigError(
            f"{' '.join(words[:1])}: {processes.count} processes (WORLD_SIZE), but only `train` works in several; "
            "start it without torchrun"
        )


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _traceback() -> None:
    import traceback

    terminal.complain(traceback.format_exc().rstrip())


def _stage(words: list[str]) -> str:
    stages = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    return f"{words[0]} " if words and words[0] in stages else ""


def _fail(error: LlmkitError, as_json: bool) -> int:
    if _follows() and not isinstance(error, OfOneProcess):
        return 0  # the first process meets with the same, and its exit code is to be the first that torchrun sees
    if as_json:
        show.print_json({"error": {"code": error.exit_code, "message": str(error)}})
    Console().error(str(error))
    return error.exit_code
