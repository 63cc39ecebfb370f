"""Metrics of a table classifier's model folder, on a split or on other labelled rows."""

from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import columns, encoding, prepared_folder
from llmkit.plain import Json
from llmkit.predicting import evaluate as measuring
from llmkit.predicting.evaluate import TABLE, UNIT, Targeted
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import prepare, use
from llmkit.tasks.table.settings import Config

__all__ = ["TABLE", "UNIT", "measure", "metrics", "of_files", "of_split", "validation_loss"]


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Targeted[columns.Rows]:
    """The rows of a split."""
    examples, split = prepared_folder.examples_of(prepared, split)
    return _labelled(split, prepare.read(prepared).take(examples), prepared.array("labels.npy")[examples])


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Targeted[columns.Rows]:
    """The labelled rows of other files: columns as the model has them, files read as the config says now."""
    how = settings.prepare
    reading = structs.replace(folder.settings.prepare, format=how.format, encoding=how.encoding)
    raw, places, labels = prepare.with_labels(*prepare.read_files(files, reading, progress), reading, warn)
    learnt = encoding.load(folder)
    rows = use.read_rows(learnt, raw, places)
    for line in use.unseen(learnt, rows, places):
        warn(line)
    return _labelled("files", rows, measuring.number_labels(folder, labels, places))


def metrics(
    folder: ModelFolder, examples: Targeted[columns.Rows], settings: Config, progress: Progress, warn: Warn
) -> Json:
    """Quality, calibration, size and speed on the rows."""
    return measuring.metrics(use.load(folder), examples, progress)


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss in nats per row on the validation split, of the calibrated probabilities."""
    return measuring.loss(use.load(folder), of_split(folder, prepared, "val"))


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    return measuring.loss_and_speeds(use.load, folder, of_split(folder, prepared, "val"))


def _labelled(split: str, rows: columns.Rows, labels: np.ndarray) -> Targeted[columns.Rows]:
    return Targeted(split, labels, lambda model, which: rows.take(which))
