"""All that is learnt of n-grams from training texts: how they are read, which are features, the linear model over them.

Nothing is chosen by the language of the texts where the texts can say it: whether what follows a negation counts as
something else, and whether the beginning of a text (a subject, a headline) counts for more, is tried on held-out texts.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.plain import Json
from llmkit.tasks.classify import linear, passages, selection
from llmkit.tasks.classify.linear import HELD_OUT, Fitted, Texts
from llmkit.tasks.classify.ngrams import How, Ngrams
from llmkit.tasks.classify.settings import Ngrams as Settings

HEADS = (0.0, 9.0)  # how much more the very beginning of a text may count
TRIED_CHARACTERS = 3_000_000  # of the texts that the ways to read are tried on
FEATURES_TRIED = 100_000


def learn(
    texts: Sequence[str], labels: np.ndarray, classes: int, settings: Settings, progress: Progress
) -> tuple[Ngrams, Fitted]:
    """The features of training texts, and the linear model over them with what was chosen."""
    how, tried = choose_how(texts, labels, classes, settings, progress)
    held_out = unquoted(passages.groups(texts))
    first, ngrams = selection.select(
        texts, labels, classes, how, settings.at_least, settings.at_most, held_out, progress
    )
    read = _texts(first, texts, labels, classes)
    choice = linear.choose(read.take(np.flatnonzero(~held_out)), read.take(np.flatnonzero(held_out)), progress)
    del read
    fitted = linear.fit(_texts(ngrams, texts, labels, classes), choice, progress)
    said = {"negations": bool(how.negations), "head": how.head, "features": len(ngrams.hashes)}
    said |= {"features_of_words": ngrams.word_features}
    return ngrams, Fitted(fitted.table, fitted.bias, said | fitted.chosen | ({"tried": tried} if tried else {}))


def unquoted(groups: np.ndarray) -> np.ndarray:
    """(N,) bool: which texts are held out, by their groups (N,): every fifth group, but none of more than a fortieth of
    all texts; or every fifth text, where that leaves too few."""
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    small = sizes <= max(1, len(groups) // (8 * HELD_OUT))
    chosen = np.zeros(len(sizes), bool)
    chosen[np.flatnonzero(small)[::HELD_OUT]] = True
    if sizes[chosen].sum() < len(groups) / (4 * HELD_OUT):
        return np.arange(len(groups)) % HELD_OUT == 0
    return chosen[number]


def choose_how(
    texts: Sequence[str], labels: np.ndarray, classes: int, settings: Settings, progress: Progress
) -> tuple[How, list[Json]]:
    """The way to read of least loss, and that of each: over words on every fifth of some texts."""
    ways = [
        How(settings.words, settings.characters, negations, head)
        for negations, head in product(([], settings.negations) if settings.negations else ([],), HEADS)
    ]
    if not settings.words:
        return How(settings.words, settings.characters), []
    some = _sample(texts)
    tried = []
    for number, way in enumerate(ways, 1):
        loss = _loss(way, [texts[k] for k in some], labels[some], classes)
        tried.append({"negations": bool(way.negations), "head": way.head, "loss": loss})
        progress("trying ways to read", number, len(ways))
    return ways[int(np.argmin([one["loss"] for one in tried]))], tried


def _sample(texts: Sequence[str]) -> np.ndarray:
    """Numbers of texts, evenly spread, of about TRIED_CHARACTERS."""
    every = max(1, -(-sum(map(len, texts)) // TRIED_CHARACTERS))
    return np.arange(0, len(texts), every)


def _loss(how: How, texts: Sequence[str], labels: np.ndarray, classes: int) -> float:
    """Loss of naive Bayes and logistic regression over words, on every fifth text."""
    words = How(how.words, 0, how.negations, how.head)
    held_out = np.arange(len(texts)) % HELD_OUT == 0
    read = _texts(selection.most_frequent(texts, words, FEATURES_TRIED), texts, labels, classes)
    return linear.quick_loss(read.take(np.flatnonzero(~held_out)), read.take(np.flatnonzero(held_out)))


def _texts(ngrams: Ngrams, texts: Sequence[str], labels: np.ndarray, classes: int) -> Texts:
    features, values = ngrams.read(texts)
    return Texts(features, values, labels, len(ngrams.hashes), ngrams.word_features, classes)
