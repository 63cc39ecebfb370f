"""Beam search over many sources at once: the likeliest sequences that a model writes, with their scores.

In: a model that gives, for partial sequences of each source, the log-probabilities of what comes next (`Steps`). Out:
of each source the best sequences found. What is found for a source does not depend on the others, but for rounding.
Scores are log-probabilities over the length penalty of Wu et al. (arXiv 1609.08144, section 7).
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

REPEATED = 8  # tokens of the longest piece that is kept from coming again and again


@dataclass(frozen=True)
class Beam:
    """How is searched: partial sequences kept, the power of the length penalty, repetitions allowed in a row."""

    size: int = 4
    length_penalty: float = 1.0
    max_repeats: int | None = None


@dataclass(frozen=True)
class Sequence:
    """What was written, without the boundary; `ended`: with one, else it was cut off."""

    tokens: list[int]
    log_probability: float
    """In nats, the boundary's included where it ended."""
    score: float
    ended: bool


class Steps(Protocol):
    """A model that writes a token at a time for several partial sequences of several sources."""

    def step(self, rows: np.ndarray, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Log-probabilities (b, k, V) of what comes after `tokens` (b, k).

        `rows` (b,): which of the sources of the step before are left; `parents` (b, k): which partial sequence of that
        step each goes on from.
        """


def search(steps: Steps, limits: np.ndarray, boundary: int, written: np.ndarray, how: Beam) -> list[list[Sequence]]:
    """Of each source the best sequences, `how.size` at most, the best first.

    `limits` (B,): tokens, the boundary among them, after which a sequence is cut off; `written` (V,) bool: which may be
    written.
    """
    writers = [_Writer(int(limit), how) for limit in limits]
    never = np.flatnonzero(~written)
    rows = np.arange(len(writers))
    parents = np.zeros((len(writers), 1), np.int64)
    tokens = np.full((len(writers), 1), boundary, np.int64)
    scores = np.zeros((len(writers), 1))
    history = np.zeros((len(writers), 1, 0), np.int64)
    active = writers
    while active:
        found = steps.step(rows, parents, tokens).astype(np.float64)
        found[:, :, never] = -np.inf
        if how.max_repeats:
            _forbid_circles(found, history, how.max_repeats)
        total = (scores[:, :, None] + found).reshape(len(active), -1)  # (b, k * V)
        most = min(2 * how.size, total.shape[1])
        places = np.argpartition(-total, most - 1, axis=1)[:, :most]
        values = np.take_along_axis(total, places, axis=1)
        order = np.lexsort((places, -values), axis=1)  # equal ones in the order of their tokens
        places, values = np.take_along_axis(places, order, axis=1), np.take_along_axis(values, order, axis=1)
        parents, tokens = np.divmod(places, found.shape[2])
        kept = [
            writer.advance(parents[row], tokens[row], values[row], history[row], boundary)
            for row, writer in enumerate(active)
        ]
        rows = np.array([row for row, chosen in enumerate(kept) if chosen], np.int64)
        if not len(rows):
            break
        wide = max(map(len, kept))
        chosen = np.array([kept[row] + kept[row][:1] * (wide - len(kept[row])) for row in rows])  # (b, k)
        spare = np.arange(wide) >= np.array([[len(kept[row])] for row in rows])
        parents, tokens = (np.take_along_axis(part[rows], chosen, axis=1) for part in (parents, tokens))
        scores = np.where(spare, -np.inf, np.take_along_axis(values[rows], chosen, axis=1))
        history = np.concatenate(
            [np.take_along_axis(history[rows], parents[:, :, None], axis=1), tokens[:, :, None]], 2
        )
        active = [active[row] for row in rows]
    return [writer.best() for writer in writers]


class _Writer:
    """What is known of one source: the sequences that ended so far."""

    def __init__(self, limit: int, how: Beam):
        self.limit, self.how = limit, how
        self.done: list[Sequence] = []

    def advance(
        self, parents: np.ndarray, tokens: np.ndarray, values: np.ndarray, history: np.ndarray, boundary: int
    ) -> list[int]:
        """Take candidates, the best first; the places of those that are gone on from, none where this one is done."""
        length = history.shape[1] + 1
        alive: list[int] = []
        for rank, (parent, token, value) in enumerate(zip(parents, tokens, values, strict=True)):
            if value == -np.inf or len(alive) == self.how.size:
                break
            if token != boundary:
                alive.append(rank)
            elif rank < self.how.size:
                self._end(history[parent].tolist(), float(value), length, True)
        if not alive:
            return []
        if length >= self.limit:
            if not self.done:
                for rank in alive:
                    written = [*history[parents[rank]].tolist(), int(tokens[rank])]
                    self._end(written, float(values[rank]), length, False)
            return []
        self.done = self.best()
        return [] if self._is_done(float(values[alive[0]]), length) else alive

    def _is_done(self, best: float, length: int) -> bool:
        """Whether no partial sequence is as good as all that have ended, at its present length."""
        if len(self.done) < self.how.size:
            return False
        return self.how.size == 1 or best / self._penalty(length) <= self.done[-1].score

    def _end(self, tokens: list[int], value: float, length: int, ended: bool) -> None:
        self.done.append(Sequence(tokens, value, value / self._penalty(length), ended))

    def _penalty(self, length: int) -> float:
        return ((5 + length) / 6) ** self.how.length_penalty

    def best(self) -> list[Sequence]:
        return sorted(self.done, key=lambda sequence: (-sequence.score, sequence.tokens))[: self.how.size]


def _forbid_circles(found: np.ndarray, history: np.ndarray, most: int) -> None:
    """Make a token impossible that would write a piece of up to 8 tokens once more than `most` times in a row."""
    length = history.shape[2]
    for size in range(1, REPEATED + 1):
        span = most * size + size - 1  # with one token more, the piece stands there most + 1 times
        if span > length:
            return
        end = history[:, :, length - span :]
        circles = (end[:, :, size:] == end[:, :, :-size]).all(axis=2)
        row, beam = np.nonzero(circles)
        found[row, beam, history[row, beam, length - size]] = -np.inf
