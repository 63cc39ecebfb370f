"""Figures of a text classifier's model folder, on a split or on other labelled texts."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from llmkit.data import prepared_folder
from llmkit.predicting import evaluate as measuring, metrics as figures
from llmkit.predicting.evaluate import FOLD_FIGURES, TABLE, UNIT, Progress
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import prepare, use
from llmkit.tasks.classify.settings import Config

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
    """The figures of design's contract on a split of `prepared`, or on the labelled texts of the files `on`.

    Speed counts everything from the text on: tokens, n-grams, network.
    """
    model = use.load(folder)
    if on:
        how = settings.prepare
        reading = structs.replace(
            folder.config.settings.prepare, format=how.format, text=how.text, label=how.label, encoding=how.encoding
        )
        texts, given, places = prepare.read_examples(on, reading, progress, warn)
        labels, split = measuring.number_labels(model, given, places), "files"
    else:
        assert prepared is not None
        examples, split = prepared_folder.examples_of(prepared, settings.evaluate.split)
        known = prepare.read(prepared)
        texts, labels = [known[k] for k in examples], np.load(prepared / "labels.npy")[examples]
    return {"split": split} | measuring.measure(
        model, lambda which: model.read([texts[k] for k in which]), labels, progress
    )


def validation_loss(folder: ModelFolder, prepared: Path, progress: Progress) -> float:
    """Loss in nats per text on the validation split, of the calibrated probabilities."""
    texts, labels = validation(prepared)
    model = use.load(folder)
    return figures.log_loss(model.probabilities(model.read(texts)), labels)


def measure(folder: ModelFolder, prepared: Path, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    texts, labels = validation(prepared)
    loss, speeds = measuring.loss_and_speeds(model, lambda which: model.read([texts[k] for k in which]), labels)
    return loss, {"load_ms": load_ms} | speeds


def validation(prepared: Path) -> tuple[list[str], np.ndarray]:
    """The texts of the validation split and their label numbers (N,)."""
    examples, _ = prepared_folder.examples_of(prepared, "val")
    known = prepare.read(prepared)
    return [known[k] for k in examples], np.load(prepared / "labels.npy")[examples]
