"""Files to pairs of texts: rows with two columns, or two text files of as many lines each; and what is wrong with some.

In: the section prepare. Out: pairs in the order of the files, clean, each with the place that it stands in.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from llmkit.console.callbacks import Progress
from llmkit.data.decoding import lines, texts
from llmkit.data.files import find_files, open_file
from llmkit.data.rows import rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.tasks.translate.settings import Prepare
from llmkit.tasks.translate.vocabulary import clean

REPORT_PAIRS = 20_000  # between two calls of progress
SCRIPTS = {  # how the Unicode names of their letters begin
    "latin": ("LATIN",),
    "han": ("CJK",),
    "cyrillic": ("CYRILLIC",),
    "greek": ("GREEK",),
    "arabic": ("ARABIC",),
    "hangul": ("HANGUL",),
    "kana": ("HIRAGANA", "KATAKANA"),
}
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Pair:
    """A source and one of its right answers, clean; `place` says where they stand, for messages."""

    source: str
    target: str
    place: str


def files_of(settings: Prepare) -> tuple[list[Path], list[Path]]:
    """(files of rows, or of sources; files of targets, if any). Raises ConfigError and InputError."""
    if not settings.source_files and not settings.target_files:
        return find_files(settings.files), []
    if settings.files or not (settings.source_files and settings.target_files):
        raise ConfigError("prepare: name either files, or source_files and target_files")
    # A file may well be its own other side's name: found by name, not by content.
    both = (find_files(settings.source_files, by_content=False), find_files(settings.target_files, by_content=False))
    if len(both[0]) != len(both[1]):
        raise ConfigError(
            f"prepare: {len(both[0])} source_files and {len(both[1])} target_files; name as many of one as of the other"
        )
    return both


def read(settings: Prepare, progress: Progress) -> list[Pair]:
    """All pairs that the section names. Raises ConfigError and InputError."""
    rows, targets = files_of(settings)
    if targets:
        found = (pair for place in zip(rows, targets, strict=True) for pair in _parallel(*place, settings))
        return _collected(found, settings, progress)
    return read_rows(rows, settings, progress)


def read_rows(paths: list[Path], settings: Prepare, progress: Progress) -> list[Pair]:
    """The pairs in files of rows. Raises InputError."""
    return _collected(_rows(paths, settings), settings, progress)


def _collected(found: Iterable[tuple[str, str, str]], settings: Prepare, progress: Progress) -> list[Pair]:
    pairs = []
    for place, source, target in found:
        if settings.reverse:
            source, target = target, source
        pairs.append(Pair(clean(source), clean(target), place))
        if len(pairs) % REPORT_PAIRS == 0:
            progress("reading pairs", len(pairs), None)
    return pairs


def _rows(paths: list[Path], settings: Prepare) -> Iterator[tuple[str, str, str]]:
    for place, row in rows_of_files(
        paths, format=settings.format, encoding=settings.encoding, delimiter=settings.delimiter
    ):
        values = []
        for key in ("source", "target"):
            if (column := getattr(settings, key)) not in row:
                raise InputError(f"{place}: there is no column '{column}' (prepare.{key}); there are: {', '.join(row)}")
            values.append(text_of(row[column], place))
        yield place, values[0], values[1]


def text_of(value: object, place: str) -> str:
    """The text in a value; none is an empty one. Raises InputError for what is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: a source or target is text, not {type(value).__name__}")
    return value


def _parallel(sources: Path, targets: Path, settings: Prepare) -> Iterator[tuple[str, str, str]]:
    """The pairs of two files. Raises InputError where one has more lines than the other."""
    both = zip_longest(_lines(sources, settings.encoding), _lines(targets, settings.encoding))
    for number, (source, target) in enumerate(both, 1):
        if source is None or target is None:
            count = [sum(1 for _ in _lines(path, settings.encoding)) for path in (sources, targets)]
            raise InputError(
                f"{sources} has {count[0]:,} lines and {targets} has {count[1]:,}, and lines of the same number belong "
                "together; make the files equally long"
            )
        yield f"{sources}, line {number}", source, target


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with open_file(path) as file:
        for pieces, _, _ in texts(file, str(path), encoding):
            yield from (line.rstrip("\r\n") for line in lines(pieces))


# --- what is wrong with a pair, what is alike -----------------------------------------------------------------------


def fault(pair: Pair, settings: Prepare) -> str | None:
    """Why a pair is left out: empty, copied or of the wrong script; None where nothing is wrong."""
    if not pair.source or not pair.target:
        return "empty"
    if pair.source == pair.target and not settings.keep_copies:
        return "copied"
    scripts = (settings.source_script, settings.target_script)
    scripts = scripts[::-1] if settings.reverse else scripts  # they belong to the columns
    if not all(map(holds_script, (pair.source, pair.target), scripts)):
        return "of another script"
    return None


def holds_script(text: str, script: str) -> bool:
    """Whether a text has a letter of a script (or no letter at all, such as a number)."""
    if script == "any":
        return True
    letters = [unicodedata.name(letter, "") for letter in text if letter.isalpha()]
    return not letters or any(name.startswith(SCRIPTS[script]) for name in letters)


def likeness(source: str, mask_numbers: bool) -> str:
    """What sources that are about the same have in common: their letters in lower case, numbers masked."""
    text = NUMBER.sub("0", source) if mask_numbers else source
    return NO_WORD.sub(" ", text.casefold()).strip() or source
