"""N-grams by vectorised hashing against a plain loop, and the linear part against the optimum's conditions."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from llmkit.data.ragged import Ragged, batches, from_lists
from llmkit.store.files import Files
from llmkit.tasks.classify import linear, ngrams

TEXT = st.text(st.sampled_from("ab'é 1.!"), max_size=30)


def plain(text, words, characters, negations=()):
    """The n-grams of a text, by a loop."""
    text = f" {' '.join(text.lower().split())} "
    found = re.findall(r"[a-z0-9'\x80-\U0010ffff]+|[^\s]", text)
    grams = [("word", *part) for part in word_ngrams(negated(found, negations), words)]
    inside = [text[i : i + n] for n in range(2, characters + 1) for i in range(len(text) - n + 1)]
    return grams + [gram for gram in inside if " " not in gram[1:-1]]


def word_ngrams(words, longest):
    return [tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


def negated(words, negations):
    marked, after = [], False
    for word in words:
        if not re.match(r"[a-z0-9'\x80-\U0010ffff]", word):
            after = False
        marked.append(word if word in negations or not after else f"not {word}")
        after = after or word in negations
    return marked


@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 3), st.integers(2, 4), st.sampled_from([(), ("a", "1b")]))
def test_hashes_stand_for_exactly_the_ngrams_of_a_plain_loop(texts, words, characters, negations):
    buckets, of = ngrams.hashed(texts, words, characters, negations)
    for number, text in enumerate(texts):
        expected = plain(text, words, characters, negations)
        assert (of == number).sum() == len(expected)
        one, _ = ngrams.hashed([text], words, characters, negations)
        assert sorted(one) == sorted(buckets[of == number])  # whatever stands beside it
    every = {gram for text in texts for gram in plain(text, words, characters, negations)}
    assert len(every) - 2 <= len(set(buckets.tolist())) <= len(every)  # in 22 bits, of so few hardly two meet


def test_words_after_a_negation_are_others_until_a_mark():
    def words(text):
        return ngrams.hashed([text], 1, 0, ["not"])[0].tolist()

    first, *_ = words("good")
    _, after, mark, behind = words("not good, good")
    assert after != first == behind and mark == words(",")[0]
    assert ngrams.hashed(["not x", "good"], 1, 0, ["not"])[0][-1] == first  # another text begins anew


def test_features_are_words_and_the_characters_of_enough_texts_each_once():
    texts = ["aa aa b", "aa c", "b d"]
    learnt = ngrams.learn(texts, 1, 0, least=2, most=100)
    assert len(learnt.buckets) == learnt.word_features == 4
    assert len(ngrams.learn(texts, 1, 0, least=1, most=1).buckets) == 1
    learnt = ngrams.learn(texts, 0, 2, least=2, most=100)
    assert (len(learnt.buckets), learnt.word_features) == (5, 0)  # "a" before or behind a space, "aa", and so "b"
    found = learnt.features([*texts, "", "z"])
    assert found.counts.tolist() == [5, 3, 2, 0, 0]
    rows = found.padded(np.array([2, 3]))
    assert sorted(rows[0]) == sorted(set(found.numbers[:5]) - set(found.numbers[5:8])) and rows[1].tolist() == [0, 0]


def test_a_feature_counts_by_how_rare_it_is_among_its_kind():
    learnt = ngrams.learn(["a b", "a", "c"], 1, 2, 1, 100)
    features = learnt.features(["a b", "c", ""])
    values = learnt.values(features).padded(np.arange(3))
    is_word = features.padded(np.arange(3)) <= learnt.word_features
    assert features.counts.tolist() == [2 + 4, 1 + 2, 0]
    often, once = np.log(4 / 3) + 1, np.log(4 / 2) + 1  # of 3 texts 2 hold "a"
    length = np.hypot(often, once)
    assert sorted(values[0][is_word[0]]) == pytest.approx([often / length, once / length])
    assert sorted(values[0][~is_word[0]] * length * 2**0.5) == pytest.approx([often, often, once, once])
    np.testing.assert_allclose(values[1], [1, *[2**-0.5] * 2, *[0] * 3], rtol=1e-6)
    assert not values[2].any()


def test_they_come_back_the_same(tmp_path):
    learnt = ngrams.learn(["some words", "some more"], 2, 3, 1, 100)
    ngrams.save(learnt, tmp_path / "ngrams.npy")
    again = ngrams.load(Files(tmp_path).array("ngrams.npy"))
    assert (again.buckets == learnt.buckets).all() and (again.words, again.characters) == (2, 3)
    assert again.counts.tolist() == learnt.counts.tolist() and again.texts == 2


def test_a_million_characters_are_read():
    learnt = ngrams.learn(["word"], 1, 2, 1, 100)
    assert learnt.features(["word " * 200_000]).counts.tolist() == learnt.features([" word "]).counts.tolist()


def ones(features):
    return Ragged(np.ones(len(features.numbers), np.float32), features.starts)


def test_log_count_ratios_by_hand(monkeypatch):
    monkeypatch.setattr(linear, "SMOOTHING", 1.0)
    features = from_lists([np.array([1, 2]), np.array([1]), np.array([2])])
    values = np.array([1, 0.5, 1, 1], np.float32)
    ratios = linear.log_count_ratios(features, values, np.array([0, 0, 1]), 2, 2)
    # Label 0: sums 2 and 0.5; label 1: 0 and 1; one is added to each.
    expected = np.log([(3 / 4.5) / (1 / 3), (1.5 / 4.5) / (2 / 3)])
    np.testing.assert_allclose(ratios, np.stack([expected, -expected], axis=1), rtol=1e-6)


GENERATOR = np.random.default_rng(0)
FEATURES = from_lists([np.unique(GENERATOR.integers(1, 30, 6)) for _ in range(90)])
THREE = GENERATOR.integers(0, 3, 90)


def test_words_alone_are_naive_bayes_with_one_strength():
    table, bias = linear.fit(FEATURES, ones(FEATURES), THREE, 30, 30, 3, penalty=1.0)
    ratios = linear.log_count_ratios(FEATURES, np.ones(len(FEATURES.numbers)), THREE, 30, 3)
    assert table[0].tolist() == [0, 0, 0] and bias.shape == (3,)
    assert np.ptp(table[1:].numpy() / ratios) < 1e-4


@pytest.mark.parametrize("penalty", [1.0, 10.0])
def test_the_regression_is_at_the_minimum_of_its_loss(penalty):
    examples = linear._Examples(FEATURES, ones(FEATURES), torch.from_numpy(THREE), 30)
    table = linear._regression(examples, 0, 3, penalty, None)[1:].requires_grad_()
    rows = torch.zeros(90, 30)
    for number in range(90):
        rows[number, FEATURES.numbers[FEATURES.starts[number] : FEATURES.starts[number + 1]] - 1] = 1
    # The bias is free: the best one for this table, by plain steps.
    bias = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.LBFGS([bias], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        found = torch.nn.functional.cross_entropy(rows @ table + bias, torch.from_numpy(THREE))
        found.backward()
        return found

    optimizer.step(loss)
    table.grad = None
    loss()
    torch.testing.assert_close(-table.grad * 90 / penalty, table.detach(), atol=5e-3, rtol=0)


def test_stacking_finds_the_strength_that_calibrates():
    generator = torch.Generator().manual_seed(0)
    useful, noise = torch.randn(4000, generator=generator), torch.randn(4000, generator=generator)
    labels = (torch.rand(4000, generator=generator) < torch.sigmoid(2 * useful + 1)).long()
    logits = torch.stack([torch.stack([torch.zeros(4000), part], dim=1) for part in (useful, noise)], dim=1)
    strengths, bias = linear._stack(logits, labels, None)
    assert strengths.tolist() == pytest.approx([2, 0], abs=0.2)
    assert float(bias[1] - bias[0]) == pytest.approx(1, abs=0.2)


def test_batches_are_of_about_one_length_and_bounded():
    first, second = np.array([5, 1, 9, 2, 50, 1]), np.array([3, 1, 100, 1, 2, 1])
    found = [batch.tolist() for batch in batches(first, second, most=3, most_numbers=120)]
    assert found == [[1, 5, 3], [0], [2], [4]]
    assert isinstance(from_lists([]), Ragged) and len(from_lists([])) == 0
