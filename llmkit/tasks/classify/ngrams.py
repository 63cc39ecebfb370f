"""Texts to the n-grams of words and characters they hold, as numbers: vectorised, no dictionary.

In: texts. Out: for each text the features it holds, each once. An n-gram is its 64-bit polynomial hash cut to BITS; of
these buckets those that enough training texts hold are the features, numbered from 1 in the order of `buckets`, which
is all that a model folder keeps of them (`ngrams.npy`). Two n-grams of one bucket are one feature.

Text is lower-cased and runs of blanks are one space. A word is a run of letters, digits and apostrophes (any character
outside ASCII counts as a letter); every other mark is a word by itself. Character n-grams run over words and spaces.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmkit.tasks.classify.ragged import Ragged

FILE = "ngrams.npy"
BITS = 22
BASE = 0x9E3779B97F4A7C15 | 1  # any odd number has an inverse modulo 2**64
SPREAD = 0xD6E8FEB86659FD93  # multiplier that mixes a hash before it is cut
BLOCK_CHARACTERS = 1 << 20  # hashed at once: some hundred MB of arrays

_WORD = np.zeros(128, bool)
_WORD[[*range(48, 58), *range(97, 123), ord("'")]] = True


@dataclass(frozen=True)
class Ngrams:
    """The features of a model: `buckets` (F,) uint32, rising; the longest n-grams of words and of characters."""

    buckets: np.ndarray
    words: int
    characters: int

    def __post_init__(self) -> None:
        table = np.zeros(1 << BITS, np.int32)
        table[self.buckets] = np.arange(1, len(self.buckets) + 1)
        object.__setattr__(self, "_table", table)

    def features(self, texts: Sequence[str]) -> Ragged:
        """What the texts hold, each feature once."""
        numbers, counts = [], []
        for block in _blocks(texts):
            buckets, of = hashed(block, self.words, self.characters)
            found = self._table[buckets]  # type: ignore[attr-defined]
            keys = _once((of[found > 0].astype(np.int64) << 32) | found[found > 0])
            numbers.append((keys & 0xFFFFFFFF).astype(np.int32))
            counts.append(np.bincount(keys >> 32, minlength=len(block)))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]) if counts else np.zeros(1, np.int64)
        return Ragged(np.concatenate(numbers) if numbers else np.zeros(0, np.int32), starts.astype(np.int64))


def learn(texts: Sequence[str], words: int, characters: int, least: int, most: int) -> Ngrams:
    """The features that at least `least` of the training texts hold, the `most` frequent ones."""
    counts = np.zeros(1 << BITS, np.int64)
    for block in _blocks(texts):
        buckets, of = hashed(block, words, characters)
        keys = _once((of.astype(np.int64) << BITS) | buckets)
        counts += np.bincount(keys & ((1 << BITS) - 1), minlength=1 << BITS)
    kept = np.flatnonzero(counts >= least)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:most]])
    return Ngrams(kept.astype(np.uint32), words, characters)


def save(ngrams: Ngrams, path: Path) -> None:
    """Write ngrams.npy."""
    np.save(path, np.concatenate([[ngrams.words, ngrams.characters], ngrams.buckets]).astype(np.uint32))


def load(path: Path) -> Ngrams:
    """Read ngrams.npy."""
    numbers = np.load(path)
    return Ngrams(numbers[2:], int(numbers[0]), int(numbers[1]))


def hashed(texts: Sequence[str], words: int, characters: int) -> tuple[np.ndarray, np.ndarray]:
    """(bucket of every n-gram in every text, number of its text): words of 1 to `words`, characters of 2 on."""
    spaced = [f" {' '.join(text.lower().split())} " for text in texts]
    points = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    of = np.repeat(np.arange(len(texts)), [len(text) for text in spaced])
    parts = []
    if characters > 1:
        parts += _character_ngrams(points, of, characters)
    if words:
        parts += _word_ngrams(points, of, words)
    buckets = [((value ^ (value >> np.uint64(32))) * np.uint64(SPREAD)) >> np.uint64(64 - BITS) for value, _ in parts]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(buckets).astype(np.int64), np.concatenate([which for _, which in parts])


def _character_ngrams(points: np.ndarray, of: np.ndarray, longest: int) -> list[tuple[np.ndarray, np.ndarray]]:
    parts, value = [], points
    for n in range(2, longest + 1):
        if len(points) < n:
            break
        value = value[:-1] * np.uint64(BASE) + points[n - 1 :]
        inside = of[n - 1 :] == of[: len(value)]
        parts.append((value[inside], of[: len(value)][inside]))
    return parts


def _word_ngrams(points: np.ndarray, of: np.ndarray, longest: int) -> list[tuple[np.ndarray, np.ndarray]]:
    letter = points >= 128
    letter[~letter] = _WORD[points[~letter].astype(np.int64)]
    blank = points == 32
    starts = np.flatnonzero(~blank & ~(letter & np.concatenate([[False], letter[:-1]])))
    ends = np.flatnonzero(~blank & ~(letter & np.concatenate([letter[1:], [False]]))) + 1
    # The hash of points[s:e] from sums of points[i] * BASE**i: their difference, divided by BASE**s.
    powers = np.cumprod(np.full(len(points), BASE, np.uint64))
    inverse = np.cumprod(np.full(len(points), pow(BASE, -1, 1 << 64), np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(points * powers)])
    word = (sums[ends] - sums[starts]) * inverse[starts]
    parts, value, which = [], word, of[starts]
    for n in range(1, longest + 1):
        if n > 1:
            value = value[:-1] * np.uint64(SPREAD) + word[n - 1 :]
        inside = which[n - 1 :] == which[: len(value)]
        parts.append((value[inside] + np.uint64(n << 40), which[: len(value)][inside]))
    return parts


def _once(keys: np.ndarray) -> np.ndarray:
    """The different keys, rising. (By sorting: numpy 2.4's `unique` took 17 times as long on half a million.)"""
    keys = np.sort(keys)
    return keys[np.concatenate([np.ones(min(len(keys), 1), bool), keys[1:] != keys[:-1]])]


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in runs of about BLOCK_CHARACTERS."""
    start = size = 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= BLOCK_CHARACTERS:
            yield texts[start : number + 1]
            start, size = number + 1, 0
    if start < len(texts):
        yield texts[start:]
