"""Files by glob patterns: which there are, what they hold (SHA-256), opened to be read.

In: patterns, as the key `files` of a config has them. Out: paths, in the order of the patterns. What is in the files
is left to `unpacking.py` and those that read from it.
"""

import glob
import hashlib
import os
from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path

from llmkit.data.plain_text import normal
from llmkit.errors import ConfigError, InputError
from llmkit.store.manifests import Source


def find_files(patterns: str | list[str], by_content: bool = True) -> list[Path]:
    """The files that the patterns match: in the patterns' order, sorted within each, every file once.

    With `by_content` a link to a file is that file; without, a name of its own, as where folders are labels. Raises
    ConfigError where there is no pattern and InputError for one that matches nothing.
    """
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
            found.setdefault(os.path.realpath(match) if by_content else os.path.abspath(match), Path(match))
    if not found:
        raise ConfigError("prepare.files is empty; name the files to read, e.g. prepare.files=data/*.txt")
    return list(found.values())


def _why_nothing(pattern: str, place: str) -> str:
    if os.path.isdir(place):
        return f"{pattern} is a folder; name the files in it, e.g. {os.path.join(pattern, '**', '*.txt')}"
    if glob.has_magic(place):
        return f"{pattern} matches no file in {os.getcwd()}; check the pattern and the working directory"
    return f"there is no file {pattern} in {os.getcwd()}; check the name and the working directory"


def told(path: str | Path) -> str:
    """A path as others may see it, who have no business with somebody's folders: relative to the working directory
    where it lies there, else its name alone."""
    path = Path(path)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return path.name if path.is_absolute() or {"..", "~"} & set(path.parts) else str(path)


def folder_label(path: Path) -> str:
    """The label of a file whose folder is its label: that folder's name, also where it is a link."""
    return normal(Path(os.path.abspath(path)).parent.name)


def hash_files(paths: Iterable[Path]) -> list[Source]:
    """What the files hold, so that a changed one is recognised: `[{path, bytes, sha256}]`. Raises InputError."""
    sources: list[Source] = []
    for path in paths:
        with open_file(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            sources.append({"path": path.as_posix(), "bytes": file.tell(), "sha256": digest})
    return sources


def open_file(path: Path) -> BufferedReader:
    """The file, opened to be read as bytes. Raises InputError."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
