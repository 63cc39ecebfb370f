"""Intervals against ranks counted by hand, and the coverage that they promise."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmkit.errors import ConfigError
from llmkit.predicting import intervals


def test_scores_by_hand():
    """Off by -2 with 4 below, by 3 with 2 above, by 0."""
    found = intervals.scores(
        np.array([8.0, 13.0, 5.0]), np.array([10.0, 10.0, 5.0]), np.array([4.0, 9.0, 1.0]), np.array([9.0, 2.0, 1.0])
    )
    assert found.values == pytest.approx([0.0, 0.5, 1.5], rel=2e-6)
    assert found.values[2] > 1.5 and found.count == 3  # rounded, but never down


def test_the_reach_is_the_score_of_a_rank():
    """Of 9 scores: 10 · 0.5 is the 5th, 10 · 0.55 the 6th, 10 · 0.9 the last."""
    scores = intervals.Scores([float(rank) for rank in range(1, 10)], 9)
    assert [scores.reach(coverage) for coverage in (0.5, 0.55, 0.9)] == [5.0, 6.0, 9.0]
    with pytest.raises(ConfigError, match="coverage 0.91 cannot be told from 9 validation examples; ask for 0.9 at"):
        scores.reach(0.91)


def test_of_many_scores_some_are_kept_and_none_is_reckoned_too_small():
    count = 2500
    found = intervals.scores(np.arange(1.0, count + 1), np.zeros(count), np.ones(count), np.ones(count))
    assert (len(found.values), found.count, round(found.values[-1], 1)) == (intervals.MOST_SCORES, count, 2500.0)
    for coverage in (0.1, 0.5, 0.9, 0.99):
        exact = np.ceil((count + 1) * coverage - 1e-9)
        assert exact <= found.reach(coverage) < exact + 3.01


def test_bounds_reach_so_many_spreads_each_way():
    lower, upper = intervals.bounds(np.array([10.0]), np.array([2.0]), np.array([1.0]), 1.5)
    assert (lower.tolist(), upper.tolist()) == ([7.0], [11.5])


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.sampled_from([0.5, 0.8, 0.9]))
def test_a_share_of_new_examples_lies_within_whatever_the_spreads_are(seed, coverage):
    """Spreads that know nothing of the noise, which is skewed; 4,000 examples either way: 5 deviations of the share."""
    random = np.random.default_rng(seed)
    below, above = random.uniform(0.1, 3, (2, 8000))
    truths, predictions = random.exponential(2.0, 8000), np.full(8000, 1.0)
    half = slice(0, 4000), slice(4000, 8000)
    scores = intervals.scores(truths[half[0]], predictions[half[0]], below[half[0]], above[half[0]])
    lower, upper = intervals.bounds(predictions[half[1]], below[half[1]], above[half[1]], scores.reach(coverage))
    within = ((lower <= truths[half[1]]) & (truths[half[1]] <= upper)).mean()
    assert abs(within - coverage) < 5 * np.sqrt(2 * coverage * (1 - coverage) / 4000)
