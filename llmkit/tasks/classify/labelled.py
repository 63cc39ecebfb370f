"""Labelled texts of files, one by one, and those of a prepared folder. Never imports torch."""

import json
from collections.abc import Iterator
from pathlib import Path

from llmkit.console.callbacks import Progress, Warn
from llmkit.data.documents import read_documents
from llmkit.data.file_kinds import holds_rows
from llmkit.data.files import folder_label, open_file
from llmkit.data.plain_text import normal
from llmkit.data.rows import rows_of_files
from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.classify.settings import Prepare

TEXTS = "texts.jsonl"
Example = tuple[str, str, str]
"""(place, text, label): text and label may be empty."""
FASTTEXT = "__label__"
REPORT_TEXTS = 20_000  # between two calls of progress


def read(prepared: Files) -> list[str]:
    """The texts of a prepared folder."""
    with prepared.open(TEXTS) as file:
        return [json.loads(line) for line in file]


def read_examples(
    paths: list[Path], settings: Prepare, progress: Progress, warn: Warn
) -> tuple[list[str], list[str], list[str]]:
    """(texts, labels, places) of files; examples without text or label are left out with a warning."""
    texts, labels, places = [], [], []
    dropped: list[str] = []
    tables = [path for path in paths if holds_rows(path, settings.format)]
    if tables and settings.format == "auto" and len(tables) < len(paths):
        others = [path for path in paths if path not in tables]
        warn(
            f"{len(others):,} files beside tables hold no rows and are left out, the first {others[0]}; name your "
            "files more narrowly in prepare.files, or set prepare.format: folders where each file is a text"
        )
        paths = tables
    for path in paths:
        rows = _rows(path, settings) if path in tables else _folder_example(path, settings)
        for place, text, label in rows:
            text, label = normal(text), normal(label)
            if not text.strip() or not label:
                dropped.append(place)
                continue
            texts.append(text)
            labels.append(label)
            places.append(place)
            if len(texts) % REPORT_TEXTS == 0:
                progress("reading texts", len(texts), None)
    if dropped:
        warn(f"{len(dropped):,} examples have no text or no label and are left out, the first in {dropped[0]}")
    if not texts:
        raise InputError(f"there is no labelled text in {', '.join(map(str, paths[:3]))}; name other files")
    return texts, labels, places


def _rows(path: Path, settings: Prepare) -> Iterator[Example]:
    """The example of each row. Raises InputError where a column is not there."""
    format = "auto" if settings.format == "folders" else settings.format
    for place, row in rows_of_files([path], format=format, encoding=settings.encoding, delimiter=settings.delimiter):
        for key in ("text", "label"):
            if (column := getattr(settings, key)) not in row:
                raise InputError(f"{place}: there is no column '{column}' (prepare.{key}); there are: {', '.join(row)}")
        yield place, text_of(row[settings.text], place), _label(row[settings.label], place)


def text_of(value: object, place: str) -> str:
    """The text in a value; none is an empty one. Raises InputError for what is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: the text is no text but {type(value).__name__}")
    return value


def _label(value: object, place: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int):
        return "" if value is None else str(value).strip()
    raise InputError(f"{place}: a label is text or a whole number, not {type(value).__name__}")


def _folder_example(path: Path, settings: Prepare) -> Iterator[Example]:
    """The example of one file: its label is the name of its folder."""
    with open_file(path) as file:
        for document in read_documents(file, str(path), format="text", encoding=settings.encoding):
            text = "".join(document)
            if text.startswith(FASTTEXT):
                raise InputError(
                    f"{path} looks like fastText's format ({FASTTEXT}NAME before each text); write CSV with the "
                    "columns text and label"
                )
            yield str(path), text, folder_label(path)
