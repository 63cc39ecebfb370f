"""Files of rows: CSV, TSV and JSON Lines, packed or not.

In: paths or an open file. Out: each row with its place, "FILE, line N", and a dict of its columns; values of CSV and
TSV are text. What the values mean is left to `columns.py` and to tasks.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from llmkit.config import json_text
from llmkit.console.callbacks import Progress
from llmkit.data.decoding import lines, texts
from llmkit.data.file_kinds import format_of
from llmkit.data.files import open_file
from llmkit.errors import InputError
from llmkit.plain import Json

Row = dict[str, object]
"""{column: value}: text in CSV and TSV, whatever JSON has in JSON Lines."""

DELIMITERS = (",", ";", "\t", "|")  # of CSV, the first where they occur equally often
SEPARATOR = re.compile(r"sep=(.)", re.IGNORECASE)  # a line of spreadsheets
REPORT_ROWS = 20_000  # between two calls of progress
MAX_CSV_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072, less than a chapter


def rows_of_files(
    paths: Iterable[Path], *, format: str = "auto", encoding: str = "utf-8", delimiter: str = ""
) -> Iterator[tuple[str, Row]]:
    """The rows of one file after the other, as `read_rows` gives them. Raises InputError."""
    for path in paths:
        with open_file(path) as file:
            yield from read_rows(file, str(path), format=format, encoding=encoding, delimiter=delimiter)


def all_rows(
    paths: Sequence[Path], progress: Progress, *, format: str, encoding: str, delimiter: str
) -> tuple[list[Row], list[str]]:
    """All rows of the files, and where each was found. Raises InputError, also where there is none."""
    rows: list[Row] = []
    places: list[str] = []
    for place, row in rows_of_files(paths, format=format, encoding=encoding, delimiter=delimiter):
        rows.append(row)
        places.append(place)
        if len(rows) % REPORT_ROWS == 0:
            progress("reading rows", len(rows), None)
    if not rows:
        raise InputError(f"there is no row in {', '.join(map(str, paths[:3]))}; name other files in prepare.files")
    return rows, places


def read_rows(
    file: BinaryIO, name: str, *, format: str = "auto", encoding: str = "utf-8", delimiter: str = ""
) -> Iterator[tuple[str, Row]]:
    """The rows of one open CSV, TSV or JSON Lines file: (place, {column: value}), the place being "NAME, line N".

    What the ending of `name` does not tell is told by the first line: an object in braces is JSON Lines, a tab makes
    it TSV. Values of CSV and TSV are text. `delimiter` parts the cells of CSV; empty, the head tells. Raises InputError
    for data that cannot be read so.
    """
    for pieces, label, inner in texts(file, name, encoding):
        kind = format if format != "auto" else format_of(inner)
        if kind == "text":
            first = next(pieces, "")
            start = first.lstrip().partition("\n")[0]
            if start.startswith("["):
                raise InputError(f"{label} is a JSON array; write an object a line (JSON Lines): jq -c '.[]'")
            kind = "jsonl" if start.startswith("{") else "tsv" if "\t" in start else "csv"
            pieces = chain([first] if first else [], pieces)
        if kind == "jsonl":
            for number, row in json_rows(pieces, label):
                yield f"{name}, line {number}", row
            continue
        cells = csv_rows(pieces, label, tabs=kind == "tsv", delimiter=delimiter)
        _, header = next(cells, (1, []))
        for column in header:
            if header.count(column) > 1:
                raise InputError(f"{label}, line 1: two columns are called '{column}'; give each a name of its own")
        for number, values in cells:
            yield f"{name}, line {number}", dict(zip(header, values, strict=True))


def csv_rows(pieces: Iterable[str], name: str, tabs: bool, delimiter: str = "") -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row of CSV or, with `tabs`, TSV, the header first; all have as many cells as it has.

    Without a `delimiter` the head of CSV tells: the comma, semicolon, tab or bar that occurs most, or a first line
    sep=; as spreadsheets write it, which is no row.

    Raises InputError.
    """
    csv.field_size_limit(MAX_CSV_FIELD)
    text = lines(pieces)
    first = next(text, "")
    if not tabs and (named := SEPARATOR.fullmatch(first.strip())):
        delimiter, first, skipped = delimiter or named[1], next(text, ""), 1
    else:
        skipped = 0
    text = chain([first], text)
    if tabs:  # text/tab-separated-values knows no quoting: a quote mark is text
        reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:  # strict, or one forgotten quote mark would make the rest of the file a single field
        # Spreadsheets write semicolons where the comma is the decimal sign.
        reader = csv.reader(text, delimiter=delimiter or max(DELIMITERS, key=first.count), strict=True)
    try:
        header = [cell.strip() for cell in next(reader, [])]  # people write a blank behind the separator
        if not header:
            return
        yield 1 + skipped, header
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                line = reader.line_num + skipped
                found = f"{len(row)} columns where the header has {len(header)}"
                raise InputError(f"{name}, line {line}: {found}; {_advice(header, row)}")
            yield reader.line_num + skipped, row
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: {error}; check the quote marks") from error


def _advice(header: list[str], row: list[str]) -> str:
    """What to do about a row of another number of cells than the header."""
    if header[0].lstrip().startswith("#"):
        return "comments are not skipped: delete the lines that begin with #"
    if len(header) == 1:
        return (
            "the first line must be the head: delete a title above it, or name what parts the columns in "
            "prepare.delimiter"
        )
    if len(row) > len(header):
        return "put text that holds the separator in quote marks"
    return "write the separator after an empty value too"


def json_rows(pieces: Iterable[str], name: str) -> Iterator[tuple[int, Json]]:
    """(line number, object) of each line of JSON Lines that is not empty. Raises InputError."""
    for number, line in enumerate(lines(pieces), 1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith("["):
            raise InputError(f"{name} is a JSON array; write an object a line (JSON Lines): jq -c '.[]'")
        try:
            row = json.loads(line)
            json_text.check_depth(row)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, line {number}: no valid JSON ({error}); one object a line is needed") from error
        if not isinstance(row, dict):
            raise InputError(f"{name}, line {number}: a JSON object is needed, found {type(row).__name__}")
        if "\\u" in line and not _is_text(json.dumps(row, ensure_ascii=False)):
            raise InputError(
                f"{name}, line {number}: half of a surrogate pair (\\ud800 to \\udfff) is no character; write the "
                "row again"
            )
        yield number, row


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
