"""Files to documents or rows.

In: paths found by glob patterns. Out: documents, each an iterator of text pieces of about a million
characters that may end anywhere, so that a file of any size is read in little memory. A document has to be
read to its end before the next one is asked for. Or rows, each with its line number and a dict of its columns.

Text and Markdown are one document a file; CSV, TSV and JSON Lines are one document a row. All of them may be
packed as .gz, or together in a .zip. Nothing is cleaned here: that is a task's affair.
"""

import codecs
import csv
import glob
import gzip
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from io import BufferedReader
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO

from llmkit.errors import ConfigError, InputError

BLOCK_BYTES = 1 << 20  # read at once: large enough for speed, small enough for memory

# A packed file may unpack to far more than its size ("zip bomb"). Prose packs to a third or a tenth and logs
# to a hundredth; deflate's limit is 1/1032. What is under FREE_BYTES is not judged by its ratio.
MAX_RATIO = 200
FREE_BYTES = 64 << 20
MAX_ZIP_BYTES = 16 << 30
MAX_ZIP_MEMBERS = 100_000

MAX_CSV_FIELD = 2**31 - 1  # characters; the csv module's own limit is 131,072, less than a chapter


def find_files(patterns: str | list[str]) -> list[Path]:
    """The files that the patterns match: in the patterns' order, sorted within each, every file once."""
    found: dict[str, Path] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        if not pattern:
            raise ConfigError("prepare.files is empty; name the files to read, e.g. prepare.files=data/*.txt")
        place = os.path.expanduser(pattern)
        matches = [place] if os.path.isfile(place) else sorted(glob.glob(place, recursive=True))
        matches = [match for match in matches if os.path.isfile(match)]
        if not matches:
            raise InputError(f"prepare.files: {_why_nothing(pattern, place)}")
        for match in matches:
            found.setdefault(os.path.realpath(match), Path(match))
    if not found:
        raise ConfigError("prepare.files is empty; name the files to read, e.g. prepare.files=data/*.txt")
    return list(found.values())


def _why_nothing(pattern: str, place: str) -> str:
    if os.path.isdir(place):
        return f"{pattern} is a folder; name the files in it, e.g. {os.path.join(pattern, '**', '*.txt')}"
    if glob.has_magic(place):
        return f"{pattern} matches no file in {os.getcwd()}; check the pattern and the working directory"
    return f"there is no file {pattern} in {os.getcwd()}; check the name and the working directory"


def hash_files(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """What the files hold, so that a changed one is recognised: `[{path, bytes, sha256}]`."""
    sources = []
    for path in paths:
        with open_file(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            sources.append({"path": path.as_posix(), "bytes": file.tell(), "sha256": digest})
    return sources


def open_file(path: Path) -> BufferedReader:
    """The file opened for `read_documents`."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked where it is a .gz. Raises InputError, also where that would be far more than it holds."""
    with open_file(path) as file:
        packed = _ending(path.name) == ".gz"
        length = os.fstat(file.fileno()).st_size
        stream = gzip.GzipFile(fileobj=file) if packed else file
        return b"".join(_blocks(stream, str(path), max(FREE_BYTES, MAX_RATIO * length) if packed else None))


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or that is none of text (rot13, zip)."""
    try:
        known = codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"prepare.encoding: no encoding is called '{encoding}'; common are utf-8, latin-1, cp1252, utf-16"
        ) from error
    if not getattr(known, "_is_text_encoding", True):
        raise ConfigError(f"prepare.encoding: '{encoding}' is no text encoding; the usual one is utf-8")


def read_documents(
    file: BinaryIO, name: str, *, format: str = "auto", field: str | None = None, encoding: str = "utf-8"
) -> Iterator[Iterator[str]]:
    """The documents of one open file; `name` decides how it is read and appears in messages.

    `file.tell()` shows how far the reading is. Raises InputError for data that cannot be read as asked for.
    """
    for pieces, label, inner in _texts(file, name, encoding):
        kind = format if format != "auto" else _kind(inner)
        if kind == "text":
            yield pieces
        elif kind == "jsonl":
            yield from _json_documents(pieces, label, field)
        else:
            yield from _csv_documents(pieces, label, field, tabs=kind == "tsv")


def read_rows(
    file: BinaryIO, name: str, *, format: str = "auto", encoding: str = "utf-8"
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of one open CSV, TSV or JSON Lines file: (line number, {column: value}).

    What the ending of `name` does not tell is told by the first line: an object in braces is JSON Lines, a tab makes
    it TSV. Values of CSV and TSV are text. Raises InputError for data that cannot be read so.
    """
    for pieces, label, inner in _texts(file, name, encoding):
        kind = format if format != "auto" else _kind(inner)
        if kind == "text":
            first = next(pieces, "")
            start = first.lstrip().partition("\n")[0]
            kind = "jsonl" if start.startswith("{") else "tsv" if "\t" in start else "csv"
            pieces = chain([first] if first else [], pieces)
        if kind == "jsonl":
            yield from _json_rows(pieces, label)
            continue
        rows = _csv_rows(pieces, label, tabs=kind == "tsv")
        _, header = next(rows, (1, []))
        for column in header:
            if header.count(column) > 1:
                raise InputError(f"{label}, line 1: two columns are called '{column}'; give each a name of its own")
        for number, row in rows:
            yield number, dict(zip(header, row, strict=True))


def _texts(file: BinaryIO, name: str, encoding: str) -> Iterator[tuple[Iterator[str], str, str]]:
    """The decoded text of a file, or of each file packed in it: (pieces, what messages call it, name unpacked)."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    members = _zip_members(file, name) if _ending(name) == ".zip" else iter([(file, name, size)])
    for stream, label, length in members:
        limit, inner = None, label
        if _ending(label) == ".gz":
            stream = gzip.GzipFile(fileobj=stream)
            inner = label[: -len(".gz")]
            limit = max(FREE_BYTES, MAX_RATIO * length)
        yield _decode(_blocks(stream, label, limit), label, encoding), label, inner


def _zip_members(file: BinaryIO, name: str) -> Iterator[tuple[Any, str, int]]:
    """(stream, label, unpacked bytes) of each file in a zip file."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{name} is no readable zip file ({error}); is it complete?") from error
    # A member's name only says how to read it and what to call it in messages; nothing is written to disk.
    members = sorted((m for m in archive.infolist() if not _hidden(m.filename)), key=lambda m: m.filename)
    if len(members) > MAX_ZIP_MEMBERS:
        raise InputError(f"{name} holds {len(members):,} files, at most {MAX_ZIP_MEMBERS:,} are read; unpack it first")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > MAX_ZIP_BYTES or total > max(FREE_BYTES, MAX_RATIO * packed):
        raise InputError(
            f"{name} would unpack from {packed:,} to {total:,} bytes, more than is read from a zip file; "
            "if it can be trusted, unpack it and name its files"
        )
    for member in members:
        label = f"{name}:{''.join(c if c.isprintable() else '?' for c in member.filename)}"
        if _ending(member.filename) == ".zip":
            raise InputError(f"{label} is a zip file inside a zip file; unpack {name} first")
        if member.flag_bits & 1:
            raise InputError(f"{label} is encrypted; unpack {name} first")
        try:
            stream = archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise InputError(f"{label} cannot be unpacked ({error}); is the file complete?") from error
        with stream:
            yield stream, label, member.file_size


def _hidden(member: str) -> bool:
    parts = [part for part in member.split("/") if part not in (".", "..")]
    return member.endswith("/") or any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _kind(name: str) -> str:
    endings = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
    return endings.get(_ending(name), "text")


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _blocks(stream: IO[bytes] | gzip.GzipFile, name: str, limit: int | None) -> Iterator[bytes]:
    total = 0
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{name} cannot be read ({error}); is it complete and undamaged?") from error
        if not block:
            return
        total += len(block)
        if limit is not None and total > limit:
            raise InputError(f"{name} unpacks to more than {limit:,} bytes; if it can be trusted, unpack it first")
        yield block


def _decode(blocks: Iterator[bytes], name: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0  # of the current block in the file
    first = True
    block = b" "
    while block:
        block = next(blocks, b"")
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            if b"\0" in block:
                raise _binary(name) from error
            # The decoder puts the bytes of an unfinished character before the block.
            before = len(getattr(error, "object", block)) - len(block)
            place = offset - before + getattr(error, "start", 0)
            raise InputError(
                f"{name} is not valid {encoding} at byte {place:,}; name its encoding, "
                "e.g. prepare.encoding=latin-1 or cp1252, or mend the file"
            ) from error
        offset += len(block)
        if "\0" in text:
            raise _binary(name)
        if first and text:
            text = text.removeprefix("\ufeff")  # byte order mark
            first = False
        if text:
            yield text


def _binary(name: str) -> InputError:
    if name.lower().endswith((".xlsx", ".xls", ".ods")):
        return InputError(f"{name} is a spreadsheet; save its rows as CSV and name that file")
    return InputError(
        f"{name} looks like a binary file (it holds NUL bytes); name another file or, if it is text, its encoding, "
        "e.g. prepare.encoding=utf-16"
    )


def lines(pieces: Iterable[str]) -> Iterator[str]:
    r"""Whole lines, each with its `\n`, from pieces that end anywhere."""
    parts: list[str] = []
    for piece in pieces:
        head, *rest = piece.split("\n")
        parts.append(head)
        for part in rest:
            yield "".join(parts) + "\n"
            parts = [part]
    if last := "".join(parts):
        yield last


def _csv_documents(pieces: Iterator[str], name: str, field: str | None, tabs: bool) -> Iterator[Iterator[str]]:
    rows = _csv_rows(pieces, name, tabs)
    _, header = next(rows, (1, []))
    column = _find_column(header, name, field) if header else 0
    for _, row in rows:
        yield iter((row[column],))


def _csv_rows(pieces: Iterable[str], name: str, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of each row, the header first; every row has as many cells as the header."""
    csv.field_size_limit(MAX_CSV_FIELD)
    text = lines(pieces)
    first = next(text, "")
    text = chain([first], text)
    if tabs:  # text/tab-separated-values knows no quoting: a quote mark is text
        reader = csv.reader(text, delimiter="\t", quoting=csv.QUOTE_NONE)
    else:  # strict, or one forgotten quote mark would make the rest of the file a single field
        # Spreadsheets write semicolons where the comma is the decimal sign.
        separator = ";" if ";" in first and "," not in first else ","
        reader = csv.reader(text, delimiter=separator, strict=True)
    try:
        header = next(reader, [])
        if not header:
            return
        yield 1, header
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                what = (
                    "put text that holds the separator in quote marks"
                    if len(row) > len(header)
                    else "write the separator after an empty value too"
                )
                raise InputError(
                    f"{name}, line {reader.line_num}: {len(row)} columns where the header has {len(header)}; {what}"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{name}, line {reader.line_num}: {error}; check the quote marks") from error


def _find_column(header: list[str], name: str, field: str | None) -> int:
    if field is None:
        raise ConfigError(f"prepare.field: say which column of {name} holds the text: {', '.join(header)}")
    if field not in header:
        raise InputError(f"{name}, line 1: there is no column '{field}' (prepare.field); it has: {', '.join(header)}")
    if header.count(field) > 1:
        raise InputError(f"{name}, line 1: two columns are called '{field}'; give each a name of its own")
    return header.index(field)


def _json_documents(pieces: Iterator[str], name: str, field: str | None) -> Iterator[Iterator[str]]:
    for number, row in _json_rows(pieces, name):
        if field is None:
            raise ConfigError(f"prepare.field: say which field of {name} holds the text: {', '.join(row)}")
        if field not in row:
            raise InputError(
                f"{name}, line {number}: there is no field '{field}' (prepare.field); found: {', '.join(row)}"
            )
        if not isinstance(row[field], str):
            raise InputError(f"{name}, line {number}: field '{field}' is no text but {type(row[field]).__name__}")
        yield iter((row[field],))


def _json_rows(pieces: Iterable[str], name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, object) of each line that is not empty."""
    for number, line in enumerate(lines(pieces), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
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
