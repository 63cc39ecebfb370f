"""N-grams by vectorised hashing against a plain loop."""

import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.store.files import Files
from llmkit.tasks.classify import ngrams

TEXT = st.text(st.sampled_from("ab'é 1.!’“—"), max_size=30)
LETTER = r"(?:[^\W_]|['\u0301])"  # é may be two characters; the second is a mark upon a letter


def plain(text, words, characters, negations=()):
    """The n-grams of a text, by a loop."""
    text = f" {' '.join(text.lower().replace('’', chr(39)).split())} "
    found = re.findall(rf"{LETTER}+|[^\s]", text)
    grams = [("word", *part) for part in word_ngrams(negated(found, negations), words)]
    inside = [text[i : i + n] for n in range(2, characters + 1) for i in range(len(text) - n + 1)]
    return grams + [gram for gram in inside if " " not in gram[1:-1]]


def word_ngrams(words, longest):
    return [tuple(words[i : i + n]) for n in range(1, longest + 1) for i in range(len(words) - n + 1)]


def negated(words, negations):
    marked, after = [], False
    for word in words:
        if not re.match(LETTER, word):
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


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("it wasn’t good", "it wasn't good"),
        ("it wasnʼt good", "it wasn't good"),
        ("not bad“good”", "not bad “ good ”"),
        ("not bad—good", "not bad — good"),
        ("not bad…good、fine", "not bad … good 、 fine"),
    ],
)
def test_punctuation_beyond_ascii_parts_words_and_ends_a_negation(text, same):
    def grams(text):
        return sorted(ngrams.hashed([text], 2, 0, ["not", "wasn't"])[0].tolist())

    assert grams(text) == grams(same)


def test_letters_marks_and_digits_of_any_script_are_words():
    (one,) = {
        len(ngrams.hashed([word], 1, 0, [])[0]) for word in ("naïve", "e\u0301te\u0301", "мир", "日本", "٣٤", "हिंदी")
    }
    assert one == 1


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([], r"\(0,\) of uint32"),
        ([2, 3, 9, 5], r"\(4,\) of uint32"),
        ([10**9, 3, 9], "n-grams of 1,000,000,000 words and 3 characters"),
        ([2, 10**9, 9], "n-grams of 2 words and 1,000,000,000 characters"),
        ([2, 3, 9, 7, 7, 1, 1], "buckets that do not rise"),
        ([2, 3, 9, 1 << 23, 1], "beyond the last one"),
    ],
)
def test_what_are_no_ngrams(numbers, says):
    with pytest.raises(ValueError, match=says):
        ngrams.load(np.array(numbers, np.uint32))
    with pytest.raises(ValueError, match="of float32"):
        ngrams.load(np.zeros(5, np.float32))
