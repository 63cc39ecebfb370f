"""Metrics of a table's model folder, on a split or on other rows whose labels or numbers are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import encoding, prepared_folder
from llmkit.data.columns import Column, Rows
from llmkit.explaining import columns, importance
from llmkit.plain import Json
from llmkit.predicting import evaluate as measuring, explained, membership
from llmkit.predicting.evaluate import NUMBER_TABLE, TABLE as LABEL_TABLE, UNIT, Targeted
from llmkit.predicting.regressor import Regressor
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import baseline, prepare, target, use
from llmkit.tasks.table.settings import Config

__all__ = ["TABLE", "UNIT", "measure", "metrics", "of_files", "of_split", "validation_loss"]

MOST_IMPORTANCE_ROWS = 2000  # among which a column is dealt out
IMPORTANCE_SEED = 0
TABLE = [*NUMBER_TABLE, *(column for column in LABEL_TABLE if column not in NUMBER_TABLE)]


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Targeted[Rows]:
    """The rows of a split."""
    examples, split = prepared_folder.examples_of(prepared, split)
    truths = "targets.npy" if use.is_of_numbers(folder) else "labels.npy"
    rows = prepare.read(prepared).take(examples)
    found = _targeted(split, rows, prepared.array(truths)[examples], encoding.load(folder))
    return replace(found, members=lambda: of_split(folder, prepared, "train"))


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Targeted[Rows]:
    """The labelled rows of other files: columns as the model has them, files read as the config says now."""
    how = settings.prepare
    reading = structs.replace(
        folder.settings.prepare, format=how.format, encoding=how.encoding, delimiter=how.delimiter
    )
    raw, places, labels = prepare.with_labels(*prepare.read_files(files, reading, progress), reading, warn)
    learnt = encoding.load(folder)
    rows = use.read_rows(learnt, raw, places)
    for line in use.unseen(learnt, rows, places):
        warn(line)
    if use.is_of_numbers(folder):
        numbers = target.as_numbers(labels, places, learnt.label or Column(reading.label, "number"))
        return _targeted("files", rows, numbers, learnt)
    return _targeted("files", rows, measuring.number_labels(folder, labels, places), learnt)


def metrics(folder: ModelFolder, examples: Targeted[Rows], settings: Config, progress: Progress, warn: Warn) -> Json:
    """Quality, calibration or coverage, size and speed on the rows; of numbers, those of `baselines` too."""
    model, learnt = use.load(folder), encoding.load(folder)
    baselines = {}
    if isinstance(model, Regressor):
        interval = settings.evaluate.interval
        model = model.with_interval(interval)
        rows = examples.read(model, np.arange(len(examples.targets)))
        baselines = {"baselines": baseline.read(folder).measure(learnt, rows, examples.targets, interval)}
    found = measuring.metrics(model, examples, progress) | baselines
    found |= {key: folder.result[key] for key in ("epsilon", "delta") if key in folder.result}
    found |= membership.figures(model, examples, settings.evaluate.membership, progress, warn)
    return found | _explained(model, learnt, examples, settings, progress)


def _explained(
    model: use.Model, learnt: encoding.Encoding, examples: Targeted[Rows], settings: Config, progress: Progress
) -> Json:
    """Where the config asks for it, `explanations` and the `importance` of each column."""
    found, _ = explained.figures(model, examples, settings.evaluate.explain, progress)
    if not found:
        return {}
    which = np.random.default_rng(IMPORTANCE_SEED).permutation(len(examples.targets))[:MOST_IMPORTANCE_ROWS]
    rows, targets = examples.read(model, which), examples.targets[which]
    return found | {
        "importance": importance.of_columns(
            rows, learnt.columns, lambda dealt: model.losses(model.answers(dealt), targets)
        )
    }


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss on the validation split: in nats per row, or of numbers as they are learnt (standardised)."""
    return measuring.loss(use.load(folder), of_split(folder, prepared, "val"))


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    return measuring.loss_and_speeds(use.load, folder, of_split(folder, prepared, "val"))


def _targeted(split: str, rows: Rows, labels: np.ndarray, learnt: encoding.Encoding) -> Targeted[Rows]:
    return Targeted(
        split,
        labels,
        lambda model, which: rows.take(which),
        lambda model, which: columns.puzzles(learnt, rows.take(which)),
    )
