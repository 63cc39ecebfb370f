"""`llmkit generate` for tables: raw rows in, labels and probabilities out."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

from llmkit.data import encoding
from llmkit.data.rows import read_rows, rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.predicting import output as write
from llmkit.predicting.output import items, show, summary
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import use
from llmkit.tasks.table.settings import Generate

__all__ = ["generate", "items", "show", "summary"]


def generate(
    folder: ModelFolder, settings: Generate, seed: int, emit: Callable[[str], None] | None, warn: Callable[[str], None]
) -> dict[str, Any]:
    """Predict the labels of the rows; returns {"predictions": [{row, label, probability, probabilities}], …}.

    Raises ConfigError where there are no rows and InputError for rows that do not fit the model.
    """
    found, places = rows_of(settings, folder.config.settings.prepare.encoding)
    learnt = encoding.load(folder.path / encoding.FILE)
    rows = use.read_rows(learnt, found, places)
    for line in use.unseen(learnt, rows, places):
        warn(line)
    named = [{"row": number} for number in range(1, len(rows) + 1)]
    return write.predict(use.load(folder), rows, named, settings, seed)


def rows_of(settings: Generate, text_encoding: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of `prompt` and `prompt_file`, and where each was found. Raises ConfigError and InputError."""
    prompts, path = write.asked(settings)
    if not prompts and not path:
        raise ConfigError(
            "there are no rows to predict; give --prompt '{\"COLUMN\": VALUE, …}', --prompt-file rows.csv or --prompt -"
        )
    rows: list[dict[str, Any]] = []
    places: list[str] = []
    for number, prompt in enumerate(prompts, 1):
        if prompt == "-":
            data = io.BytesIO(sys.stdin.buffer.read())
            for place, row in read_rows(data, "standard input", encoding=text_encoding):
                rows.append(row)
                places.append(place)
        else:
            rows.append(_object(prompt, number))
            places.append("--prompt" if len(prompts) == 1 else f"--prompt number {number}")
    if path:
        for place, row in rows_of_files([path], encoding=text_encoding):
            rows.append(row)
            places.append(place)
    if not rows:
        raise InputError(f"{path or 'standard input'} holds no rows; write a head and a row for each")
    return rows, places


def _object(prompt: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(prompt)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"--prompt {prompt[:60]!r} is no JSON object ({error}); write '{{\"COLUMN\": VALUE, …}}'"
        ) from error
    if not isinstance(row, dict):
        raise ConfigError(f"--prompt {prompt[:60]!r} is no JSON object; write '{{\"COLUMN\": VALUE, …}}'")
    return row
