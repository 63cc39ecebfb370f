"""Batches by tokens: pairs of about one length, so many that they fill a number of tokens, in random order."""

import numpy as np

from llmkit.plain import Json

POOL_TOKENS = 64  # batches' worth of pairs that are sorted by length together: little padding, and still random


class TokenBatches:
    """Batches of the numbers of pairs, pass after pass; each pass shuffles anew, by seed and number of the pass.

    A batch is as many pairs as fit when the longest is what each takes; several processes read equal parts of it.
    """

    def __init__(self, pairs: np.ndarray, lengths: np.ndarray, tokens: int, seed: int):
        """`lengths` (N,) of all pairs by number, of which `pairs` are read; `tokens` of a batch at most, unless one
        pair has more."""
        self.pairs, self.lengths, self.tokens, self.seed = pairs, lengths, tokens, seed
        self.passed = self.position = 0  # passes, batches of the present one
        self._order: list[np.ndarray] = []

    def next(self) -> np.ndarray:
        """Numbers of the next pairs (B,)."""
        if self._order and self.position == len(self._order):
            self.passed, self.position, self._order = self.passed + 1, 0, []
        self._order = self._order or self._shuffled()
        self.position += 1
        return self._order[self.position - 1]

    @property
    def epochs(self) -> float:
        """Passes so far."""
        return self.passed + (self.position / len(self._order) if self._order else 0.0)

    def state(self) -> Json:
        return {"passed": self.passed, "position": self.position}

    def load_state(self, state: Json) -> None:
        self.passed, self.position = state["passed"], state["position"]
        self._order = self._shuffled() if self.position else []

    def _shuffled(self) -> list[np.ndarray]:
        generator = np.random.default_rng([self.seed, self.passed])
        order = generator.permutation(self.pairs)
        average = max(1.0, float(self.lengths[order].mean()))
        pool = max(1, round(POOL_TOKENS * self.tokens / average))
        batches = []
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            batches += by_tokens(part[np.argsort(self.lengths[part], kind="stable")], self.lengths, self.tokens)
        return [batches[number] for number in generator.permutation(len(batches))]


def by_tokens(pairs: np.ndarray, lengths: np.ndarray, tokens: int, most: int = 1 << 30) -> list[np.ndarray]:
    """Pairs, sorted by length, cut into batches: pairs times the longest are `tokens` at most, pairs `most`."""
    batches, first = [], 0
    for place, pair in enumerate(pairs.tolist()):
        if place > first and ((place - first + 1) * lengths[pair] > tokens or place - first == most):
            batches.append(pairs[first:place])
            first = place
    return [*batches, pairs[first:]] if len(pairs) else []
