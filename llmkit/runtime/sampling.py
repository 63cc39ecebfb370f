"""Drawing the next token from logits, in microseconds: numpy on one row (V,) at a time.

Order of the filters: repetition penalty, temperature, top-k, top-p, min-p. Only the candidates are sorted: a token
below (1 - top_p) / V of the total cannot be among the likeliest that reach top_p, since all such tokens together
weigh less than 1 - top_p.
"""

from dataclasses import dataclass

import numpy as np

RECENT = 64  # tokens that the repetition penalty looks back on


@dataclass(frozen=True)
class Sampling:
    """How to draw; the defaults draw from the model's own distribution."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken, so that no randomness is used."""
        return self.temperature == 0 or self.top_k == 1


def penalize(logits: np.ndarray, recent: list[int], penalty: float) -> np.ndarray:
    """Logits with those of `recent` tokens made less likely: divided where positive, multiplied where negative."""
    ids = np.unique(recent[-RECENT:]).astype(np.int64)
    logits = logits.copy()
    values = logits[ids]
    logits[ids] = np.where(values > 0, values / penalty, values * penalty)
    return logits


def draw(logits: np.ndarray, sampling: Sampling, uniform: float, recent: list[int] | None = None) -> int:
    """The next token id. logits (V,) float32; `uniform` is a random number in [0, 1)."""
    if sampling.repetition_penalty != 1 and recent:
        logits = penalize(logits, recent, sampling.repetition_penalty)
    if sampling.greedy:
        return int(logits.argmax())
    weights = logits - logits.max()
    weights *= 1 / sampling.temperature
    np.exp(weights, out=weights)  # relative to the likeliest, which is 1
    ids, weights = candidates(weights, sampling)
    sums = weights.cumsum(dtype=np.float64)
    place = int(sums.searchsorted(uniform * sums[-1], side="right"))
    return int(place if ids is None else ids[min(place, len(ids) - 1)])


def candidates(weights: np.ndarray, sampling: Sampling) -> tuple[np.ndarray | None, np.ndarray]:
    """(ids, weights) of the tokens that the filters leave, ids None where all are left. The largest weight is 1."""
    ids = None
    if 0 < sampling.top_k < len(weights):
        ids = np.sort(weights.argpartition(-sampling.top_k)[-sampling.top_k :])
        weights = weights[ids]
    if sampling.top_p < 1:
        total = float(weights.sum(dtype=np.float64))
        keep = np.flatnonzero(weights >= (1 - sampling.top_p) * total / len(weights))
        kept = weights[keep]
        order = kept.argsort()[::-1]
        sums = kept[order].cumsum(dtype=np.float64)
        count = int(sums.searchsorted(sampling.top_p * total)) + 1  # the token that reaches top_p is kept
        keep = keep[order[:count]]
        ids = keep if ids is None else ids[keep]
        weights = weights[keep]
    if sampling.min_p > 0:
        keep = np.flatnonzero(weights >= sampling.min_p)
        ids = keep if ids is None else ids[keep]
        weights = weights[keep]
    return ids, weights
