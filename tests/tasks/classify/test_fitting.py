"""What is learnt of n-grams from texts: how they are read is chosen by what tells held-out texts apart."""

import numpy as np

from llmkit.tasks.classify import fitting
from llmkit.tasks.classify.settings import Ngrams

GENERATOR = np.random.default_rng(0)
OTHERS = ["film", "plot", "actor", "scene", "with", "and"]


def nothing(*progress):
    pass


def some_words(count):
    return " ".join(GENERATOR.choice(OTHERS, count))


def learn(texts, labels, **settings):
    return fitting.learn(texts, np.array(labels), 2, Ngrams(characters=3, **settings), nothing)


def test_negations_are_marked_where_they_turn_the_label():
    labels = [k % 2 for k in range(200)]
    turned = GENERATOR.random(200) < 0.5
    texts = [
        f"{some_words(3)} {'not ' if turn else ''}{some_words(1)} {'good' if label != turn else 'bad'} {some_words(2)}"
        for label, turn in zip(labels, turned.tolist(), strict=True)
    ]
    ngrams, fitted = learn(texts, labels)
    assert fitted.chosen["negations"] and "not" in ngrams.how.negations
    assert fitted.chosen["accuracy"] > 0.9 and len(fitted.chosen["tried"]) == 4
    ngrams, fitted = learn(texts, labels, negations=[])
    assert not fitted.chosen["negations"] and fitted.chosen["accuracy"] < 0.9 and len(fitted.chosen["tried"]) == 2


def test_the_beginning_counts_where_it_tells_the_label():
    labels = [k % 2 for k in range(200)]
    words = ["dull", "bright"]
    texts = [
        f"{words[label]} {some_words(40)} {words[k // 2 % 2]} {words[k // 4 % 2]}" for k, label in enumerate(labels)
    ]
    ngrams, fitted = learn(texts, labels)
    assert ngrams.how.head > 0 and fitted.chosen["head"] == ngrams.how.head


def test_no_ngrams_of_words_or_none_at_all():
    texts, labels = ["dull film", "bright film"] * 20, [0, 1] * 20
    ngrams, fitted = learn(texts, labels, words=0)
    assert ngrams.word_features == 0 and "tried" not in fitted.chosen and fitted.chosen["accuracy"] == 1
    none, fitted = fitting.learn(texts, np.array(labels), 2, Ngrams(words=0, characters=0), nothing)
    assert len(none.hashes) == 0 and fitted.table.shape == (1, 2)
