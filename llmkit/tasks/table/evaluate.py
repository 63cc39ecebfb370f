"""Figures of a table classifier's model folder, on a split or on other labelled rows."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from llmkit.data import encoding, prepared_folder
from llmkit.data.columns import Rows
from llmkit.predicting import evaluate as measuring, metrics as figures
from llmkit.predicting.evaluate import FOLD_FIGURES, TABLE, UNIT, Progress
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.table import prepare, use
from llmkit.tasks.table.settings import Config

__all__ = ["FOLD_FIGURES", "TABLE", "UNIT", "evaluate", "measure", "validation_loss"]


def evaluate(
    folder: ModelFolder,
    prepared: Path | None,
    settings: Config,
    on: list[Path],
    work: Path,
    progress: Progress,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """The figures of design's contract on a split of `prepared`, or on the labelled rows of the files `on`."""
    model = use.load(folder)
    if on:
        rows, labels = _other(folder, model, settings, on, progress, warn)
        split = "files"
    else:
        assert prepared is not None
        examples, split = prepared_folder.examples_of(prepared, settings.evaluate.split)
        rows, labels = prepare.read(prepared).take(examples), np.load(prepared / "labels.npy")[examples]
    return {"split": split} | measuring.measure(model, rows.take, labels, progress)


def validation_loss(folder: ModelFolder, prepared: Path, progress: Progress) -> float:
    """Loss in nats per row on the validation split, of the calibrated probabilities."""
    rows, labels = validation(prepared)
    return figures.log_loss(use.load(folder).probabilities(rows), labels)


def measure(folder: ModelFolder, prepared: Path, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    rows, labels = validation(prepared)
    loss, speeds = measuring.loss_and_speeds(model, rows.take, labels)
    return loss, {"load_ms": load_ms} | speeds


def validation(prepared: Path) -> tuple[Rows, np.ndarray]:
    """The rows of the validation split and their label numbers (N,)."""
    examples, _ = prepared_folder.examples_of(prepared, "val")
    return prepare.read(prepared).take(examples), np.load(prepared / "labels.npy")[examples]


def _other(
    folder: ModelFolder, model: Any, settings: Config, on: list[Path], progress: Progress, warn: Callable[[str], None]
) -> tuple[Rows, np.ndarray]:
    """(rows, label numbers) of other files: columns as the model has them, files read as the config says now."""
    how = settings.prepare
    reading = structs.replace(folder.config.settings.prepare, format=how.format, encoding=how.encoding)
    found, places, labels = prepare.with_labels(*prepare.read_files(on, reading, progress), reading, warn)
    learnt = encoding.load(folder.path / encoding.FILE)
    rows = use.read_rows(learnt, found, places)
    for line in use.unseen(learnt, rows, places):
        warn(line)
    return rows, measuring.number_labels(model, labels, places)
