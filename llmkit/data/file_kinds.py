"""What is in a file: rows of CSV, TSV or JSON Lines, or text. One place decides, for every task and every use.

In: a name, in capitals or not, packed or not, and the key `format` of whoever reads it. The ending tells where it can;
of an archive, those of the files in it.
"""

import zipfile
from pathlib import Path

from llmkit.data.unpacking import ending, is_hidden

FORMATS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl"}  # by a file's ending
ROWS = ("csv", "tsv", "jsonl")


def format_of(name: str) -> str:
    """csv, tsv or jsonl, by the ending of a name, without a .gz; text for any other."""
    bare = name[: -len(".gz")] if ending(name) == ".gz" else name
    return FORMATS.get(ending(bare), "text")


def format_at_use(path: Path, format: str) -> str:
    """How a file that a model is to be used on is read: as its ending tells, else as `prepare.format` says."""
    told = inner_formats(path)
    return "auto" if told - {"text"} else format


def holds_rows(path: Path, format: str = "auto") -> bool:
    """Whether a file holds an example a row: by its ending, or that of a file in it, where `format` tells nothing."""
    return format in ROWS or (format == "auto" and bool(inner_formats(path) - {"text"}))


def inner_formats(path: Path) -> set[str]:
    """The formats, by their endings, of a file or of the files in an archive; text where that cannot be opened."""
    if ending(path.name) != ".zip":
        return {format_of(path.name)}
    try:
        with zipfile.ZipFile(path) as archive:
            return {format_of(name) for name in archive.namelist() if not is_hidden(name)} or {"text"}
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return {"text"}  # whoever reads it says what is wrong
