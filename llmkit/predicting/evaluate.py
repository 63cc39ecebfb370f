"""Metrics of a predictor's model folder through ONNX Runtime: quality on examples with targets, size and speed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.console.tables import Column
from llmkit.errors import InputError
from llmkit.explaining.explanation import Puzzle
from llmkit.plain import Json
from llmkit.predicting import labels as labellings
from llmkit.predicting.use import AnyExamples, Predictor
from llmkit.store.model_folder import ModelFolder

TABLE = [
    Column("size_bytes", "size", True),
    Column("accuracy", "accuracy", False),
    Column("majority_accuracy", "majority", None),
    Column("macro_f1", "macro F1", False),
    Column("roc_auc", "ROC AUC", False),
    Column("log_loss", "log loss", True),
    Column("calibration_error", "calibration error", True),
    Column("examples_per_second", "examples/s", False),
]
NUMBER_TABLE = [
    TABLE[0],
    Column("rmse", "RMSE", True),
    Column("mae", "MAE", True),
    Column("r2", "R²", False),
    Column("coverage", "coverage", False),
    Column("interval_width", "interval width", True),
    TABLE[-1],
]
UNIT = "example"  # of the speeds that compression reports
FOLD_METRICS = ("accuracy", "macro_f1", "roc_auc", "log_loss", "calibration_error")  # of a cross-validation
NUMBER_FOLD_METRICS = ("rmse", "mae", "r2", "median_absolute_error", "coverage", "interval_width", "pinball_loss")


SPEED_SECONDS = 0.3  # a pass over the examples is repeated so long, for its speed
SPEED_EXAMPLES = 5000  # in a pass, at most
LATENCY_CALLS = 50


@dataclass(frozen=True)
class Targeted(Generic[AnyExamples]):
    """Examples with their targets (N,), label numbers or numbers, or (N, …) of tasks with more to an example.

    `read(model, numbers)`: some of them as the model takes them.
    """

    split: str
    targets: np.ndarray
    read: Callable[[Predictor[AnyExamples], np.ndarray], AnyExamples]
    puzzles: Callable[[Predictor[AnyExamples], np.ndarray], list[Puzzle[AnyExamples]]] | None = None
    """`puzzles(model, numbers)`: some of them as parts that can be taken away, where the task explains."""
    members: "Callable[[], Targeted[AnyExamples]] | None" = None
    """Reads the training split, where these are another one of the same data."""


def metrics(model: Predictor[AnyExamples], examples: Targeted[AnyExamples], progress: Progress) -> Json:
    """The metrics of a predictor, as `evaluate --json` prints them.

    What `examples.read` does is part of the time that examples_per_second and latency_ms measure. Raises InputError
    where there is no example.
    """
    if not len(examples.targets):
        raise InputError(f"the {examples.split} split holds no example to score; name other data with --on FILE")
    name = f"scoring {model.folder.name}"
    everything = examples.read(model, np.arange(len(examples.targets)))
    answers = model.answers(everything, lambda done, total: progress(name, done, total))
    found: Json = {"split": examples.split} | model.measure(answers, examples.targets)
    found |= {"size_bytes": model.folder.size_bytes, "parameters": model.folder.parameters}
    rate, alone = speeds(model, examples)
    return found | {"examples_per_second": rate, "latency_ms": alone}


def loss(model: Predictor[AnyExamples], examples: Targeted[AnyExamples]) -> float:
    """The loss that training calls `val_loss`: of labels, log loss in nats of the calibrated probabilities."""
    everything = examples.read(model, np.arange(len(examples.targets)))
    return model.loss(model.answers(everything), examples.targets)


def loss_and_speeds(
    load: Callable[[ModelFolder], Predictor[AnyExamples]], folder: ModelFolder, examples: Targeted[AnyExamples]
) -> tuple[float, dict[str, float]]:
    """(`loss`; load_ms, ms_per_example (one by itself), examples_per_second)."""
    opening = time.perf_counter()
    model = load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    value = loss(model, examples)
    rate, alone = speeds(model, examples)
    return value, {"load_ms": load_ms, "ms_per_example": alone, "examples_per_second": rate}


def speeds(model: Predictor[AnyExamples], examples: Targeted[AnyExamples]) -> tuple[float, float]:
    """(examples per second; milliseconds of one by itself), what `examples.read` does included."""
    return _speed(model, examples), _latency(model, examples)


def number_labels(folder: ModelFolder, labels: Sequence[str], places: Sequence[str]) -> np.ndarray:
    """The label numbers (N,) of examples that stand at `places`. Raises InputError for one never seen in training."""
    names = labellings.read(folder).labels
    number = {label: index for index, label in enumerate(names)}
    for label, place in zip(labels, places, strict=True):
        if label not in number:
            known = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise InputError(
                f"{place}: the label '{label}' was never seen in training; the model knows: {known}; mend the label "
                "or train on data that has it"
            )
    return np.array([number[label] for label in labels], np.int64)


def _speed(model: Predictor[AnyExamples], examples: Targeted[AnyExamples]) -> float:
    """Examples per second, the best of the passes."""
    which = np.arange(len(examples.targets))[:SPEED_EXAMPLES]
    best, until = 0.0, time.perf_counter() + SPEED_SECONDS
    while not best or time.perf_counter() < until:
        start = time.perf_counter()
        model.answers(examples.read(model, which))
        best = max(best, len(which) / (time.perf_counter() - start))
    return best


def _latency(model: Predictor[AnyExamples], examples: Targeted[AnyExamples]) -> float:
    """Median milliseconds of one example by itself."""
    taken = []
    for number in range(LATENCY_CALLS):
        start = time.perf_counter()
        model.answers(examples.read(model, np.array([number % len(examples.targets)])))
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))
