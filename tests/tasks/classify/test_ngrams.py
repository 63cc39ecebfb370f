"""N-grams by vectorised hashing against a plain loop, and the linear part against the optimum's conditions."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from llmkit.tasks.classify import linear, ngrams
from llmkit.tasks.classify.ragged import Ragged, batches, from_lists

TEXT = st.text(st.sampled_from("ab'é 1.!"), max_size=30)


def plain(text, words, characters):
    """The n-grams of a text, by a loop."""
    text = f" {' '.join(text.lower().split())} "
    found = [("word", *part) for part in word_ngrams(re.findall(r"[a-z0-9'\x80-\U0010ffff]+|[^\s]", text), words)]
    return found + [text[i : i + n] for n in range(2, characters + 1) for i in range(len(text) - n + 1)]


def word_ngrams(words, longest):
    return [tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 3), st.integers(2, 4))
def test_hashes_stand_for_exactly_the_ngrams_of_a_plain_loop(texts, words, characters):
    buckets, of = ngrams.hashed(texts, words, characters)
    for number, text in enumerate(texts):
        expected = plain(text, words, characters)
        assert (of == number).sum() == len(expected)
        one, _ = ngrams.hashed([text], words, characters)
        assert sorted(one) == sorted(buckets[of == number])  # whatever stands beside it
    every = {gram for text in texts for gram in plain(text, words, characters)}
    assert len(every) - 2 <= len(set(buckets.tolist())) <= len(every)  # in 22 bits, of so few hardly two meet


def test_features_are_those_of_enough_texts_each_once():
    texts = ["a a b", "a c", "b d"]
    learnt = ngrams.learn(texts, 1, 0, least=2, most=100)
    assert len(learnt.buckets) == 2  # a and b
    found = learnt.features([*texts, "", "z"])
    assert found.counts.tolist() == [2, 1, 1, 0, 0]
    assert found.padded(np.array([0, 1, 3])).tolist() == [[*found.numbers[:2]], [found.numbers[2], 0], [0, 0]]
    assert len(ngrams.learn(texts, 1, 0, least=1, most=1).buckets) == 1


def test_they_come_back_the_same(tmp_path):
    learnt = ngrams.learn(["some words", "some more"], 2, 3, 1, 100)
    ngrams.save(learnt, tmp_path / "ngrams.npy")
    again = ngrams.load(tmp_path / "ngrams.npy")
    assert (again.buckets == learnt.buckets).all() and (again.words, again.characters) == (2, 3)


def test_a_million_characters_are_read():
    learnt = ngrams.learn(["word"], 1, 2, 1, 100)
    assert learnt.features(["word " * 200_000]).counts.tolist() == learnt.features([" word "]).counts.tolist()


def test_log_count_ratios_by_hand():
    features = from_lists([np.array([1, 2]), np.array([1]), np.array([2])])
    ratios = linear.log_count_ratios(features, np.array([0, 0, 1]), 2, 2)
    # Label 0: counts 2 and 1; label 1: 0 and 1; one is added to each.
    expected = np.log([(3 / 5) / (1 / 3), (2 / 5) / (2 / 3)])
    np.testing.assert_allclose(ratios, np.stack([expected, -expected], axis=1))


@pytest.mark.parametrize("penalty", [1e4, 1.0])
def test_a_large_penalty_leaves_naive_bayes_and_a_small_one_lowers_the_loss(penalty):
    generator = np.random.default_rng(0)
    features = from_lists([np.unique(generator.integers(1, 30, 6)) for _ in range(80)])
    labels = generator.integers(0, 2, 80)
    table, bias = linear.fit(features, labels, 30, 2, penalty)
    assert table[0].tolist() == [0, 0]
    ratios = linear.log_count_ratios(features, labels, 30, 2)
    strengths = table[1:].numpy() / ratios
    logits = np.array([table[row].sum(dim=0).numpy() for row in features.padded(np.arange(80))])
    loss = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits * linear.scales(features)) + bias, torch.from_numpy(labels)
    )
    if penalty > 1:
        assert np.ptp(strengths) < 0.05
    else:
        assert np.ptp(strengths) > 0.2 and loss < 0.6


def test_batches_are_of_about_one_length_and_bounded():
    first, second = np.array([5, 1, 9, 2, 50, 1]), np.array([3, 1, 100, 1, 2, 1])
    found = [batch.tolist() for batch in batches(first, second, most=3, most_numbers=120)]
    assert found == [[1, 5, 3], [0], [2], [4]]
    assert isinstance(from_lists([]), Ragged) and len(from_lists([])) == 0
