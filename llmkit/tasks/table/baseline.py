"""What a model of numbers should beat: a constant, and a linear model of the same columns. Numpy only.

Learnt from the training split when it is prepared, in `baseline.json`: of each its parameters and the absolute
errors on the validation split, from which its intervals follow (`predicting.intervals` with spreads of 1). The linear
model is least squares over the encoded columns, with a small penalty, solved by conjugate gradients (Hestenes &
Stiefel 1952), so that no matrix of all categories is ever made.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np

from llmkit.data.columns import Rows
from llmkit.data.encoding import Encoding, load
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.predicting import intervals, number_metrics
from llmkit.predicting.intervals import Scores
from llmkit.store.files import Files

FILE = "baseline.json"
PENALTY = 1e-3  # per row, on standardised columns
STEPS = 200  # of conjugate gradients, at most
GOOD_ENOUGH = 1e-6  # what is left of the first residual's norm


@dataclass(frozen=True)
class Baselines:
    """A constant, a linear model (of numbers F, of the categories' table, and its bias), their validation errors."""

    constant: float
    numbers: list[float]
    table: list[float]
    bias: float
    constant_scores: Scores
    linear_scores: Scores

    def linear(self, numbers: np.ndarray, categories: np.ndarray) -> np.ndarray:
        """Predictions (N,) for encoded rows."""
        return numbers @ np.array(self.numbers) + np.array(self.table)[categories].sum(axis=1) + self.bias

    def measure(self, encoding: Encoding, rows: Rows, truths: np.ndarray, interval: float) -> Json:
        """{"constant": metrics, "linear": metrics} as `evaluate --json` prints them in `baselines`."""
        found = {}
        constant = np.full(len(rows), self.constant)
        for name, predictions, scores in (
            ("constant", constant, self.constant_scores),
            ("linear", self.linear(*encoding.encode(rows)), self.linear_scores),
        ):
            ones = np.ones(len(rows))
            try:
                ends = intervals.bounds(predictions, ones, ones, scores.reach(interval))
            except ConfigError:  # the model itself has said that validation examples are too few
                ends = (np.full(len(rows), -np.inf), np.full(len(rows), np.inf))
            found[name] = number_metrics.of_numbers(truths, predictions, *ends, interval)
        return found


def learn(encoding: Encoding, rows: Rows, truths: np.ndarray, of: np.ndarray) -> Baselines:
    """From rows with their true numbers (N,) and splits (N,)."""
    numbers, categories = encoding.encode(rows)
    train, val = of == 0, of == 1
    constant = float(truths[train].mean())
    weights, table, bias = _least_squares(
        numbers[train].astype(np.float64), categories[train], encoding.table_size, truths[train]
    )
    draft = Baselines(constant, weights.tolist(), table.tolist(), bias, Scores([], 0), Scores([], 0))
    ones = np.ones(int(val.sum()))
    linear = draft.linear(numbers[val], categories[val])
    return Baselines(
        constant,
        draft.numbers,
        draft.table,
        bias,
        intervals.scores(truths[val], np.full(len(ones), constant), ones, ones),
        intervals.scores(truths[val], linear, ones, ones),
    )


def to_bytes(found: Baselines) -> bytes:
    """baseline.json."""
    return (json.dumps(asdict(found)) + "\n").encode()


def read(folder: Files) -> Baselines:
    """baseline.json of a prepared folder or of a model folder. Raises InputError."""
    found, learnt = folder.read_as(FILE, Baselines), load(folder)
    if (len(found.numbers), len(found.table)) != (learnt.width, learnt.table_size):
        raise folder.damaged(FILE, "it is of other columns")
    if not (found.constant_scores.whole and found.linear_scores.whole):
        raise folder.damaged(FILE, "it has no scores of validation examples")
    return found


def _least_squares(
    numbers: np.ndarray, categories: np.ndarray, table_size: int, truths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    """(weights (F,), table (table_size,), bias) of least squared error plus the penalty."""
    width, centre, deviation = numbers.shape[1], truths.mean(), truths.std() or 1.0
    means = numbers.mean(axis=0)
    numbers, wanted = numbers - means, (truths - centre) / deviation

    def forward(w: np.ndarray) -> np.ndarray:
        return numbers @ w[:width] + w[width:][categories].sum(axis=1)

    def backward(residual: np.ndarray) -> np.ndarray:
        spread = np.repeat(residual, categories.shape[1])
        return np.concatenate([numbers.T @ residual, np.bincount(categories.ravel(), spread, table_size)])

    w = np.zeros(width + table_size)
    residual = backward(wanted)
    direction, square = residual.copy(), float(residual @ residual)
    first = square
    for _ in range(STEPS):
        if square <= GOOD_ENOUGH**2 * first:
            break
        curved = backward(forward(direction)) + PENALTY * len(truths) * direction
        along = square / float(direction @ curved)
        w += along * direction
        residual -= along * curved
        before, square = square, float(residual @ residual)
        direction = residual + square / before * direction
    w *= deviation
    return w[:width], w[width:], float(centre - means @ w[:width])
