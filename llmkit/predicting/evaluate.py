"""Figures of a classifier's model folder through ONNX Runtime: quality on labelled examples, size and speed."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.errors import InputError
from llmkit.predicting import metrics as figures
from llmkit.predicting.use import Classifier

# Columns of the table of several models: figure, heading, whether less is better (None: neither).
TABLE = [
    ("size_bytes", "size", True),
    ("accuracy", "accuracy", False),
    ("macro_f1", "macro F1", False),
    ("roc_auc", "ROC AUC", False),
    ("log_loss", "log loss", True),
    ("calibration_error", "calibration error", True),
    ("examples_per_second", "examples/s", False),
]
UNIT = "example"  # of the speeds that compression reports
FOLD_FIGURES = ("accuracy", "macro_f1", "roc_auc", "log_loss", "calibration_error")  # of a cross-validation

SPEED_SECONDS = 0.3  # a pass over the examples is repeated so long, for its speed
SPEED_EXAMPLES = 5000  # in a pass, at most
LATENCY_CALLS = 50


def measure(
    model: Classifier, read: Callable[[np.ndarray], Any], labels: np.ndarray, progress: Progress
) -> dict[str, Any]:
    """Figures on examples with the label numbers (N,); `read` gives some of them, by number, as the model takes them.

    What `read` does is part of the time that examples_per_second and latency_ms measure.
    """
    name = f"scoring {model.folder.name}"
    everything = np.arange(len(labels))
    probabilities = model.probabilities(read(everything), lambda done, total: progress(name, done, total))
    found = figures.figures(probabilities, labels, model.labels)
    found |= {"size_bytes": model.folder.size_bytes, "parameters": model.folder.result["parameters"]}
    return found | {"examples_per_second": _speed(model, read, everything), "latency_ms": _latency(model, read, labels)}


def loss_and_speeds(
    model: Classifier, read: Callable[[np.ndarray], Any], labels: np.ndarray
) -> tuple[float, dict[str, float]]:
    """What compression asks for: log loss in nats per example, ms_per_example (one by itself), examples_per_second."""
    everything = np.arange(len(labels))
    loss = figures.log_loss(model.probabilities(read(everything)), labels)
    rate = _speed(model, read, everything)
    return loss, {"ms_per_example": _latency(model, read, labels), "examples_per_second": rate}


def number_labels(model: Classifier, labels: list[str], places: list[str]) -> np.ndarray:
    """The label numbers (N,) of examples found at `places`. Raises InputError for a label never seen in training."""
    number = {label: index for index, label in enumerate(model.labels)}
    for label, place in zip(labels, places, strict=True):
        if label not in number:
            known = ", ".join(model.labels[:10]) + (", …" if len(model.labels) > 10 else "")
            raise InputError(
                f"{place}: the label '{label}' was never seen in training; the model knows: {known}; mend the label "
                "or train on data that has it"
            )
    return np.array([number[label] for label in labels], np.int64)


def _speed(model: Classifier, read: Callable[[np.ndarray], Any], examples: np.ndarray) -> float:
    """Examples per second, the best of the passes."""
    examples = examples[:SPEED_EXAMPLES]
    best, until = 0.0, time.perf_counter() + SPEED_SECONDS
    while not best or time.perf_counter() < until:
        start = time.perf_counter()
        model.probabilities(read(examples))
        best = max(best, len(examples) / (time.perf_counter() - start))
    return best


def _latency(model: Classifier, read: Callable[[np.ndarray], Any], labels: np.ndarray) -> float:
    """Median milliseconds of one example by itself."""
    taken = []
    for number in range(LATENCY_CALLS):
        start = time.perf_counter()
        model.probabilities(read(np.array([number % len(labels)])))
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))
