"""How much either part counts: what helps is mixed in, what does not is left out."""

import numpy as np
import pytest

from llmkit.tasks.classify import mixing


def logits(generator, labels, strength):
    return strength * np.eye(3)[labels] + generator.normal(size=(len(labels), 3))


@pytest.fixture
def parts():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 900)
    return labels, logits(generator, labels, 1.5), logits(generator, labels, 1.5)


def test_two_parts_that_say_as_much_count_alike(parts):
    labels, linear, lstm = parts
    mixture = mixing.fit(linear, lstm, labels)
    assert mixture.shape == (2, 3) and mixture.dtype == np.float32
    assert mixture.ravel() == pytest.approx([1.5] * 6, rel=0.25)  # what the posterior of such logits is


def test_a_part_that_says_nothing_is_left_out(parts):
    labels, linear, _ = parts
    noise = np.random.default_rng(1).normal(size=linear.shape)
    assert mixing.fit(linear, noise, labels).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert mixing.fit(linear, np.full(linear.shape, np.nan), labels)[1].tolist() == [0, 0, 0]


def test_a_label_with_examples_has_its_own_strength(parts):
    labels, linear, lstm = parts
    lstm = lstm.copy()
    lstm[:, 2] = np.random.default_rng(2).normal(size=len(lstm))  # it knows nothing of the third label
    own = mixing.fit(linear, lstm, labels)[1]
    assert own[2] < 0.6 * own[:2].min()
