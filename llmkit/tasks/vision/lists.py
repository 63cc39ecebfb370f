"""Lists of picture files: a row for each, with the columns of its path, its label and what it belongs to.

In: CSV, TSV or JSON Lines and the section `prepare`. Out: paths, which are relative to the list's folder, and for each
its label, its group and its split, where columns are named.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from llmkit.data.files import open_file
from llmkit.data.picture_archives import PARTS
from llmkit.data.rows import Row, read_rows
from llmkit.errors import InputError
from llmkit.tasks.vision.settings import Prepare

LABELS = ("label", "class")  # columns that are taken for the label where none is named


class Listed(NamedTuple):
    """The rows of lists: of each its picture, where it stands, label, group and split, None without such columns."""

    paths: list[Path]
    places: list[str]
    labels: list[str] | None
    groups: list[str] | None
    splits: list[str] | None


def read(files: Sequence[Path], settings: Prepare) -> Listed:
    """The rows of all lists. Raises InputError for a row without a path, and for a split that is none."""
    paths, places, rows = [], [], []
    for file in files:
        with open_file(file) as stream:
            for place, row in read_rows(stream, str(file)):
                name = _value(row, settings.path, "prepare.path", place)
                path = file.parent / os.path.expanduser(name)
                if not path.is_file():
                    raise InputError(f"{place}: there is no picture {path}; paths are relative to the list's folder")
                paths.append(path)
                places.append(place)
                rows.append(row)
    if not rows:
        raise InputError(f"there is no row in {', '.join(map(str, files[:3]))}; name other files in prepare.files")
    label = settings.label
    if label == "auto":
        label = next((name for name in LABELS if name in rows[0]), "")
        if not label:
            there = ", ".join(rows[0])
            raise InputError(f"{places[0]}: name the column of the label in prepare.label; there are: {there}")
    labels = None if label == "none" else _column(rows, places, label, "prepare.label")
    groups = _column(rows, places, settings.split.group, "prepare.split.group") if settings.split.group else None
    splits = None
    if settings.split_column:
        found = _column(rows, places, settings.split_column, "prepare.split_column")
        splits = [_split(value, place) for value, place in zip(found, places, strict=True)]
    return Listed(paths, places, labels, groups, splits)


def _column(rows: list[Row], places: list[str], name: str, key: str) -> list[str]:
    return [_value(row, name, key, place) for row, place in zip(rows, places, strict=True)]


def _value(row: Row, name: str, key: str, place: str) -> str:
    if name not in row:
        raise InputError(f"{place}: there is no column '{name}' ({key}); there are: {', '.join(row)}")
    value = str(row[name] if row[name] is not None else "").strip()
    if not value:
        raise InputError(f"{place}: the column '{name}' ({key}) is empty; fill it in or leave the row out")
    return value


def _split(value: str, place: str) -> str:
    if value.lower() not in PARTS:
        raise InputError(f"{place}: {value[:40]!r} is no split; train, val and test are")
    return PARTS[value.lower()]
