"""Metrics of a model folder of pictures, on a split or on other pictures whose labels are known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.plain import Json
from llmkit.predicting import evaluate as measuring, explained, membership
from llmkit.predicting.evaluate import TABLE, UNIT, Targeted
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.vision import baseline, pixels, prepare, screening, use
from llmkit.tasks.vision.settings import Config

__all__ = ["TABLE", "UNIT", "measure", "metrics", "of_files", "of_split", "validation_loss"]


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Targeted[np.ndarray]:
    """The pictures of a split."""
    pictures, labels, split = prepare.pictures_of(prepared, split)
    found = _targeted(folder, split, pictures, labels)
    return replace(found, members=lambda: of_split(folder, prepared, "train"))


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Targeted[np.ndarray]:
    """The labelled pictures of other files, read as the config says now, in the model's size and colours."""
    of, how = pixels.read(folder), settings.prepare
    colour = "grey" if of.colours == 1 else "rgb"
    reading = structs.replace(how, labels="", size=of.edge, resize=True, colour=colour)
    found = prepare.read_labelled(reading, files, progress, warn, of.bits)
    numbers = measuring.number_labels(folder, found.labels, found.pictures.places)
    return _targeted(folder, "files", found.pictures.pixels, numbers)


def metrics(
    folder: ModelFolder, examples: Targeted[np.ndarray], settings: Config, progress: Progress, warn: Warn
) -> Json:
    """Quality, calibration, size and speed on the pictures; of logistic regression the same, as `baselines`."""
    model = use.load(folder)
    found, _ = explained.figures(model, examples, settings.evaluate.explain, progress)
    own = measuring.metrics(model, examples, progress)
    pictures = examples.read(model, np.arange(len(examples.targets)))
    of = pixels.read(folder)
    intervals = screening.figures(model.answers(pictures), examples.targets, settings.evaluate.specificity)
    beside = baseline.measure(folder, of, pictures, examples.targets, model.labels)
    found |= membership.figures(model, examples, settings.evaluate.membership, progress, warn)
    return own | intervals | {"baselines": beside} | found


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss in nats per picture on the validation split, of the calibrated probabilities."""
    return measuring.loss(use.load(folder), of_split(folder, prepared, "val"))


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_example, examples_per_second)."""
    return measuring.loss_and_speeds(use.load, folder, of_split(folder, prepared, "val"))


def _targeted(folder: ModelFolder, split: str, pictures: np.ndarray, labels: np.ndarray) -> Targeted[np.ndarray]:
    mean = pixels.read_mean(folder, pixels.read(folder))
    return Targeted(
        split,
        labels.astype(np.int64),
        lambda model, which: pictures[which],
        lambda model, which: use.puzzles(pictures[which], mean),
    )
