"""`llmkit generate` for tables: raw rows in, labels with probabilities or numbers with intervals out."""

import io
import sys
from typing import NamedTuple

from llmkit.config import json_text
from llmkit.console.callbacks import Warn
from llmkit.data import encoding
from llmkit.data.file_kinds import format_at_use
from llmkit.data.rows import Row, read_rows, rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.explaining import columns
from llmkit.predicting import output
from llmkit.predicting.output import items, show, summary
from llmkit.predicting.regressor import Regressor
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.table import use
from llmkit.tasks.table.settings import Generate, Prepare

__all__ = ["answer", "items", "requests", "show", "summary"]


class RawRows(NamedTuple):
    """Rows as they were written, {column: value}, and where each stands, for messages."""

    rows: list[Row]
    places: list[str]


def requests(settings: Generate, folder: ModelFolder) -> RawRows:
    """The rows of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    return rows_of(settings, folder.settings.prepare)


def answer(
    model: use.Model, requests: RawRows, settings: Generate, seed: int, warn: Warn, emit: Emit | None = None
) -> Answers:
    """{"predictions": [{row, label, probability, probabilities} or {row, prediction, lower, upper}], …}.

    Raises InputError for rows that do not fit the model, ConfigError for an interval that it cannot tell.
    """
    if isinstance(model, Regressor):
        model = model.with_interval(settings.interval)
    learnt = encoding.load(model.folder)
    rows = use.read_rows(learnt, *requests)
    for line in use.unseen(learnt, rows, requests.places):
        warn(line)
    named = [{"row": number} for number in range(1, len(rows) + 1)]
    return Answers(output.predict(model, rows, named, settings, seed, lambda: columns.puzzles(learnt, rows)))


def rows_of(settings: Generate, how: Prepare) -> RawRows:
    """The rows of `prompt` and `prompt_file`, files read as `how` says, and where each was found.

    Raises ConfigError and InputError.
    """
    prompts, path = output.prompts_and_file(settings)
    if not prompts and not path:
        raise ConfigError(
            "there are no rows to predict; give --prompt '{\"COLUMN\": VALUE, …}', --prompt-file rows.csv or --prompt -"
        )
    rows: list[Row] = []
    places: list[str] = []
    for number, prompt in enumerate(prompts, 1):
        if prompt == "-":
            data = io.BytesIO(sys.stdin.buffer.read())
            for place, row in read_rows(
                data, "standard input", format=how.format, encoding=how.encoding, delimiter=how.delimiter
            ):
                rows.append(row)
                places.append(place)
        else:
            rows.append(_object(prompt, number))
            places.append("--prompt" if len(prompts) == 1 else f"--prompt number {number}")
    if path:
        for place, row in rows_of_files(
            [path], format=format_at_use(path, how.format), encoding=how.encoding, delimiter=how.delimiter
        ):
            rows.append(row)
            places.append(place)
    if not rows:
        raise InputError(f"{path or 'standard input'} holds no rows; write a head and a row for each")
    return RawRows(rows, places)


def _object(prompt: str, number: int) -> Row:
    try:
        row = json_text.parse(prompt)
    except ValueError as error:
        raise ConfigError(
            f"--prompt {prompt[:60]!r} is no JSON object ({error}); write '{{\"COLUMN\": VALUE, …}}'"
        ) from error
    if not isinstance(row, dict):
        raise ConfigError(f"--prompt {prompt[:60]!r} is no JSON object; write '{{\"COLUMN\": VALUE, …}}'")
    return row
