"""Raw files to rows of numbers and categories, with their labels, splits and what is learnt from training rows.

In: the section `prepare` of the config. Out, in the folder `out`:

    numbers.npy      (rows, columns) float64, NaN where missing
    categories.npy   (rows, columns) int32, the place of the value in categories.json, -1 where missing
    categories.json  of each column of categories every value that occurs
    labels.npy       (rows,) int32, the place in meta.json's list of labels; of numbers, which tenth of them it is in
    targets.npy      (rows,) float64, the numbers, where numbers are predicted
    weights.npy      (rows,) float64, where a column of weights is named
    baseline.json    of numbers: a constant and a linear model, learnt from the training split (`baseline.py`)
    split.npy        (rows,) uint8: 0 train, 1 val, 2 test
    columns.json     scaling and categories, learnt from the training split (`encoding.py`)
    meta.json        columns, labels, splits, sources

The same files, settings and seed give the same bytes. The rows must fit into memory.
"""

import json
from pathlib import Path

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import column_kinds, encoding, prepared_folder
from llmkit.data.column_kinds import Wishes
from llmkit.data.columns import Column, Rows, as_text, missing_texts, parse
from llmkit.data.decoding import check_encoding
from llmkit.data.encoding import Encoding
from llmkit.data.files import find_files, hash_files
from llmkit.data.labels import number_classes
from llmkit.data.rows import Row, all_rows
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.numbers import learn_scale
from llmkit.predicting.settings import Split
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.manifests import Source
from llmkit.tasks.table import baseline, row_splits, target as targets
from llmkit.tasks.table.settings import Prepare

DECIMALS = {"auto": "", "point": ".", "comma": ","}


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    if not settings.label:
        raise ConfigError("prepare.label: say which column holds the label, e.g. prepare.label=risk")
    row_splits.check(settings.split)
    if settings.weight and settings.predict == "label":
        raise ConfigError("prepare.weight is for numbers; labels are weighed by train.class_weights")
    weight = [settings.weight] if settings.weight else []
    named = [settings.label, *weight, *settings.numbers, *settings.categories, *settings.dates, *settings.ignore]
    for name in named:
        if named.count(name) > 1:
            raise ConfigError(
                f"prepare: the column '{name}' is named twice; it is label, weight, number, category, date or ignored"
            )


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    return hash_files(find_files(settings.files))


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    paths = find_files(settings.files)
    rows, places = read_files(paths, settings, progress)
    rows, places, labels = with_labels(rows, places, settings, warn)
    predicts = targets.kind(labels, places, settings, warn)
    label = None
    if predicts == "label":
        names, label_numbers = number_classes(labels, ", ".join(map(str, paths[:3])))
    else:
        label = targets.column(labels, settings, warn)
        numbers = targets.as_numbers(labels, places, label)
        names, label_numbers = [], targets.bins(numbers)
    columns = columns_of(rows, places, settings, warn)
    weights = weights_of(rows, places, settings) if settings.weight else None
    rows = with_columns(rows, places, [column.name for column in columns], warn)
    parsed = parse(rows, places, columns, settings.missing)
    val, test = settings.split.val, settings.split.test
    of = row_splits.draw(rows, places, parsed, label_numbers, settings, seed, out, warn)
    summary = prepared_folder.write(out, names, label_numbers, of, val, test)
    prepared_folder.warn_of_rare(summary, warn)
    _write_rows(parsed, out)
    learnt = encoding.learn(parsed.take(of == 0), columns, settings.scaling, settings.missing, settings.pieces, label)
    encoding.save(learnt, out / encoding.FILE)
    more: Json = {"predicts": predicts}
    if predicts == "number":
        more |= _write_numbers(numbers, of, settings, out)
        learn_baseline(learnt, parsed, numbers, of, out)
    if weights is not None:
        new_files.save_array(out / "weights.npy", weights)
    meta = {
        **summary,
        **more,
        "columns": {column.name: str(column) for column in columns},
        "inputs_of_the_network": learnt.width + len(learnt.categories),
        "sources": hash_files(paths),
    }
    prepared_folder.write_meta(out, meta)
    return meta


def read(prepared: Files) -> Rows:
    """The rows of a prepared folder."""
    values = prepared.read_json("categories.json")
    ids = prepared.array("categories.npy")
    words = np.full(ids.shape, None, dtype=object)
    for k, known in enumerate(values):
        words[:, k] = np.array([*known, None], dtype=object)[ids[:, k]]  # -1 is the last one
    return Rows(prepared.array("numbers.npy"), words)


def read_files(paths: list[Path], settings: Prepare, progress: Progress) -> tuple[list[Row], list[str]]:
    """All rows of the files, and where each was found: "FILE, line N"."""
    how = {"format": settings.format, "encoding": settings.encoding, "delimiter": settings.delimiter}
    return all_rows(paths, progress, **how)


def with_labels(
    rows: list[Row], places: list[str], settings: Prepare, warn: Warn
) -> tuple[list[Row], list[str], list[str]]:
    """The rows that have a label, with their places and labels. Raises InputError where the column is not there."""
    for row, place in zip(rows, places, strict=True):
        if settings.label not in row:
            there = ", ".join(row)
            raise InputError(f"{place}: there is no column '{settings.label}' (prepare.label); there are: {there}")
    absent = missing_texts(settings.missing)
    labels = [
        as_text(row.get(settings.label), absent, place, settings.label) for row, place in zip(rows, places, strict=True)
    ]
    kept = [number for number, label in enumerate(labels) if label is not None]
    if len(kept) < len(rows):
        first = next(place for place, label in zip(places, labels, strict=True) if label is None)
        warn(f"{len(rows) - len(kept):,} rows have no label and are left out, the first in {first}")
    return [rows[k] for k in kept], [places[k] for k in kept], [labels[k] or "" for k in kept]


def columns_of(rows: list[Row], places: list[str], settings: Prepare, warn: Warn) -> list[Column]:
    """The columns to learn from, and how each is read. Raises InputError."""
    named = {settings.label: "label"} | ({settings.weight: "weight"} if settings.weight else {})
    named |= {settings.split.group: "split.group"} if settings.split.group else {}
    wishes = Wishes(
        settings.numbers,
        settings.categories,
        settings.dates,
        settings.ignore,
        settings.missing,
        DECIMALS[settings.decimal],
        settings.day_first,
        named,
    )
    return column_kinds.find(rows, places, wishes, warn)


def weights_of(rows: list[Row], places: list[str], settings: Prepare) -> np.ndarray:
    """The weights (N,) float64 of the rows. Raises InputError for one that is missing or not above 0."""
    column = Column(settings.weight, "number")
    weights = parse(rows, places, [column], settings.missing).numbers[:, 0]
    for row, place, weight in zip(rows, places, weights, strict=True):
        if not weight > 0:
            raise InputError(
                f"{place}, column '{settings.weight}' (prepare.weight): {row[settings.weight]!r} is no number above 0; "
                "mend it or leave the row out"
            )
    return weights


def learn_baseline(learnt: Encoding, rows: Rows, numbers: np.ndarray, of: np.ndarray, out: Path) -> None:
    """Write baseline.json: what is learnt of numbers (N,) from the training split."""
    new_files.write_bytes(out / baseline.FILE, baseline.to_bytes(baseline.learn(learnt, rows, numbers, of)))


def with_columns(rows: list[Row], places: list[str], columns: list[str], warn: Warn) -> list[Row]:
    """The rows with null for each of `columns` that they lack, as rows of JSON Lines and of several files may."""
    for name in columns:
        lacking = [place for row, place in zip(rows, places, strict=True) if name not in row]
        if lacking:
            warn(
                f"{len(lacking):,} of {len(rows):,} rows have no column '{name}', the first in {lacking[0]}: it counts "
                "as missing there"
            )
    return [dict.fromkeys(columns) | row for row in rows]


def _write_numbers(numbers: np.ndarray, of: np.ndarray, settings: Prepare, out: Path) -> Json:
    """Write targets.npy; returns what meta.json says of the numbers (N,)."""
    new_files.save_array(out / "targets.npy", numbers)
    trained = numbers[of == 0]
    log = targets.learns_logarithm(trained, settings)
    scale = learn_scale(trained, log=False)
    return {"target": "log" if log else "plain", "target_mean": scale.mean, "target_deviation": scale.deviation}


def _write_rows(rows: Rows, out: Path) -> None:
    new_files.save_array(out / "numbers.npy", rows.numbers)
    ids = np.full(rows.categories.shape, -1, np.int32)
    values = []
    for k in range(rows.categories.shape[1]):
        known = sorted({value for value in rows.categories[:, k] if value is not None})
        place = {value: number for number, value in enumerate(known)}
        ids[:, k] = [place.get(value, -1) for value in rows.categories[:, k]]
        values.append(known)
    new_files.save_array(out / "categories.npy", ids)
    new_files.write_text(out / "categories.json", json.dumps(values, ensure_ascii=False) + "\n")
