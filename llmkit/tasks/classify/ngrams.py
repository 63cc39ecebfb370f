"""Texts to the n-grams of words and characters they hold, as numbers: vectorised, no dictionary.

In: texts. Out: for each text the features it holds, each once. An n-gram is its 64-bit polynomial hash cut to BITS; of
these buckets those that training texts hold are the features, numbered from 1 in the order of `buckets`, which is all
that a model folder keeps of them (`ngrams.npy`). Those of words come first. Two n-grams of one bucket are one feature.

Text is lower-cased and runs of blanks are one space. A word is a run of letters, digits and apostrophes, straight
or curly; every other mark is a word by itself. After a word that negates, such as "not", the
words up to the next mark are others than elsewhere (Das & Chen 2001; Pang, Lee & Vaithyanathan 2002, section 4).
Character n-grams lie within a word and the spaces beside it.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmkit.data.ragged import Ragged

FILE = "ngrams.npy"
BITS = 22
MOST_WORDS, MOST_CHARACTERS = 5, 8  # in an n-gram, as the config allows
BASE = 0x9E3779B97F4A7C15 | 1  # any odd number has an inverse modulo 2**64
SPREAD = 0xD6E8FEB86659FD93  # multiplier that mixes a hash before it is cut
NEGATED = 0xA0761D6478BD642F  # multiplier of a negated word's hash: any odd number keeps different ones different
BLOCK_CHARACTERS = 1 << 20  # hashed at once: some hundred MB of arrays

APOSTROPHES = dict.fromkeys(
    map(ord, "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"), "'"
) | dict.fromkeys(map(ord, "\N{MODIFIER LETTER APOSTROPHE}\N{FULLWIDTH APOSTROPHE}"), "'")
_WORD = np.zeros(128, bool)
_WORD[[*range(48, 58), *range(97, 123), ord("'")]] = True


@dataclass(frozen=True)
class Ngrams:
    """The features of a model: `buckets` (F,) uint32, rising, those of words below 2**BITS; how many of the `texts` of
    training hold each (F,); the longest n-grams of words and of characters; the words that negate."""

    buckets: np.ndarray
    counts: np.ndarray
    texts: int
    words: int
    characters: int
    negations: Sequence[str] = ()

    def __post_init__(self) -> None:
        table = np.zeros(2 << BITS, np.int32)
        table[self.buckets] = np.arange(1, len(self.buckets) + 1)
        object.__setattr__(self, "_table", table)

    @property
    def word_features(self) -> int:
        """Features that are n-grams of words: the numbers from 1 to this one."""
        return int(np.searchsorted(self.buckets, 1 << BITS))

    def features(self, texts: Sequence[str]) -> Ragged:
        """What the texts hold, each feature once, rising."""
        numbers, counts = [], []
        for block in _blocks(texts):
            buckets, of = hashed(block, self.words, self.characters, self.negations)
            found = self._table[buckets]  # type: ignore[attr-defined]
            keys = _once((of[found > 0].astype(np.int64) << 32) | found[found > 0])
            numbers.append((keys & 0xFFFFFFFF).astype(np.int32))
            counts.append(np.bincount(keys >> 32, minlength=len(block)))
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))]) if counts else np.zeros(1, np.int64)
        return Ragged(np.concatenate(numbers) if numbers else np.zeros(0, np.int32), starts.astype(np.int64))

    def values(self, features: Ragged) -> Ragged:
        """What each feature counts in its text, float32: its inverse document frequency, those of a text's n-grams of
        words scaled to length 1, and so those of characters (TF-IDF: Salton & Buckley 1988, Table 1, "tfc" without
        repetitions): long texts do not shout, nor does the more numerous kind."""
        of = np.repeat(np.arange(len(features)), features.counts)
        kind = 2 * of + (features.numbers > self.word_features)
        rarity = np.log((1 + self.texts) / (1 + self.counts[features.numbers - 1])) + 1
        squares = np.bincount(kind, rarity**2, minlength=2 * len(features))
        return Ragged((rarity / np.sqrt(squares[kind])).astype(np.float32), features.starts)


def learn(
    texts: Sequence[str], words: int, characters: int, least: int, most: int, negations: Sequence[str] = ()
) -> Ngrams:
    """The features: n-grams of words, and of characters those that at least `least` of the training texts hold; of all
    these the `most` frequent ones."""
    counts = np.zeros(2 << BITS, np.int64)
    for block in _blocks(texts):
        buckets, of = hashed(block, words, characters, negations)
        keys = _once((of.astype(np.int64) << (BITS + 1)) | buckets)
        counts += np.bincount(keys & ((2 << BITS) - 1), minlength=2 << BITS)
    counts[1 << BITS :][counts[1 << BITS :] < least] = 0
    kept = np.flatnonzero(counts)
    if len(kept) > most:
        kept = np.sort(kept[np.argsort(-counts[kept], kind="stable")[:most]])
    return Ngrams(kept.astype(np.uint32), counts[kept], len(texts), words, characters, negations)


def save(ngrams: Ngrams, path: Path) -> None:
    """Write ngrams.npy: longest n-grams of words and of characters, texts, then the buckets and then their counts."""
    head = [ngrams.words, ngrams.characters, ngrams.texts]
    np.save(path, np.concatenate([head, ngrams.buckets, ngrams.counts]).astype(np.uint32))


def load(numbers: np.ndarray, negations: Sequence[str] = ()) -> Ngrams:
    """The array that `save` wrote. Raises ValueError for another one."""
    if numbers.ndim != 1 or numbers.dtype != np.uint32 or len(numbers) < 3 or len(numbers) % 2 == 0:
        raise ValueError(f"{numbers.shape} of {numbers.dtype}")
    words, characters, texts = numbers[:3].tolist()
    buckets, counts = np.split(numbers[3:], 2)
    if words > MOST_WORDS or characters > MOST_CHARACTERS:
        raise ValueError(f"n-grams of {words:,} words and {characters:,} characters")
    if (np.diff(buckets.astype(np.int64)) <= 0).any() or (len(buckets) and buckets[-1] >= 2 << BITS):
        raise ValueError("buckets that do not rise, or are beyond the last one")
    return Ngrams(buckets, counts.astype(np.int64), texts, words, characters, negations)


def hashed(
    texts: Sequence[str], words: int, characters: int, negations: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """(bucket of every n-gram in every text, number of its text): words of 1 to `words`, characters of 2 on."""
    points, of = _points(texts)
    parts = []
    if words:
        parts += [(0, *part) for part in _word_ngrams(points, of, words, negations)]
    if characters > 1:
        parts += [(1 << BITS, *part) for part in _character_ngrams(points, of, characters)]
    if not parts:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([_cut(value) + first for first, value, _ in parts]), np.concatenate([p[2] for p in parts])


def _points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(code points uint64 of all texts, a space before and after each; number of each one's text)."""
    spaced = [f" {' '.join(text.lower().translate(APOSTROPHES).split())} " for text in texts]
    points = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    return points, np.repeat(np.arange(len(texts)), [len(text) for text in spaced])


def _cut(value: np.ndarray) -> np.ndarray:
    """64-bit hashes to buckets below 2**BITS, int64."""
    return (((value ^ (value >> np.uint64(32))) * np.uint64(SPREAD)) >> np.uint64(64 - BITS)).astype(np.int64)


def _character_ngrams(points: np.ndarray, of: np.ndarray, longest: int) -> list[tuple[np.ndarray, np.ndarray]]:
    blanks = np.concatenate([[0], np.cumsum(points == 32)])
    parts, value = [], points
    for n in range(2, longest + 1):
        if len(points) < n:
            break
        value = value[:-1] * np.uint64(BASE) + points[n - 1 :]
        # No blank but at either end; of "  " between two texts either end is one.
        kept = (blanks[n - 1 : -1] == blanks[1 : len(value) + 1]) & (of[n - 1 :] == of[: len(value)])
        parts.append((value[kept], of[: len(value)][kept]))
    return parts


def _word_ngrams(
    points: np.ndarray, of: np.ndarray, longest: int, negations: Sequence[str]
) -> list[tuple[np.ndarray, np.ndarray]]:
    word, starts, is_mark = _words(points)
    which = of[starts]
    if negations:
        word = np.where(_negated(word, which, is_mark, negations), word * np.uint64(NEGATED), word)
    parts, value = [], word
    for n in range(1, longest + 1):
        if n > 1:
            value = value[:-1] * np.uint64(SPREAD) + word[n - 1 :]
        inside = which[n - 1 :] == which[: len(value)]
        parts.append((value[inside] + np.uint64(n << 40), which[: len(value)][inside]))
    return parts


def _words(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hash of every word, where it starts, whether it is a mark)."""
    letter = _are_letters(points)
    blank = points == 32
    starts = np.flatnonzero(~blank & ~(letter & np.concatenate([[False], letter[:-1]])))
    ends = np.flatnonzero(~blank & ~(letter & np.concatenate([letter[1:], [False]]))) + 1
    # The hash of points[s:e] from sums of points[i] * BASE**i: their difference, divided by BASE**s.
    powers = np.cumprod(np.full(len(points), BASE, np.uint64))
    inverse = np.cumprod(np.full(len(points), pow(BASE, -1, 1 << 64), np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(points * powers)])
    return (sums[ends] - sums[starts]) * inverse[starts], starts, ~letter[starts]


def _are_letters(points: np.ndarray) -> np.ndarray:
    """Whether code points (N,) are parts of words: letters, marks upon them and digits, by Unicode's categories."""
    ascii_ones = points < 128
    letter = np.zeros(len(points), bool)
    letter[ascii_ones] = _WORD[points[ascii_ones].astype(np.int64)]
    different, place = np.unique(points[~ascii_ones], return_inverse=True)
    known = np.array([unicodedata.category(chr(point))[0] in "LMN" for point in different.tolist()], bool)
    letter[~ascii_ones] = known[place]
    return letter


def _negated(word: np.ndarray, which: np.ndarray, is_mark: np.ndarray, negations: Sequence[str]) -> np.ndarray:
    """Whether each word stands after one that negates, with no mark and no other text's beginning in between."""
    negates = np.isin(word, _words(_points(negations)[0])[0])
    place = np.arange(len(word))
    ends = is_mark | np.diff(which, prepend=-1).astype(bool)
    last = np.maximum.accumulate(np.where(negates, place, -1))
    end = np.maximum.accumulate(np.where(ends, place, -1))
    return (last >= end) & ~negates & ~is_mark


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
