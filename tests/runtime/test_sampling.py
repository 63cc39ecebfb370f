"""Filters against plain definitions, and drawn frequencies against probabilities."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from llmkit.runtime.sampling import Sampling, block_sums, candidates, draw, penalize, pick


def plain_filter(weights: np.ndarray, s: Sampling) -> set[int]:
    """top-k, then the shortest likeliest prefix that reaches top_p, then min-p; a loop over sorted tokens."""
    order = sorted(range(len(weights)), key=lambda i: -weights[i])
    if s.top_k:
        order = order[: s.top_k]
    total, running, kept = sum(float(weights[i]) for i in order), 0.0, []
    for i in order:
        kept.append(i)
        running += float(weights[i])
        if running >= s.top_p * total:
            break
    return {i for i in kept if weights[i] >= s.min_p}


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 60),
    st.sampled_from([0, 1, 3, 10]),
    st.sampled_from([0.1, 0.5, 0.9, 0.95]),
    st.sampled_from([0.0, 0.05, 0.3]),
)
def test_candidates_are_those_of_the_definitions(seed, size, top_k, top_p, min_p):
    logits = np.random.default_rng(seed).standard_normal(size).astype(np.float32) * 3
    weights = np.exp(logits - logits.max())
    how = Sampling(top_k=top_k, top_p=top_p, min_p=min_p)
    ids, kept = candidates(weights, how)
    assert set(range(size) if ids is None else ids.tolist()) == plain_filter(weights, how)
    assert np.array_equal(kept, weights if ids is None else weights[ids])


class Uniforms:
    """A generator that gives the numbers it was made with."""

    def __init__(self, *numbers: float):
        self.numbers = list(numbers)

    def random(self) -> float:
        return self.numbers.pop(0)


def test_draws_follow_the_softmax():
    logits = np.log(np.array([0.1, 0.2, 0.7], np.float32))
    uniforms = (np.arange(10_000) + 0.5) / 10_000
    counts = np.bincount([draw(logits, Sampling(), Uniforms(u)) for u in uniforms], minlength=3) / 10_000
    assert counts == pytest.approx([0.1, 0.2, 0.7], abs=2e-4)
    how = Sampling(temperature=0.5)
    sharp = np.bincount([draw(logits, how, Uniforms(u)) for u in uniforms], minlength=3) / 10_000
    assert sharp == pytest.approx(np.array([0.01, 0.04, 0.49]) / 0.54, abs=2e-4)


@pytest.mark.parametrize("how", [Sampling(top_p=0.6), Sampling(min_p=0.3), Sampling(top_p=0.05), Sampling(top_k=2)])
def test_truncated_draws_follow_the_truncated_distribution(how):
    """By rejection or by sorting: the kept tokens in proportion to their weights, the others never."""
    weights = np.array([0.05, 0.4, 0.2, 0.1, 0.25], np.float32)
    kept = plain_filter(weights / weights.max(), how)
    expected = np.array([weight if i in kept else 0.0 for i, weight in enumerate(weights)])
    generator = np.random.default_rng(0)
    counts = np.bincount([draw(np.log(weights), how, generator) for _ in range(20_000)], minlength=5)
    assert counts / 20_000 == pytest.approx(expected / expected.sum(), abs=0.015)
    assert (counts[expected == 0] == 0).all()


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 1000), st.floats(0, 1, exclude_max=True))
def test_pick_is_the_inverse_of_the_running_sum(size, seed, uniform):
    weights = np.random.default_rng(seed).random(size).astype(np.float32)
    sums = weights.cumsum(dtype=np.float64)
    place = pick(weights, block_sums(weights), uniform)
    assert sums[place] >= uniform * sums[-1] * (1 - 1e-6)
    assert (sums[place - 1] if place else 0.0) <= uniform * sums[-1] * (1 + 1e-6)


def test_forbidden_tokens_are_never_drawn():
    for size in (4, 4000):
        logits = np.full(size, -np.inf, np.float32)
        logits[[1, size - 1]] = 0.0
        uniforms = (0.0, 0.3, 0.6, 0.9999999999999999)
        drawn = {draw(logits, Sampling(top_p=p), Uniforms(u, u, u, u)) for u in uniforms for p in (1.0, 0.9)}
        assert drawn == {1, size - 1}


@pytest.mark.parametrize("how", [Sampling(temperature=0), Sampling(top_k=1)])
def test_greedy_takes_the_likeliest_without_randomness(how):
    assert draw(np.array([0.0, 2.0, 1.0], np.float32), how, Uniforms()) == 1


def test_repetition_penalty_divides_positive_and_multiplies_negative_logits():
    logits = np.array([2.0, -2.0, 3.0], np.float32)
    assert penalize(logits, [0, 1, 1], 2.0).tolist() == [1.0, -4.0, 3.0]
    assert logits.tolist() == [2.0, -2.0, 3.0]


@pytest.mark.parametrize("temperature", [2e-39, 1e-7])
def test_next_to_no_temperature_is_none(temperature):
    """float32 has no room for what such a temperature makes of logits: nan would be drawn from."""
    how = Sampling(temperature)
    assert how.greedy and draw(np.array([1.0, 3.0, 2.0], np.float32), how, np.random.default_rng(0)) == 1
