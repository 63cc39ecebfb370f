"""What the prepared folders of several tasks have in common: labels.npy, split.npy, meta.json.

    labels.npy   (examples,) int32, the place in meta.json's list of labels
    split.npy    (examples,) uint8, the place in SPLITS: 0 train, 1 val, 2 test
    groups.npy   (examples,) int64, where some stay together in one split
    meta.json    what was read and how it was split

In: label numbers and splits of all examples, and what else a task has to say. Left out: the examples themselves, which
each task stores in its own way.
"""

import json
import shutil
from pathlib import Path
from typing import TypedDict

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data.splits import SPLITS, fold_split, grouped, grouped_fold_split, stratified
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files

GROUPS = "groups.npy"


class Summary(TypedDict):
    """What is known of labelled examples: how many, the names of their labels, and how many each split has of each."""

    examples: int
    labels: list[str]
    splits: dict[str, dict[str, int]]


def check_split(val: float, test: float, usual_val: float) -> None:
    """Refuse shares that leave nothing to train on or to validate with; `usual_val` is suggested in place of 0. Raises
    ConfigError."""
    if val <= 0:
        raise ConfigError(f"prepare.split.val must be above 0: training is steered by validation; try {usual_val:g}")
    if val + test >= 1:
        raise ConfigError(f"prepare.split: val {val:g} and test {test:g} leave nothing to train on; lower them")


def write(out: Path, names: list[str], labels: np.ndarray, of: np.ndarray, val: float, test: float) -> Summary:
    """Write labels.npy and split.npy; returns what meta.json says of them. Raises InputError for an empty split.

    `labels` (N,) are places in `names`, `of` (N,) the splits that were drawn for the shares `val` and `test`. Without
    `names` labels are not spoken of.
    """
    summary = {}
    for number, name in enumerate(SPLITS):
        counts = np.bincount(labels[of == number], minlength=len(names))
        if name != "test" or test > 0:
            summary[name] = {"examples": int(counts.sum())} | dict(zip(names, counts.tolist(), strict=False))
            if counts.sum() == 0:
                raise InputError(
                    f"the {name} split is empty: {len(labels):,} examples are too few for prepare.split "
                    f"(val {val:g}, test {test:g}); add examples or raise its share"
                )
    new_files.save_array(out / "labels.npy", labels.astype(np.int32))
    new_files.save_array(out / "split.npy", of)
    return {"examples": len(labels), "labels": names, "splits": summary}


def warn_of_rare(summary: Summary, warn: Warn) -> None:
    """Say which labels have too few examples to validate or to test with; `summary` is what `write` returned."""
    counts = summary["splits"]
    rare = [name for name in summary["labels"] if any(counts[split][name] == 0 for split in counts)]
    if rare:
        named = ", ".join(repr(name) for name in rare[:5]) + (", …" if len(rare) > 5 else "")
        warn(f"some split has no example of the label {named}: figures say nothing of it; add examples")


UNIQUE = "set prepare.split.unique: true, which keeps copies together"


def draw(out: Path, labels: np.ndarray, groups: np.ndarray | None, val: float, test: float, seed: int) -> np.ndarray:
    """The split (N,) uint8 of each example: stratified by labels (N,) or, given groups (N,), whole groups at random.

    Groups are written to groups.npy, for the folds. Raises InputError for fewer groups than splits.
    """
    if groups is None:
        return stratified(labels, val, test, seed)
    new_files.save_array(out / GROUPS, groups)
    return grouped(groups, val, test, seed)


def copy_for_fold(prepared: Files, out: Path, number: int, count: int, val: float, seed: int) -> np.ndarray:
    """Copy a prepared folder with the split of fold `number`, from 1, of `count`; returns that split (N,).

    `val` is the share that validates of the examples outside the fold. Raises InputError for more folds than examples.
    """
    for file in prepared.path.iterdir():
        if file.name != "manifest.json":
            shutil.copyfile(file, out / file.name)
    labels = prepared.array("labels.npy")
    if count > len(labels):
        raise InputError(f"train.folds: {count} folds need as many examples, and there are {len(labels)}; take fewer")
    if GROUPS in prepared:
        of = grouped_fold_split(prepared.array(GROUPS), number, count, val, seed)
    else:
        of = fold_split(labels, number, count, val, seed)
    new_files.save_array(out / "split.npy", of)
    return of


def examples_of(prepared: Files, name: str) -> tuple[np.ndarray, str]:
    """(the examples of a split, by number; its name): validation where there is no test split."""
    of = prepared.array("split.npy")
    if name == "test" and not (of == 2).any():
        name = "val"
    return np.flatnonzero(of == SPLITS.index(name)), name


def read_meta(prepared: Files) -> Json:
    """meta.json of a prepared folder."""
    return prepared.read_json("meta.json")


def write_meta(out: Path, meta: Json) -> None:
    """Write meta.json."""
    text = json.dumps(meta, indent=2, ensure_ascii=False) + "\n"
    new_files.write_text(out / "meta.json", text, errors="backslashreplace")  # names of files may be no UTF-8
