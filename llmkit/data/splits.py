"""Which examples train, validate and test: stratified, so that every split has each label in its share.

In: the label numbers of all examples. Out: `split.npy`, the split of each (0 train, 1 val, 2 test). The same labels and
seed give the same splits. Examples that are copies of each other may fall into different splits.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.config.requirements import SPLITS
from llmkit.console.callbacks import Warn
from llmkit.errors import InputError
from llmkit.predicting.settings import Split
from llmkit.store.files import Files

MOST_LABELS = 1000


def number_labels(labels: Sequence[str], where: str) -> tuple[list[str], np.ndarray]:
    """(the different labels, sorted, and the number (N,) of each example's). Raises InputError for fewer than two."""
    names = sorted(set(labels))
    if len(names) < 2:
        found = f"all {len(labels):,} examples have the label '{names[0]}'" if names else "there is no example"
        raise InputError(f"{where}: {found}; a classifier needs examples of at least two labels")
    if len(names) > MOST_LABELS or 2 * len(names) > len(labels) >= 10:
        raise InputError(
            f"{where}: {len(names):,} different labels in {len(labels):,} examples; this task predicts classes, not "
            "numbers: name another column in prepare.label, or put its values into classes"
        )
    place = {name: number for number, name in enumerate(names)}
    return names, np.array([place[label] for label in labels], np.int32)


def folds(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold (N,), from 0, of each example; sizes, and those of each label, differ by one at most."""
    fold = np.empty(len(labels), np.int64)
    fold[_by_label(labels, seed)] = np.arange(len(labels)) % count
    return fold


def split(labels: np.ndarray, val: float, test: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of each example, 0 train, 1 val, 2 test; every label has an example to train on."""
    of = np.zeros(len(labels), np.uint8)
    order = _by_label(labels, seed)
    tested = _every(len(order), test)
    of[order[tested]] = 2
    rest = order[~tested]
    of[rest[_every(len(rest), val / (1 - test))]] = 1
    return _each_label_trains(of, labels)


def fold_split(labels: np.ndarray, number: int, count: int, val: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of fold `number`, from 1: the fold is the test split, `val` of the rest validates."""
    of = np.full(len(labels), 2, np.uint8)
    rest = np.flatnonzero(folds(labels, count, seed) != number - 1)
    of[rest] = split(labels[rest], val, 0.0, seed + number)
    return of


def _by_label(labels: np.ndarray, seed: int) -> np.ndarray:
    """The examples (N,) in random order, but those of a label together."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")]


def _every(count: int, share: float) -> np.ndarray:
    """(count,) bool: an evenly spaced share of true ones."""
    steps = np.floor(np.arange(count + 1) * share + 0.5)
    return np.diff(steps) > 0


def _each_label_trains(of: np.ndarray, labels: np.ndarray) -> np.ndarray:
    for label in np.setdiff1d(labels, labels[of == 0]):
        of[np.flatnonzero(labels == label)[0]] = 0
    return of


# --- in the prepared folder -----------------------------------------------------------------------------------


def write(out: Path, names: list[str], labels: np.ndarray, of: np.ndarray, settings: Split) -> dict[str, Any]:
    """Write labels.npy and split.npy; returns what meta.json says of them. Raises InputError for an empty split.

    Without `names` all examples have the label 0, which is not spoken of.
    """
    summary = {}
    for number, name in enumerate(SPLITS):
        counts = np.bincount(labels[of == number], minlength=len(names))
        if name != "test" or settings.test > 0:
            summary[name] = {"examples": int(counts.sum())} | dict(zip(names, counts.tolist(), strict=False))
            if counts.sum() == 0:
                raise InputError(
                    f"the {name} split is empty: {len(labels):,} examples are too few for prepare.split "
                    f"(val {settings.val:g}, test {settings.test:g}); add examples or raise its share"
                )
    np.save(out / "labels.npy", labels.astype(np.int32))
    np.save(out / "split.npy", of)
    return {"examples": len(labels), "labels": names, "splits": summary}


def warn_of_rare(summary: dict[str, Any], warn: Warn) -> None:
    """Say which labels have too few examples to validate or to test with."""
    counts = summary["splits"]
    rare = [name for name in summary["labels"] if any(counts[split][name] == 0 for split in counts)]
    if rare:
        named = ", ".join(repr(name) for name in rare[:5]) + (", …" if len(rare) > 5 else "")
        warn(f"some split has no example of the label {named}: figures say nothing of it; add examples")


def copy_for_fold(prepared: Files, out: Path, number: int, count: int, settings: Split, seed: int) -> np.ndarray:
    """Copy a prepared folder with the split of a fold; returns that split (N,)."""
    for file in prepared.path.iterdir():
        if file.name != "manifest.json":
            shutil.copyfile(file, out / file.name)
    labels = prepared.array("labels.npy")
    if count > len(labels):
        raise InputError(f"train.folds: {count} folds need as many examples, and there are {len(labels)}; take fewer")
    of = fold_split(labels, number, count, settings.val, seed)
    np.save(out / "split.npy", of)
    return of


def examples_of(prepared: Files, name: str) -> tuple[np.ndarray, str]:
    """(the examples of a split, by number; its name): validation where there is no test split."""
    of = prepared.array("split.npy")
    if name == "test" and not (of == 2).any():
        name = "val"
    return np.flatnonzero(of == SPLITS.index(name)), name


def read_meta(prepared: Files) -> dict[str, Any]:
    """meta.json of a prepared folder."""
    return prepared.read_json("meta.json")


def write_meta(out: Path, meta: dict[str, Any]) -> None:
    """Write meta.json."""
    (out / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
