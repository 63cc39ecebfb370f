"""Figures of a table classifier's model folder, on a split or on other labelled rows."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from llmkit.classification import evaluate as measuring, figures, splits
from llmkit.classification.evaluate import FOLD_FIGURES, TABLE, Progress
from llmkit.model_folder import ModelFolder
from llmkit.tasks.table import encoding, prepare, use
from llmkit.tasks.table.columns import Rows
from llmkit.tasks.table.settings import Config

__all__ = ["FOLD_FIGURES", "TABLE", "evaluate", "validation_loss"]


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
        examples, split = splits.examples_of(prepared, settings.evaluate.split)
        rows, labels = prepare.read(prepared).take(examples), np.load(prepared / "labels.npy")[examples]
    return {"split": split} | measuring.measure(model, rows.take, labels, progress)


def validation_loss(folder: ModelFolder, prepared: Path, progress: Progress) -> float:
    """Loss in nats per row on the validation split, of the calibrated probabilities."""
    examples, _ = splits.examples_of(prepared, "val")
    labels = np.load(prepared / "labels.npy")[examples]
    return figures.log_loss(use.load(folder).probabilities(prepare.read(prepared).take(examples)), labels)


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
