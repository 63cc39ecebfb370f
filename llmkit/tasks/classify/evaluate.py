"""Metrics of a text classifier's model folder, on a split or on other labelled texts.

Speed counts everything from the text on: tokens, n-grams, network.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.data import prepared_folder
from llmkit.explaining import words
from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json
from llmkit.predicting import evaluate as measuring, explained, membership, metrics as scores
from llmkit.predicting.evaluate import TABLE as SHARED_TABLE, UNIT, Targeted
from llmkit.predicting.use import Predictor
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import labelled, use
from llmkit.tasks.classify.settings import Config
from llmkit.tasks.classify.texts import Examples

__all__ = ["TABLE", "UNIT", "measure", "metrics", "of_files", "of_split", "validation_loss"]

BATCH = 256  # texts whose linear part is summed at once
PLACE = [column.metric for column in SHARED_TABLE].index("macro_f1")
TABLE = [*SHARED_TABLE[:PLACE], Column("linear_accuracy", "linear part", None), *SHARED_TABLE[PLACE:]]


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
    return measuring.metrics(model, examples, progress) | linear_figures(folder, model, examples) | found


def linear_figures(folder: ModelFolder, model: Predictor[Examples], examples: Targeted[Examples]) -> Json:
    """linear_accuracy and linear_macro_f1: of the linear part by itself, in whose place an LSTM beside it has to earn.

    {} where there is no LSTM beside it, and of weights that are no floats.
    """
    if not {"tokens", "ngrams"} <= set(model.inputs):
        return {}
    weights = folder.weights()
    table, bias = weights["ngram_table"], weights["ngram_bias"]
    if table.dtype != np.float32:
        return {}
    confusion = np.zeros((len(bias), len(bias)), np.int64)
    for start in range(0, len(examples.targets), BATCH):
        which = np.arange(start, min(start + BATCH, len(examples.targets)))
        read = examples.read(model, which)
        of = np.repeat(np.arange(len(which)), read.features.counts)
        logits = np.tile(bias, (len(which), 1))
        np.add.at(logits, of, read.values.numbers[:, None] * table[read.features.numbers])
        np.add.at(confusion, (examples.targets[which], logits.argmax(axis=1)), 1)
    accuracy = float(np.trace(confusion) / confusion.sum())
    return {"linear_accuracy": accuracy, "linear_macro_f1": scores.macro_f1(confusion)}


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
