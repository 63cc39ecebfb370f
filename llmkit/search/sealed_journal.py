"""Optuna's journal of an encrypted run: whole in memory, on disk one age file that each change replaces.

The lines are those of Optuna's own journal, so that one which was plain goes on after `llmkit encrypt`. A journal is a
few hundred kilobytes; a crash while it is replaced leaves the one before.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from llmkit.errors import InputError
from llmkit.store import artifacts
from llmkit.store.files import read_live


class SealedJournal(BaseJournalBackend):
    """The journal at a path of a protected folder, for the one process that has the study."""

    def __init__(self, path: Path):
        """Raises InputError where it is damaged, NoKey where no identity opens it."""
        self.path = path
        self._lines = read_live(path).splitlines() if path.exists() else []
        self._logs = [self._parsed(number, line) for number, line in enumerate(self._lines, 1)]

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """What was noted, from a number on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Note more; on disk before it counts."""
        lines = [*self._lines, *(json.dumps(log, separators=(",", ":")).encode() for log in logs)]
        artifacts.write_bytes(self.path, b"".join(line + b"\n" for line in lines))
        self._lines, self._logs = lines, [*self._logs, *json.loads(json.dumps(logs))]

    def _parsed(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise InputError(f"{self.path}:{number}: damaged: {error}; start anew with --fresh") from error
        return found
