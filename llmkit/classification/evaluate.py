"""Figures of a classifier's model folder through ONNX Runtime: quality on labelled examples, size and speed."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from llmkit.classification import figures
from llmkit.classification.use import Classifier
from llmkit.errors import InputError

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
FOLD_FIGURES = ("accuracy", "macro_f1", "roc_auc", "log_loss", "calibration_error")  # of a cross-validation

SPEED_SECONDS = 0.3  # a pass over the examples is repeated so long, for its speed
LATENCY_CALLS = 50
Progress = Callable[[str, int, int | None], None]


def measure(
    model: Classifier, examples: Any, labels: np.ndarray, alone: list[Any], progress: Progress
) -> dict[str, Any]:
    """Figures on examples that were read, with their label numbers (N,); `alone`: some of them, each by itself."""
    name = f"scoring {model.folder.name}"
    probabilities = model.probabilities(examples, lambda done, total: progress(name, done, total))
    found = figures.figures(probabilities, labels, model.labels)
    found |= {"size_bytes": model.folder.size_bytes, "parameters": model.folder.result["parameters"]}
    return found | {"examples_per_second": _speed(model, examples), "latency_ms": _latency(model, alone)}


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


def _speed(model: Classifier, examples: Any) -> float:
    """Examples per second, the best of the passes."""
    best, until = 0.0, time.perf_counter() + SPEED_SECONDS
    while not best or time.perf_counter() < until:
        start = time.perf_counter()
        model.probabilities(examples)
        best = max(best, len(examples) / (time.perf_counter() - start))
    return best


def _latency(model: Classifier, alone: list[Any]) -> float:
    """Median milliseconds of one example by itself."""
    taken = []
    for number in range(LATENCY_CALLS):
        start = time.perf_counter()
        model.probabilities(alone[number % len(alone)])
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))
