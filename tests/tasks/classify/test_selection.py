"""Which n-grams become features: counts against a plain loop, worth by hand, shares of either kind."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.tasks.classify import ngrams, selection
from llmkit.tasks.classify.ngrams import How

WORDS = st.lists(st.sampled_from(["film", "plot", "dull", "a"]), max_size=6).map(" ".join)


def nothing(*progress):
    pass


@given(st.lists(WORDS, min_size=1, max_size=12))
def test_counts_are_those_of_a_plain_loop(texts):
    how = How(2, 0)
    hashes, counts = selection.count(texts, how, 1, 1000, nothing)
    expected = Counter()
    for text in texts:
        parts, _, _ = ngrams.hashed([text], how)
        expected.update({hash_ for part, _ in parts for hash_ in part.tolist()})
    assert dict(zip(hashes.tolist(), counts.tolist(), strict=True)) == expected


def test_blocks_and_merges_change_nothing(monkeypatch):
    texts = [f"word{k % 7} and word{k % 3}" for k in range(60)]
    whole = selection.count(texts, How(2, 3), 2, 1000, nothing)
    monkeypatch.setattr(ngrams, "BLOCK_CHARACTERS", 40)
    monkeypatch.setattr(selection, "MERGED", 50)
    for one, other in zip(whole, selection.count(texts, How(2, 3), 2, 1000, nothing), strict=True):
        assert (one == other).all()


def test_where_there_are_too_many_those_seen_once_go(monkeypatch):
    monkeypatch.setattr(ngrams, "BLOCK_CHARACTERS", 1)
    monkeypatch.setattr(selection, "MERGED", 0)
    monkeypatch.setattr(selection, "MOST_SEEN", 3)
    _, counts = selection.count(["often", "often", "a", "b", "c", "often"], How(1, 0), 1, 1000, nothing)
    assert counts.max() == 3 and len(counts) < 4


def test_what_tells_the_labels_apart_is_worth_more():
    by_label = np.array([[10, 10, 1, 100], [0, 10, 0, 100]])
    worth = selection._worth(by_label, by_label.sum(axis=0))
    assert worth[0] > worth[2] > worth[[1, 3]].max()
    share = (10 + 0.5 * 121 / 231) / 10.5  # of the first label among texts that hold the first n-gram
    rest = (0.5 * 110 / 231) / 10.5
    g2 = share * np.log(share / (121 / 231)) + rest * np.log(rest / (110 / 231))
    assert worth[0] == pytest.approx(g2 * np.sqrt(10))


@pytest.mark.parametrize(
    ("words", "most", "kept"), [(50, 10, (6, 4)), (2, 10, (2, 8)), (98, 10, (8, 2)), (50, 500, (50, 50))]
)
def test_either_kind_has_its_share_and_what_the_other_leaves(words, most, kept):
    found = selection._best(np.arange(100.0), words, most)
    assert ((found < words).sum(), (found >= words).sum()) == kept
    assert (np.diff(found) > 0).all() and found[-1] == 99


def test_held_out_texts_have_no_say_in_the_first_features():
    texts, labels = ["dull", "dull", "bright", "bright", "secret", "secret"], np.array([0, 0, 1, 1, 0, 1])
    held_out = np.array([False] * 4 + [True] * 2)
    first, every = selection.select(texts, labels, 2, How(1, 0), 2, 100, held_out, nothing)
    assert first.word_features == 2 and every.word_features == 3
    assert (first.how.texts, every.how.texts) == (4, 6)
    assert not first.read(["secret"])[0].counts.any() and every.read(["secret"])[0].counts.all()


def test_many_labels_have_fewer_features(monkeypatch):
    monkeypatch.setattr(selection, "MOST_WEIGHTS", 20)
    texts, labels = [f"w{k} x{k}" for k in range(20)], np.arange(20) % 4
    _, every = selection.select(texts, labels, 4, How(1, 2), 1, 100, np.zeros(20, bool), nothing)
    assert len(every.hashes) == 5
