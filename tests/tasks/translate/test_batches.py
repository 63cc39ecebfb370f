"""Batches by tokens."""

import numpy as np
from hypothesis import given, strategies as st

from llmkit.tasks.translate.batches import TokenBatches, by_tokens


@given(st.lists(st.integers(1, 50), min_size=1, max_size=80), st.integers(1, 200), st.integers(1, 9))
def test_every_pair_comes_once_a_pass_and_batches_fit(lengths: list[int], tokens: int, most: int) -> None:
    counts = np.array(lengths)
    cut = by_tokens(np.argsort(counts, kind="stable"), counts, tokens, most)
    assert sorted(np.concatenate(cut).tolist()) == list(range(len(lengths)))
    assert all(len(b) == 1 or (len(b) * counts[b].max() <= tokens and len(b) <= most) for b in cut)
    batches = TokenBatches(np.arange(len(lengths)), counts, tokens, seed=3)
    seen: list[int] = []
    while batches.epochs < 1:
        seen += batches.next().tolist()
    assert sorted(seen) == list(range(len(lengths)))


def test_reading_goes_on_where_it_was() -> None:
    lengths = np.arange(1, 41)
    first, second = (TokenBatches(np.arange(40), lengths, 60, seed=1) for _ in range(2))
    for _ in range(31):
        first.next()
    second.load_state(first.state())
    assert second.epochs == first.epochs
    for _ in range(40):
        np.testing.assert_array_equal(first.next(), second.next())
    assert [b.tolist() for b in TokenBatches(np.arange(40), lengths, 60, seed=2)._shuffled()] != [
        b.tolist() for b in TokenBatches(np.arange(40), lengths, 60, seed=1)._shuffled()
    ]
