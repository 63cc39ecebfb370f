"""N-grams by vectorised hashing against a plain loop."""

import json
import re

import numpy as np
import pytest
from hypothesis import given, strategies as st

from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.classify import ngrams, selection
from llmkit.tasks.classify.ngrams import How

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
    marked, left = [], 0
    for word in words:
        if not re.match(LETTER, word):
            left = 0
        marked.append(word if word in negations or left <= 0 else f"not {word}")
        left = ngrams.NEGATED_WORDS if word in negations else left - 1
    return marked


def hashed(texts, words, characters, negations=()):
    """(hashes, number of each one's text)."""
    parts, of, _ = ngrams.hashed(texts, How(words, characters, list(negations)))
    none = [np.zeros(0, np.int64)]
    return np.concatenate(none + [part[0] for part in parts]), np.concatenate(none + [of[part[1]] for part in parts])


@given(st.lists(TEXT, min_size=1, max_size=8), st.integers(1, 3), st.integers(2, 4), st.sampled_from([(), ("a", "1b")]))
def test_hashes_stand_for_exactly_the_ngrams_of_a_plain_loop(texts, words, characters, negations):
    found, of = hashed(texts, words, characters, negations)
    for number, text in enumerate(texts):
        expected = plain(text, words, characters, negations)
        assert (of == number).sum() == len(expected)
        one, _ = hashed([text], words, characters, negations)
        assert sorted(one) == sorted(found[of == number])  # whatever stands beside it
    every = {gram for text in texts for gram in plain(text, words, characters, negations)}
    assert len(set(found.tolist())) == len(every)  # in 30 bits, of so few none meet


def test_words_after_a_negation_are_others_until_a_mark_or_far_behind():
    def words(text):
        return hashed([text], 1, 0, ["not"])[0].tolist()

    first, *_ = words("good")
    _, after, mark, behind = words("not good, good")
    assert after != first == behind and mark == words(",")[0]
    assert hashed(["not x", "good"], 1, 0, ["not"])[0][-1] == first  # another text begins anew
    far = words("not " + "good " * (ngrams.NEGATED_WORDS + 1))
    assert far[1:] == [after] * ngrams.NEGATED_WORDS + [first]


def of_all(texts, words, characters, head=0.0):
    """Ngrams of which every n-gram of the texts is a feature."""
    return selection.most_frequent(texts, How(words, characters, [], head), 1000)


def test_features_are_read_each_once_rising_words_first():
    learnt = of_all(["aa aa b", "aa c", "b d"], 1, 2)
    assert learnt.word_features == 4 and (np.diff(learnt.hashes.astype(np.int64)) > 0).all()
    found, values = learnt.read(["aa aa b", "", "z", "aa"])
    assert found.counts.tolist() == [2 + 5, 0, 0, 1 + 3]  # "aa", "b"; "aa" and the spaces beside it, and so "b"
    assert (np.diff(found.numbers[:7]) > 0).all() and (values.starts == found.starts).all()


def test_a_feature_counts_by_how_rare_and_how_often_it_is_among_its_kind():
    learnt = of_all(["a b", "a", "c"], 1, 2)
    features, values = learnt.read(["a b b", "c", ""])
    values, is_word = values.padded(np.arange(3)), features.padded(np.arange(3)) <= learnt.word_features
    assert features.counts.tolist() == [2 + 4, 1 + 2, 0]
    often, once = np.log(4 / 3) + 1, (np.log(4 / 2) + 1) * (1 + np.log(2))  # of 3 texts 2 hold "a"; "b" is there twice
    assert sorted(values[0][is_word[0]] * np.hypot(often, once)) == pytest.approx([often, once])
    assert (values[0][~is_word[0]] ** 2).sum() == pytest.approx(1)
    np.testing.assert_allclose(values[1], [1, *[2**-0.5] * 2, *[0] * 3], rtol=1e-6)
    assert not values[2].any()


def test_the_beginning_of_a_text_counts_for_more():
    keys, weights = of_all(["a b"], 1, 0, head=9.0)._found(["a b a", "b"])
    points = np.array([1, 3, 5, 1])  # where the words stand, a space before the text
    expected = np.rint(ngrams.FIXED_POINT * (1 + 9 * np.exp(-points / ngrams.HEAD_CHARACTERS)))
    assert weights.tolist() == expected.tolist()
    same, sums = ngrams.counted(keys, weights)
    assert len(same) == 3 and sums.sum() * ngrams.FIXED_POINT == pytest.approx(expected.sum())


def test_they_come_back_the_same(tmp_path):
    learnt = selection.most_frequent(["some words", "some more"], How(2, 3, ["not"], 9.0), 100)
    ngrams.save(learnt, tmp_path)
    again = ngrams.load(Files(tmp_path))
    assert (again.hashes == learnt.hashes).all() and again.counts.tolist() == learnt.counts.tolist()
    assert again.how == How(2, 3, ["not"], 9.0, texts=2)


def test_a_million_characters_are_read():
    learnt = of_all(["word"], 1, 2)
    found, _ = learnt.read(["word " * 200_000])
    assert found.counts.tolist() == learnt.read([" word "])[0].counts.tolist()


@pytest.mark.parametrize("text", ["日本語", "สวัส", "ひらが", "ខ្មែ"])
def test_characters_of_scripts_without_spaces_are_words(text):
    alone, _ = hashed([text], 1, 0)
    assert len(alone) == len(text)
    pairs, _ = hashed([text], 2, 0)
    assert len(pairs) == 2 * len(text) - 1 and ngrams.is_unspaced(ord(text[0]))


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
        return sorted(hashed([text], 2, 0, ["not", "wasn't"])[0].tolist())

    assert grams(text) == grams(same)


def test_letters_marks_and_digits_of_any_script_are_words():
    (one,) = {len(hashed([word], 1, 0)[0]) for word in ("naïve", "e\u0301te\u0301", "мир", "한국", "٣٤", "हिंदी")}
    assert one == 1


@pytest.mark.parametrize(
    ("numbers", "how", "says"),
    [
        ([5], {}, r"no n-grams \(\(1,\) of uint32"),
        ([9, 7, 1, 1], {}, "do not rise"),
        ([9, 1 << 31, 1, 1], {}, "beyond the last one"),
        ([9, 1], {"words": 10**9}, "n-grams of 1,000,000,000 words and 3 characters"),
        ([9, 1], {"characters": 10**9}, "1,000,000,000 characters"),
        ([9, 1], {"head": 1e9}, "head 1e"),
        ([9, 5], {}, "counts fewer texts"),
        ([9, 1], {"words": "many"}, "words"),
    ],
)
def test_what_are_no_ngrams(tmp_path, numbers, how, says):
    np.save(tmp_path / ngrams.FILE, np.array(numbers, np.uint32))
    told = {"words": 2, "characters": 3, "negations": [], "head": 0.0, "texts": 3} | how
    (tmp_path / ngrams.HOW).write_text(json.dumps(told))
    with pytest.raises(InputError, match=says):
        ngrams.load(Files(tmp_path))


@pytest.mark.parametrize("most", [3, 70_000])  # counts of 16 bits, and of 32
def test_features_are_read_as_they_were_written(tmp_path, most):
    how = How(2, 3, ["not"], 9.0, texts=80_000)
    kept = ngrams.Ngrams(np.array([5, 9, (1 << 31) - 1], np.uint32), np.array([1, most, 2]), how)
    ngrams.save(kept, tmp_path)
    found = ngrams.load(Files(tmp_path))
    assert found.hashes.tolist() == kept.hashes.tolist() and found.counts.tolist() == kept.counts.tolist()
    assert found.how == how and (tmp_path / ngrams.FILE).stat().st_size == 128 + 3 * (6 if most < 1 << 16 else 8)
