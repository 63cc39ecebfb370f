"""numbers.json of a model folder: what a model's outputs mean where it predicts a number.

A network predicts z, the number (or its logarithm) less its mean over its deviation in the training split, and two raw
spreads; `Scale` goes there and back. Outputs (N, 3): z, raw spread below, raw spread above. Numpy only.
"""

import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from llmkit.errors import InputError
from llmkit.predicting import intervals
from llmkit.predicting.intervals import Scores
from llmkit.predicting.number_metrics import pinball
from llmkit.store.files import Files

NUMBERS = "numbers.json"
OUTPUTS = 3


@dataclass(frozen=True)
class Scale:
    """How numbers (N,) become the z that a network learns."""

    mean: float
    deviation: float
    log: bool = False
    """Whether the logarithm is predicted."""

    def to_z(self, numbers: np.ndarray) -> np.ndarray:
        """z (N,) float64."""
        numbers = np.asarray(numbers, np.float64)
        return ((np.log(numbers) if self.log else numbers) - self.mean) / self.deviation

    def from_z(self, z: np.ndarray) -> np.ndarray:
        """Numbers (N,) float64; where they are beyond what a float64 holds, the largest it does."""
        with np.errstate(over="ignore"):
            plain = np.asarray(z, np.float64) * self.deviation + self.mean
            numbers = np.exp(plain) if self.log else plain
        largest = np.finfo(np.float64).max
        return np.clip(numbers, -largest, largest)


def learn_scale(numbers: np.ndarray, log: bool) -> Scale:
    """The scale of the training split's numbers (N,). Raises InputError where all are the same."""
    plain = np.log(numbers) if log else np.asarray(numbers, np.float64)
    centre = float(plain.mean())
    deviation = float(np.sqrt(((plain - centre) ** 2).mean()))
    if not deviation > 0:
        raise InputError(
            f"all {len(numbers):,} training examples have the number {numbers[0]:g}: there is nothing to learn"
        )
    return Scale(centre, deviation, log)


@dataclass(frozen=True)
class Numbering:
    """What numbers.json holds."""

    column: str
    """What is predicted, for people."""
    loss: str
    """squared, absolute or quantile: what the prediction is best by (the mean, the median, that quantile)."""
    quantile: float
    scale: Scale
    scores: Scores
    factor: float = 1.0
    """What the prediction is multiplied by: the exponential of a mean logarithm is too small a mean (Duan, "Smearing
    estimate", JASA 1983)."""

    def predictions(self, outputs: np.ndarray) -> np.ndarray:
        """The number predicted (N,) by outputs (N, 3)."""
        return self.scale.from_z(outputs[:, 0]) * self.factor

    def to_bytes(self) -> bytes:
        """The file."""
        return (json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n").encode()


def read(folder: Files) -> Numbering:
    """numbers.json of a model folder. Raises InputError."""
    found = folder.read_as(NUMBERS, Numbering)
    if not found.scale.deviation > 0:
        raise folder.damaged(NUMBERS, "its deviation is not above 0")
    if not found.scores.whole:
        raise folder.damaged(NUMBERS, "it has no scores of validation examples")
    return found


def spreads(outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(below, above) (N,) in deviations, of outputs (N, 3): their softplus, so that no spread is negative."""
    soft = np.logaddexp(0.0, outputs[:, 1:3].astype(np.float64))
    return soft[:, 0], soft[:, 1]


def loss(z: np.ndarray, truths: np.ndarray, kind: str, quantile: float) -> float:
    """Mean loss of predicted z (N,) against true ones: squared, absolute, or pinball at `quantile`."""
    off = truths - z
    if kind == "squared":
        return float((off**2).mean())
    if kind == "absolute":
        return float(np.abs(off).mean())
    return float(pinball(truths, z, quantile).mean())


def fit(about: Numbering, outputs: np.ndarray, targets: np.ndarray) -> Numbering:
    """`about` with what is fitted to validation examples: outputs (N, 3), their true numbers (N,)."""
    z = outputs[:, 0].astype(np.float64)
    scores = intervals.scores(about.scale.to_z(targets), z, *spreads(outputs))
    factor = 1.0
    if about.scale.log and about.loss == "squared":
        factor = float(np.asarray(targets, np.float64).mean() / about.scale.from_z(z).mean())
    return replace(about, scores=scores, factor=factor)
