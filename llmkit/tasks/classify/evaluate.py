"""Metrics of a text classifier's model folder, on a split or on other labelled texts.

Speed counts everything from the text on: tokens, n-grams, network.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder
from llmkit.explaining import words
from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json
from llmkit.predicting import evaluate as measuring, explained, membership
from llmkit.predicting.evaluate import TABLE, UNIT, Targeted
from llmkit.predicting.use import Predictor
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import labelled, use
from llmkit.tasks.classify.settings import Config
from llmkit.tasks.classify.texts import Examples

__all__ = ["TABLE", "UNIT", "measure", "metrics", "of_files", "of_split", "validation_loss"]


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Targeted[Examples]:
    """The texts of a split."""
    examples, split = prepared_folder.examples_of(prepared, split)
    texts = labelled.read(prepared)
    found = _labelled(split, [texts[k] for k in examples], prepared.array("labels.npy")[examples])
    return replace(found, members=lambda: of_split(folder, prepared, "train"))


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Targeted[Examples]:
    """The labelled texts of other files, read as the config says now."""
    how = settings.prepare
    reading = structs.replace(
        folder.settings.prepare,
        format=how.format,
        text=how.text,
        label=how.label,
        encoding=how.encoding,
        delimiter=how.delimiter,
    )
    texts, labels, places = labelled.read_examples(files, reading, progress, warn)
    return _labelled("files", texts, measuring.number_labels(folder, labels, places))


def metrics(
    folder: ModelFolder, examples: Targeted[Examples], settings: Config, progress: Progress, warn: Warn
) -> Json:
    """Quality, calibration, size and speed on the texts."""
    model = use.load(folder)
    found, _ = explained.figures(model, examples, settings.evaluate.explain, progress)
    found |= membership.figures(model, examples, settings.evaluate.membership, progress, warn)
    return measuring.metrics(model, examples, progress) | found


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss in nats per text on the validation split, of the calibrated probabilities."""
    return measuring.loss(use.load(folder), of_split(folder, prepared, "val"))


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    return measuring.loss_and_speeds(use.load, folder, of_split(folder, prepared, "val"))


def _labelled(split: str, texts: list[str], labels: np.ndarray) -> Targeted[Examples]:
    def puzzles(model: Predictor[Examples], which: np.ndarray) -> list[Puzzle[Examples]]:
        return [words.puzzle(texts[k], model.read) for k in which]

    return Targeted(split, labels, lambda model, which: model.read([texts[k] for k in which]), puzzles)
