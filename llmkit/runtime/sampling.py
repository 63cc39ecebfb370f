"""Drawing the next token from logits, in microseconds: numpy on one row (V,) at a time.

Order of the filters: repetition penalty, temperature, top-k, top-p, min-p. Top-p needs no sort in most draws: a token
drawn from the whole distribution is kept if the tokens likelier than it weigh less than top_p, else drawn again. Kept
tokens then follow the truncated distribution exactly (rejection sampling), and a draw is kept with probability top_p.
After a few refusals the candidates are sorted after all, of which only those that can belong are looked at.
"""

import math
from dataclasses import dataclass

import numpy as np

from llmkit.errors import InputError

RECENT = 64  # tokens that the repetition penalty looks back on
TRIES = 3  # draws before the candidates are sorted
BLOCK = 128  # weights summed at once
ONES = np.ones(BLOCK, np.float32)


COLDEST = 1e-6  # temperature below which the likeliest token is all there is, and float32 has no room for the rest


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
        return self.temperature < COLDEST or self.top_k == 1


def penalize(logits: np.ndarray, recent: list[int], penalty: float) -> np.ndarray:
    """Logits with those of `recent` tokens made less likely: divided where positive, multiplied where negative."""
    ids = np.unique(recent[-RECENT:]).astype(np.int64)
    logits = logits.copy()
    values = logits[ids]
    logits[ids] = np.where(values > 0, values / penalty, values * penalty)
    return logits


def draw(
    logits: np.ndarray, sampling: Sampling, generator: np.random.Generator, recent: list[int] | None = None
) -> int:
    """The next token id. logits (V,) float32 are not changed; greedy draws use no randomness.

    Raises InputError for logits that are no numbers.
    """
    if sampling.repetition_penalty != 1 and recent:
        logits = penalize(logits, recent, sampling.repetition_penalty)
    largest = logits.max()
    if not math.isfinite(largest):  # one that is no number is the largest, too
        raise InputError("the model gives no finite numbers: it is damaged, or its training diverged; make it again")
    if sampling.greedy:
        return int(logits.argmax())
    weights = logits - largest
    if sampling.temperature != 1:
        weights *= 1 / sampling.temperature
    np.exp(weights, out=weights)  # relative to the likeliest, which is 1
    if sampling.top_k == 0:
        sums = block_sums(weights)
        for _ in range(TRIES):
            token = pick(weights, sums, generator.random())
            if _kept(weights, token, sampling, float(sums[-1])):
                return token
    ids, weights = candidates(weights, sampling)
    place = pick(weights, block_sums(weights), generator.random())
    return place if ids is None else int(ids[place])


def block_sums(weights: np.ndarray) -> np.ndarray:
    """Running sums (float64) of weights (n,) at the end of each block of `BLOCK`: 7 µs at 8,000, where one running
    sum over all takes 40."""
    whole = len(weights) // BLOCK * BLOCK
    sums = np.empty(whole // BLOCK + 1)
    sums[:-1] = weights[:whole].reshape(-1, BLOCK) @ ONES
    sums[-1] = weights[whole:].sum()
    return sums.cumsum()


def pick(weights: np.ndarray, sums: np.ndarray, uniform: float) -> int:
    """The index at which the running sum of weights (n,) passes `uniform` (in [0, 1)) times their total.

    `sums` are the weights' `block_sums`: they say in which block to look.
    """
    target = uniform * sums[-1]
    block = int(sums.searchsorted(target, side="right"))
    start = block * BLOCK
    inside = weights[start : start + BLOCK].cumsum(dtype=np.float64)
    place = start + int(inside.searchsorted(target - (sums[block - 1] if block else 0.0), side="right"))
    while place >= len(weights) or weights[place] == 0:  # two ways of summing may differ in the last bits
        place -= 1
    return place


def _kept(weights: np.ndarray, token: int, sampling: Sampling, total: float) -> bool:
    """Whether top-p and min-p leave a token: the likelier ones together weigh less than top_p of the total."""
    weight = weights[token]
    if weight < sampling.min_p:
        return False
    if sampling.top_p == 1:
        return True
    likelier = float(np.dot(weights, (weights > weight).view(np.int8).astype(np.float32)))
    return likelier < sampling.top_p * total


def candidates(weights: np.ndarray, sampling: Sampling) -> tuple[np.ndarray | None, np.ndarray]:
    """(ids, weights) of the tokens that the filters leave, ids None where all are left. The largest weight is 1.

    Only candidates for top-p are sorted: tokens below (1 - top_p) / V of the total weigh less than 1 - top_p together,
    so none of them can be needed to reach top_p.
    """
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
