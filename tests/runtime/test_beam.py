"""Beam search against an exhaustive one on a tiny vocabulary, and its limits."""

import itertools
from dataclasses import dataclass, field

import numpy as np
import pytest

from llmkit.runtime.beam import Beam, search

WRITTEN = np.array([True, True, True, True])


@dataclass
class Table:
    """Log-probabilities by the whole of what was written so far, drawn at random: (V,) of each source and prefix."""

    seeds: list[int]
    vocab_size: int = 4
    prefixes: list[list[tuple[int, ...]]] = field(default_factory=list)

    def of(self, seed: int, prefix: tuple[int, ...]) -> np.ndarray:
        logits = np.random.default_rng([seed, *prefix]).normal(size=self.vocab_size) * 2
        return logits - np.log(np.exp(logits).sum())

    def step(self, rows: np.ndarray, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        if not self.prefixes:
            self.prefixes = [[()] for _ in self.seeds]
        else:
            self.prefixes = [
                [(*self.prefixes[row][parent], int(token)) for parent, token in zip(parents[k], tokens[k], strict=True)]
                for k, row in enumerate(rows)
            ]
        self.seeds = [self.seeds[row] for row in rows]
        found = [[self.of(s, prefix) for prefix in each] for s, each in zip(self.seeds, self.prefixes, strict=True)]
        return np.array(found, np.float32)


def exhaustive(seed: int, limit: int, penalty: float) -> list[tuple[float, list[int]]]:
    """(score, tokens) of all sequences that end within `limit` tokens, the boundary included, the best first."""
    table, found = Table([seed]), []
    for length in range(limit):
        for tokens in itertools.product((1, 2, 3), repeat=length):
            log = sum(table.of(seed, tokens[:place])[token] for place, token in enumerate((*tokens, 0)))
            found.append((log / ((5 + length + 1) / 6) ** penalty, list(tokens)))
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0])
def test_a_wide_beam_is_an_exhaustive_search(penalty: float) -> None:
    limit = 5
    found = search(Table([1, 2, 3]), np.full(3, limit), 0, WRITTEN, Beam(400, penalty))
    for seed, sequences in zip([1, 2, 3], found, strict=True):
        wanted = exhaustive(seed, limit, penalty)
        assert len(sequences) == len(wanted) == sum(3**n for n in range(limit)) and all(s.ended for s in sequences)
        for sequence, (score, tokens) in zip(sequences, wanted, strict=True):
            assert sequence.tokens == tokens and sequence.score == pytest.approx(score, abs=1e-5)


def test_what_is_found_does_not_depend_on_the_others() -> None:
    seeds = list(range(12))
    together = search(Table(list(seeds)), np.arange(3, 15), 0, WRITTEN, Beam(3, 1.0))
    for seed, found in zip(seeds, together, strict=True):
        assert search(Table([seed]), np.array([3 + seed]), 0, WRITTEN, Beam(3, 1.0)) == [found]


def test_a_beam_of_one_takes_the_likeliest_token() -> None:
    [[found]] = search(Table([5]), np.array([20]), 0, WRITTEN, Beam(1))
    table, tokens = Table([5]), []
    while (token := int(table.of(5, tuple(tokens)).argmax())) != 0 and len(tokens) < 20:
        tokens.append(token)
    assert found.tokens == tokens


class Circle:
    """Writes 1, 2, 1, 2, … for ever: the end is hardly likely."""

    def step(self, rows: np.ndarray, parents: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        found = np.full((*tokens.shape, 4), -20.0, np.float32)
        found[:, :, 0] = -1000
        np.put_along_axis(found, np.where(tokens == 1, 2, 1)[:, :, None], -1e-6, axis=2)
        return found


def test_no_circles_and_a_bounded_length() -> None:
    [[first, *_]] = search(Circle(), np.array([9]), 0, WRITTEN, Beam(2))
    assert first.tokens == [1, 2, 1, 2, 1, 2, 1, 2, 1] and not first.ended
    [[first, *_]] = search(Circle(), np.array([9]), 0, WRITTEN, Beam(2, max_repeats=2))
    assert first.tokens[:4] == [1, 2, 1, 2] and first.tokens[4:6] != [1, 2]


def test_what_may_not_be_written_is_not() -> None:
    for sequence in search(Table([7]), np.array([6]), 0, np.array([True, True, False, True]), Beam(4))[0]:
        assert 2 not in sequence.tokens
