"""Rows to the arrays a network takes: scaled numbers and numbers of categories, as learnt from the training split.

In: `Rows`. Out: numbers (N, F) float32 and categories (N, M) int64. What was learnt is plain JSON, `columns.json`, in
the prepared folder and in every model folder:

    columns      how each column of the raw rows is read (`columns.py`), from which the numbers and categories are made
    numbers      of each column the maps of its scaling, piecewise linear ([values, scores]: flat outside), whether it
                 lacked values in training, for which F then has a column of its own (1 where missing), and the edges of
                 its pieces, each of which has a column at the end of F (how far the value is through it, 0 to 1),
                 and the median
    categories   of each column its values and the most frequent one, `typical`; what is not among them is 0, the k-th
                 is k + 1. All columns number on in one table, `offset` being where a column begins
"""

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import NormalDist

import msgspec
import numpy as np

from llmkit.data.columns import BOOLEANS, Column, Kind, Rows
from llmkit.data.date_format import DateFormat
from llmkit.data.number_format import COMMAS, POINTS, NumberFormat
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files

FILE = "columns.json"
KNOWN = {(how.decimal, how.thousands) for how in (*POINTS, *COMMAS)}
QUANTILES = 32  # of the map to a normal distribution, at most; between them it is linear
OUTLIER = 100.0  # times the range of the middle half that a value may lie beyond it
CLIP = 4.0  # deviations that a standardized number is kept within
SEEN_AT_LEAST = 2  # times in training: of a value seen once nothing can be learnt but to trust it
ROWS_OF_A_PIECE = 200  # of a column's values, at least: fewer teach more pieces nothing
MOST_PIECES = 48
MOST_VALUES = 1000  # of a column of categories, the most frequent ones


@dataclass(frozen=True)
class Number:
    """A column of numbers: `maps` of its scaling, each a list of rising values and one of their scores.

    `edges` (P + 1), rising, are those of its pieces, or none (piecewise linear encoding: Gorishniy et al., arXiv
    2203.05556, section 3.2): a network then bends where the data does.
    """

    name: str
    maps: list[list[list[float]]]
    missing: bool
    edges: list[float] = field(default_factory=list)
    median: float | None = None
    """Of the training values that are there; None in folders of the first versions."""

    @property
    def typical(self) -> float:
        """The median, or the value that counts as none in the scaling."""
        if self.median is not None:
            return self.median
        return float(np.interp(0.0, self.maps[0][1], self.maps[0][0])) if self.maps else 0.0

    @property
    def width(self) -> int:
        """Columns of F."""
        return len(self.maps) + max(0, len(self.edges) - 1) + self.missing


@dataclass(frozen=True)
class Category:
    """A column of categories: its `values`, None standing for a missing one, and where it begins in the table."""

    name: str
    values: list[str | None]
    offset: int
    typical: str | None = None
    """The most frequent value of training."""


@dataclass(frozen=True)
class Encoding:
    """How raw rows become arrays."""

    columns: list[Column]
    numbers: list[Number]
    categories: list[Category]
    missing_values: Sequence[object]
    label: Column | None = None
    """How the numbers that are predicted are written, where numbers are."""

    @property
    def width(self) -> int:
        """F, the numbers of a row."""
        return sum(column.width for column in self.numbers)

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
        numbers = np.concatenate([numbers, self._through_pieces(rows.numbers)], axis=1)
        ids = np.zeros((len(rows), len(self.categories)), np.int64)
        for k, category in enumerate(self.categories):
            place = _places(category)
            ids[:, k] = [category.offset + place.get(value, 0) for value in rows.categories[:, k]]
        return numbers, ids

    @cached_property
    def _pieces(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(column, lower edge, width) of all pieces, each (P,)."""
        of, low, width = [], [], []
        for k, column in enumerate(self.numbers):
            of += [k] * (len(column.edges) - 1)
            low += column.edges[:-1]
            width += [high - edge for edge, high in itertools.pairwise(column.edges)]
        return np.array(of, np.int64), np.array(low), np.array(width)

    def _through_pieces(self, numbers: np.ndarray) -> np.ndarray:
        """How far numbers (N, columns) are through each piece, (N, P) float32; 0 where missing."""
        of, low, width = self._pieces
        return np.nan_to_num(np.clip((numbers[:, of] - low) / width, 0.0, 1.0)).astype(np.float32)

    def typical(self) -> Rows:
        """A single row as most are: medians and the most frequent categories of training."""
        numbers = np.array([[column.typical for column in self.numbers]], np.float64)
        categories = np.array([*(category.typical for category in self.categories), None], object)[None, :-1]
        return Rows(numbers, categories)

    def unseen(self, rows: Rows) -> list[tuple[int, str, str]]:
        """(row, column, value) of every category that training has not seen, or not often enough to learn it."""
        found = []
        for k, category in enumerate(self.categories):
            known = {*_places(category), None}
            found += [
                (row, category.name, value) for row, value in enumerate(rows.categories[:, k]) if value not in known
            ]
        return found


def learn(
    rows: Rows,
    columns: list[Column],
    scaling: str,
    missing_values: Sequence[object],
    pieces: int | None = 0,
    label: Column | None = None,
) -> Encoding:
    """The encoding of training rows that were parsed by these columns.

    `pieces`: of each column of numbers, at most; None takes as many as the rows can teach.
    """
    if pieces is None:
        pieces = min(MOST_PIECES, len(rows) // ROWS_OF_A_PIECE)
    names = [name for column in columns for name in column.numbers]
    numbers = [_number(name, rows.numbers[:, k], scaling, pieces) for k, name in enumerate(names)]
    categories, offset = [], 0
    for k, name in enumerate(name for column in columns for name in column.categories):
        counts = Counter(rows.categories[:, k].tolist())
        often = [value for value, count in counts.most_common(MOST_VALUES) if count >= SEEN_AT_LEAST]
        values = sorted(often, key=lambda value: (value is not None, value or ""))
        categories.append(Category(name, values, offset, counts.most_common(1)[0][0] if counts else None))
        offset += len(values) + 1
    return Encoding(columns, numbers, categories, missing_values, label)


def save(encoding: Encoding, path: Path) -> None:
    """Write columns.json."""
    new_files.write_text(path, json.dumps(asdict(encoding), ensure_ascii=False) + "\n")


def load(folder: Files) -> Encoding:
    """columns.json of a prepared folder or of a model folder. Raises InputError."""
    data = folder.read_json(FILE)
    try:
        found = _from_data(data)
        _check(found)
    except (msgspec.ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise folder.damaged(FILE, f"no columns ({error})") from error
    return found


def _from_data(data: Json) -> Encoding:
    return Encoding(
        columns_of(data),
        msgspec.convert(data["numbers"], list[Number]),
        msgspec.convert(data["categories"], list[Category]),
        msgspec.convert(data["missing_values"], list[str | float | int | bool | None]),
        _column(data["label"]) if data.get("label") else None,
    )


def _check(found: Encoding) -> None:
    """Raise ValueError where the parts do not fit each other."""
    if [name for column in found.columns for name in column.numbers] != [column.name for column in found.numbers]:
        raise ValueError("other columns of numbers than columns")
    if [name for column in found.columns for name in column.categories] != [one.name for one in found.categories]:
        raise ValueError("other columns of categories than columns")
    for column in found.numbers:
        for one in column.maps:
            if len(one) != 2 or len(one[0]) != len(one[1]) or not one[0] or sorted(one[0]) != one[0]:
                raise ValueError(f"the scaling of {column.name!r} is no map")
        if any(low >= high for low, high in itertools.pairwise(column.edges)):
            raise ValueError(f"the pieces of {column.name!r} do not rise")
    offset = 0
    for category in found.categories:
        if category.offset != offset:
            raise ValueError(f"{category.name!r} begins at {category.offset:,} and not at {offset:,}")
        offset += len(category.values) + 1


def columns_of(data: Json) -> list[Column]:
    """The columns that `to_data` was given; of files of the first version, which knew plain numbers alone, too."""
    if "columns" not in data:
        kinds: list[tuple[Kind, str]] = [("number", "numbers"), ("category", "categories")]
        return [Column(column["name"], kind) for kind, key in kinds for column in data[key]]
    return [_column(about) for about in data["columns"]]


def _column(about: Json) -> Column:
    """A column in plain data. Raises KeyError, TypeError, ValueError and msgspec.ValidationError."""
    formats = {"number": NumberFormat, "date": DateFormat}
    kind = msgspec.convert(about["kind"], Kind)
    how: NumberFormat | DateFormat | None = None
    if about["format"] or kind == "date":
        how = msgspec.convert(about["format"], formats[kind])
    if isinstance(how, NumberFormat) and (how.decimal, how.thousands) not in KNOWN:
        raise ValueError(f"no number is written so: {how.decimal!r}, {how.thousands!r}")
    return Column(msgspec.convert(about["name"], str), kind, how)


def _number(name: str, values: np.ndarray, scaling: str, pieces: int) -> Number:
    there = values[~np.isnan(values)]
    lacks = len(there) < len(values)
    if len(there) == 0 or there.min() == there.max():
        only = float(there[0]) if len(there) else None
        return Number(name, [[[0.0], [0.0]]], lacks, median=only)  # tells nothing: always the score 0
    maps = []
    if scaling in ("quantile", "both"):
        maps.append(_quantile_map(there))
    if scaling in ("standard", "both"):
        middle = _without_outliers(there)
        mean, deviation = float(middle.mean()), float(middle.std())
        maps.append(_short(np.array([mean - CLIP * deviation, mean + CLIP * deviation]), np.array([-CLIP, CLIP])))
    return Number(name, maps, lacks, _edges(there, pieces), float(np.median(there)))


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


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """The values, those beyond OUTLIER times the middle half's range drawn in, so that one 1e300 hides no others."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = OUTLIER * (high - low)
    return np.clip(values, low - reach, high + reach) if 0 < reach < np.inf else values


def _places(category: Category) -> dict[str | None, int]:
    """{value: its number, from 1}; 1 and 0 stand for true and false where training had those, or they for it."""
    place = {value: number for number, value in enumerate(category.values, 1)}
    if set(category.values) <= {*BOOLEANS, None} or set(category.values) <= {"0", "1", None}:
        for pair in zip(BOOLEANS, ("0", "1"), strict=True):
            for value, other in (pair, pair[::-1]):
                if value in place:
                    place.setdefault(other, place[value])
    return place


def _edges(values: np.ndarray, pieces: int) -> list[float]:
    """Edges at quantiles of the values, so that each piece has about as many of them; none for a single piece."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, pieces + 1))) if pieces > 1 else np.empty(0)
    return edges.tolist() if len(edges) > 2 else []


def _short(knots: np.ndarray, scores: np.ndarray) -> list[list[float]]:
    """The map: knots as they are, for a column may be narrow beside its size; scores in the network's float32."""
    return [knots.tolist(), [float(f"{score:.7g}") for score in scores]]
