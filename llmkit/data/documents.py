"""Files to documents: a text file is one, and so is each row of CSV, TSV and JSON Lines.

In: an open file, packed or not. Out: documents, each an iterator of pieces of text that may end anywhere, so that a
file of any size is read in little memory. A document has to be read to its end before the next one is asked for.
Nothing is cleaned here (`cleaning.py`).
"""

from collections.abc import Iterator
from typing import BinaryIO

from llmkit.data.decoding import texts
from llmkit.data.file_kinds import format_of
from llmkit.data.rows import csv_rows, json_rows
from llmkit.errors import ConfigError, InputError


def read_documents(
    file: BinaryIO, name: str, *, format: str = "auto", field: str | None = None, encoding: str = "utf-8"
) -> Iterator[Iterator[str]]:
    """The documents of one open file; `name` decides how it is read and appears in messages.

    `field` is the column or field that holds the text of a row. `file.tell()` shows how far the reading is. Raises
    InputError for data that cannot be read in this format and ConfigError where rows need a field.
    """
    for pieces, label, inner in texts(file, name, encoding):
        kind = format if format != "auto" else format_of(inner)
        if kind == "text":
            yield pieces
        elif kind == "jsonl":
            yield from _json_documents(pieces, label, field)
        else:
            yield from _csv_documents(pieces, label, field, tabs=kind == "tsv")


def _csv_documents(pieces: Iterator[str], name: str, field: str | None, tabs: bool) -> Iterator[Iterator[str]]:
    rows = csv_rows(pieces, name, tabs)
    _, header = next(rows, (1, []))
    column = _find_column(header, name, field) if header else 0
    for _, row in rows:
        yield iter((row[column],))


def _find_column(header: list[str], name: str, field: str | None) -> int:
    if field is None:
        raise ConfigError(f"prepare.field: say which column of {name} holds the text: {', '.join(header)}")
    if field not in header:
        raise InputError(f"{name}, line 1: there is no column '{field}' (prepare.field); it has: {', '.join(header)}")
    if header.count(field) > 1:
        raise InputError(f"{name}, line 1: two columns are called '{field}'; give each a name of its own")
    return header.index(field)


def _json_documents(pieces: Iterator[str], name: str, field: str | None) -> Iterator[Iterator[str]]:
    for number, row in json_rows(pieces, name):
        if field is None:
            raise ConfigError(f"prepare.field: say which field of {name} holds the text: {', '.join(row)}")
        if field not in row:
            raise InputError(
                f"{name}, line {number}: there is no field '{field}' (prepare.field); found: {', '.join(row)}"
            )
        if not isinstance(row[field], str):
            raise InputError(f"{name}, line {number}: field '{field}' is no text but {type(row[field]).__name__}")
        yield iter((row[field],))
