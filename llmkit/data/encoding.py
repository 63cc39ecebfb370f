"""Rows to the arrays a network takes: scaled numbers and numbers of categories, as learnt from the training split.

In: `Rows`. Out: numbers (N, F) float32 and categories (N, M) int64. What was learnt is plain JSON, `columns.json`, in
the prepared folder and in every model folder:

    numbers      of each column the maps of its scaling, piecewise linear ([values, scores]: flat outside), and whether
                 it lacked values in training, for which F then has a column of its own (1 where missing)
    categories   of each column its values; one not among them is 0, the k-th is k + 1. All columns number on in one
                 table, `offset` being where a column begins
"""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np

from llmkit.data.columns import Rows
from llmkit.store.files import Files

FILE = "columns.json"
QUANTILES = 32  # of the map to a normal distribution, at most; between them it is linear
CLIP = 4.0  # deviations that a standardized number is kept within
SEEN_AT_LEAST = 2  # times in training: of a value seen once nothing can be learnt but to trust it
MOST_VALUES = 1000  # of a column of categories, the most frequent ones


@dataclass(frozen=True)
class Number:
    """A column of numbers: `maps` of its scaling, each a list of rising values and one of their scores."""

    name: str
    maps: list[list[list[float]]]
    missing: bool


@dataclass(frozen=True)
class Category:
    """A column of categories: its `values`, None standing for a missing one, and where it begins in the table."""

    name: str
    values: list[str | None]
    offset: int


@dataclass(frozen=True)
class Encoding:
    """How raw rows become arrays."""

    numbers: list[Number]
    categories: list[Category]
    missing_values: list[str]

    @property
    def width(self) -> int:
        """F, the numbers of a row."""
        return sum(len(column.maps) + column.missing for column in self.numbers)

    @property
    def table_size(self) -> int:
        """Rows of the table of all categories."""
        return sum(len(column.values) + 1 for column in self.categories)

    def encode(self, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """(N, F) float32 and (N, M) int64."""
        parts = []
        for k, column in enumerate(self.numbers):
            values = rows.numbers[:, k]
            lacks = np.isnan(values)
            for knots, scores in column.maps:
                parts.append(np.where(lacks, 0.0, np.interp(values, knots, scores)))
            if column.missing:
                parts.append(lacks)
        numbers = np.stack(parts, axis=1).astype(np.float32) if parts else np.zeros((len(rows), 0), np.float32)
        ids = np.zeros((len(rows), len(self.categories)), np.int64)
        for k, category in enumerate(self.categories):
            place = {value: number for number, value in enumerate(category.values, 1)}
            ids[:, k] = [category.offset + place.get(value, 0) for value in rows.categories[:, k]]
        return numbers, ids

    def unseen(self, rows: Rows) -> list[tuple[int, str, str]]:
        """(row, column, value) of every category that training has not seen, or not often enough to learn it."""
        found = []
        for k, category in enumerate(self.categories):
            known = set(category.values) | {None}
            found += [
                (row, category.name, value) for row, value in enumerate(rows.categories[:, k]) if value not in known
            ]
        return found


def learn(rows: Rows, names: tuple[list[str], list[str]], scaling: str, missing_values: list[str]) -> Encoding:
    """The encoding of training rows; `names` of the columns of numbers and of categories."""
    numbers = [_number(name, rows.numbers[:, k], scaling) for k, name in enumerate(names[0])]
    categories, offset = [], 0
    for k, name in enumerate(names[1]):
        counts = Counter(rows.categories[:, k].tolist())
        often = [value for value, count in counts.most_common(MOST_VALUES) if count >= SEEN_AT_LEAST]
        values = sorted(often, key=lambda value: (value is not None, value or ""))
        categories.append(Category(name, values, offset))
        offset += len(values) + 1
    return Encoding(numbers, categories, missing_values)


def save(encoding: Encoding, path: Path) -> None:
    """Write columns.json."""
    path.write_text(json.dumps(asdict(encoding), ensure_ascii=False) + "\n", encoding="utf-8")


def load(folder: Files) -> Encoding:
    """columns.json of a prepared folder or of a model folder. Raises InputError."""
    found = folder.read_as(FILE, Encoding)
    for column in found.numbers:
        for one in column.maps:
            if len(one) != 2 or len(one[0]) != len(one[1]) or not one[0] or sorted(one[0]) != one[0]:
                raise folder.damaged(FILE, f"the scaling of {column.name!r} is no map")
    offset = 0
    for category in found.categories:
        if category.offset != offset:
            raise folder.damaged(FILE, f"{category.name!r} begins at {category.offset:,} and not at {offset:,}")
        offset += len(category.values) + 1
    return found


def _number(name: str, values: np.ndarray, scaling: str) -> Number:
    there = values[~np.isnan(values)]
    lacks = len(there) < len(values)
    if len(there) == 0 or there.min() == there.max():
        return Number(name, [[[0.0], [0.0]]], lacks)  # tells nothing: always the score 0
    maps = []
    if scaling in ("quantile", "both"):
        maps.append(_quantile_map(there))
    if scaling in ("standard", "both"):
        mean, deviation = float(there.mean()), float(there.std())
        maps.append(_short(np.array([mean - CLIP * deviation, mean + CLIP * deviation]), np.array([-CLIP, CLIP])))
    return Number(name, maps, lacks)


def _quantile_map(values: np.ndarray) -> list[list[float]]:
    """Quantiles to those of a normal distribution; equal values share the mean of their scores. Mean 0, deviation 1."""
    count = min(len(values), QUANTILES)
    levels = (np.arange(count) + 0.5) / count
    normal = NormalDist()
    knots, number = np.unique(np.quantile(values, levels), return_inverse=True)
    scores = np.bincount(number, [normal.inv_cdf(level) for level in levels]) / np.bincount(number)
    mapped = np.interp(values, knots, scores)
    scores = (scores - mapped.mean()) / (mapped.std() or 1.0)
    return _short(knots, scores)


def _short(knots: np.ndarray, scores: np.ndarray) -> list[list[float]]:
    """The map in float32's precision of scores, which is what the network reads."""
    return [[float(f"{knot:.9g}") for knot in knots], [float(f"{score:.7g}") for score in scores]]
