"""Which n-grams of training texts become features, by what they say of the labels.

In: texts and label numbers. Out: `ngrams.Ngrams`. Two passes over the texts, a block at a time: how many hold each
n-gram, then how many of each label. An n-gram is worth its likelihood ratio G² (how far the labels of the texts that
hold it are from those of all: Dunning 1993) over the square root of how many texts hold it: of two that say as much,
the rarer one costs less to read, and what all texts hold crowds nothing out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.tasks.classify import ngrams
from llmkit.tasks.classify.ngrams import BITS, How, Ngrams

MOST_WEIGHTS = 2_500_000  # features times labels: 10 MB of float32
MOST_COUNTS = 20_000_000  # n-grams times labels that are counted, in the second pass
MOST_SEEN = 12_000_000  # different n-grams kept while they are counted
MERGED = 4_000_000  # occurrences counted before they join the rest
WORD_SHARE = 0.6  # of the features where neither kind leaves room
BELIEF = 0.5  # texts that the shares of the labels count for, beside those that hold an n-gram


def select(
    texts: Sequence[str],
    labels: np.ndarray,
    classes: int,
    how: How,
    least: int,
    most: int,
    held_out: np.ndarray,
    progress: Progress,
) -> tuple[Ngrams, Ngrams]:
    """The features that all texts but those `held_out` (N,) bool call for, and those that all do.

    Of the n-grams of words, and those of characters that at least `least` texts hold, the best ones: `most`, or as many
    as MOST_WEIGHTS allows.
    """
    hashes, _ = count(texts, how, least, max(1, MOST_COUNTS // classes), progress)
    by_label = _by_label(texts, labels, classes, hashes, how, held_out, progress)
    most = max(1, min(most, MOST_WEIGHTS // classes))
    found = []
    for counted, among in ((by_label[0], int((~held_out).sum())), (by_label.sum(axis=0), len(texts))):
        counts = counted.sum(axis=0, dtype=np.int64)
        there = np.flatnonzero((counts >= least) | ((hashes < 1 << BITS) & (counts > 0)))
        worth = _worth(counted[:, there], counts[there])
        kept = there[_best(worth, int(np.searchsorted(hashes[there], 1 << BITS)), most)]
        found.append(Ngrams(hashes[kept], counts[kept], replace(how, texts=among)))
    return found[0], found[1]


def most_frequent(texts: Sequence[str], how: How, most: int) -> Ngrams:
    """The `most` frequent n-grams as features, whatever they say of labels."""
    hashes, counts = count(texts, how, 1, most, lambda *progress: None)
    return Ngrams(hashes, counts, replace(how, texts=len(texts)))


def count(texts: Sequence[str], how: How, least: int, most: int, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """(hashes of the n-grams, uint32, rising; how many texts hold each): those of characters in `least` texts, and the
    `most` frequent of all.

    Where there are more than MOST_SEEN, those seen once go (as in lossy counting: Manku & Motwani 2002).
    """
    found, waiting = (np.zeros(0, np.uint32), np.zeros(0, np.int64)), list[np.ndarray]()
    for done, keys in _each_once(texts, how):
        waiting.append(keys)
        if sum(map(len, waiting)) > MERGED or done == len(texts):
            found, waiting = _merged(*found, np.sort(np.concatenate(waiting))), []
        if len(found[0]) > MOST_SEEN:
            found = found[0][found[1] > 1], found[1][found[1] > 1]
        progress("counting n-grams", done, len(texts))
    hashes, counts = found
    enough = (counts >= least) | (hashes < 1 << BITS)
    hashes, counts = hashes[enough], counts[enough]
    kept = _best(counts.astype(np.float64), int(np.searchsorted(hashes, 1 << BITS)), most)
    return hashes[kept], counts[kept]


def _each_once(texts: Sequence[str], how: How) -> Iterator[tuple[int, np.ndarray]]:
    """(texts so far, the hashes that the texts of a block hold, each once a text)."""
    done = 0
    for block in ngrams.blocks(texts):
        parts, of, _ = ngrams.hashed(block, how)
        keys = np.sort(np.concatenate([np.zeros(0, np.int64), *((of[place] << 32) | found for found, place in parts)]))
        done += len(block)
        yield done, keys[_first(keys)].astype(np.uint32)


def _merged(hashes: np.ndarray, counts: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes with their counts, and sorted ones beside them, as one list."""
    first = np.flatnonzero(_first(more))
    more, times = more[first], np.diff(np.append(first, len(more)))
    place = np.searchsorted(hashes, more)
    known = place < len(hashes)
    known[known] = hashes[place[known]] == more[known]
    counts[place[known]] += times[known]
    return np.insert(hashes, place[~known], more[~known]), np.insert(counts, place[~known], times[~known])


def _first(keys: np.ndarray) -> np.ndarray:
    """Whether each of the sorted keys is another one than that before it.

    (In place of numpy 2.4's `unique`, which took 17 times as long on half a million.)
    """
    return np.concatenate([np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]])


def _by_label(
    texts: Sequence[str],
    labels: np.ndarray,
    classes: int,
    hashes: np.ndarray,
    how: How,
    held_out: np.ndarray,
    progress: Progress,
) -> np.ndarray:
    """(2, C, F): how many texts of each label hold each n-gram, of those not held out and of those held out."""
    counter, done = Ngrams(hashes, np.ones(len(hashes), np.int64), how), 0
    found = np.zeros(2 * classes * len(hashes), np.int32)
    for block in ngrams.blocks(texts):
        features, _ = counter.read(block)
        which = slice(done, done + len(block))
        of = labels[which].astype(np.int64) + classes * held_out[which]
        keys = np.sort(of.repeat(features.counts) * len(hashes) + features.numbers - 1)
        first = np.flatnonzero(_first(keys))
        found[keys[first]] += np.diff(np.append(first, len(keys))).astype(np.int32)
        progress("weighing n-grams", done := done + len(block), len(texts))
    return found.reshape(2, classes, len(hashes))


def _worth(by_label: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(F,): G² over the square root of the texts that hold each n-gram."""
    priors = by_label.sum(axis=1, dtype=np.float64)
    priors /= max(priors.sum(), 1)
    total = np.zeros(len(counts))
    for row, prior in zip(by_label, priors, strict=True):
        share = (row + BELIEF * prior) / (counts + BELIEF)
        total += share * np.log(np.maximum(share, 1e-12) / max(prior, 1e-12))
    return total * np.sqrt(counts)


def _best(worth: np.ndarray, words: int, most: int) -> np.ndarray:
    """The numbers of the `most` best n-grams, rising: WORD_SHARE of them of words, and what the other kind leaves."""
    characters = len(worth) - words
    for_words = min(words, max(int(WORD_SHARE * most), most - characters))
    kinds = ((0, words, for_words), (words, len(worth), min(characters, most - for_words)))
    kept = [start + np.argsort(-worth[start:end], kind="stable")[:share] for start, end, share in kinds]
    return np.sort(np.concatenate(kept))
