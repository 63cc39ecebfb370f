"""The mistakes that end a command: each carries its exit code and one message for the user.

A message says what is wrong, where (file, line, key) and what to do next. Only `cli` prints them.
"""


class LlmkitError(Exception):
    """Base of all errors with a message meant for the user; `exit_code` follows the command line's contract."""

    exit_code = 1


class ConfigError(LlmkitError):
    """A wrong config, override, option or argument (exit code 2)."""

    exit_code = 2


class Diverged(ConfigError):
    """Training ended in NaN or infinity: its settings are at fault."""


class InputError(LlmkitError):
    """An artifact or data file is missing, stale, damaged, in use or does not fit (exit code 3)."""

    exit_code = 3


class NoKey(InputError):
    """An encrypted file, and no identity that opens it: not damaged, and not to be made again."""


class LaterVersion(InputError):
    """An artifact in a format of a later version: not damaged, and not to be overwritten."""


class RequirementError(LlmkitError):
    """A figure misses what the config requires of it (exit code 4)."""

    exit_code = 4


class OfOneProcess(LlmkitError):
    """What one process of several met with, and the first one, which speaks for all, cannot tell."""

    def __init__(self, message: str, exit_code: int):
        super().__init__(message)
        self.exit_code = exit_code


class Interrupted(LlmkitError):
    """Ctrl-C or SIGTERM; the work so far is saved (exit code 130)."""

    exit_code = 130
