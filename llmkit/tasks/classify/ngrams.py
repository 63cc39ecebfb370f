"""Texts to the n-grams of words and characters they hold, as numbers: vectorised, no dictionary.

In: texts. Out: for each text the features it holds, each once, with a value. An n-gram is its 64-bit polynomial hash
cut to 31 bits, and the features are those that `selection.py` takes from training texts, numbered from 1 in the order
of `hashes`, which is all that a model folder keeps of them (`ngrams.npy`); those of words come first. Another n-gram is
taken for a feature only where all 31 bits agree.

Text is lower-cased and runs of blanks are one space. A word is a run of letters, digits and apostrophes, straight
or curly; every other mark is a word by itself, and so is every character of a script that puts no spaces between words
(Chinese, Japanese, Thai, Lao, Khmer, Burmese). After a word that negates, such as "not", the words up to the next mark,
but no more than NEGATED_WORDS, are others than elsewhere (Das & Chen 2001; Pang, Lee & Vaithyanathan 2002, section 4).
Character n-grams lie within a word and the spaces beside it.
"""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from llmkit.data.ragged import Ragged
from llmkit.runtime.processors import usable_processors
from llmkit.store import new_files
from llmkit.store.files import Files

FILE, HOW = "ngrams.npy", "ngrams.json"
BITS = 30  # of a hash, beside the one that tells characters (1) from words (0)
SLOT_BITS = 22  # of a hash, by which features are looked up
MOST_WORDS, MOST_CHARACTERS = 5, 8  # in an n-gram, as the config allows
BASE = 0x9E3779B97F4A7C15 | 1  # any odd number has an inverse modulo 2**64
SPREAD = 0xD6E8FEB86659FD93  # multiplier that mixes a hash before it is cut
NEGATED = 0xA0761D6478BD642F  # multiplier of a negated word's hash: any odd number keeps different ones different
NEGATED_WORDS = 12  # after a word that negates, at most: where marks are rare it would turn all words to the end
BLOCK_CHARACTERS = 1 << 18  # hashed at once: some 30 MB of arrays
HEAD_CHARACTERS = 70  # the weight of a text's beginning falls to 1/e of itself in so many
FIXED_POINT, WEIGHT_BITS = 64, 12  # an occurrence's weight as a whole number beside its feature's in one key
FEATURE_BITS = 22
MOST_HEAD = 60.0  # so that the weight of an occurrence, 1 + head, fits into its bits

APOSTROPHES = dict.fromkeys(
    map(ord, "\N{LEFT SINGLE QUOTATION MARK}\N{RIGHT SINGLE QUOTATION MARK}"), "'"
) | dict.fromkeys(map(ord, "\N{MODIFIER LETTER APOSTROPHE}\N{FULLWIDTH APOSTROPHE}"), "'")
_WORD = np.zeros(128, bool)
_WORD[[*range(48, 58), *range(97, 123), ord("'")]] = True
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, kana, Chinese characters.
UNSPACED = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF),
            (0x20000, 0x3FFFF))  # fmt: skip


@dataclass(frozen=True)
class How:
    """How texts are read: the longest n-grams of words and of characters, the words that negate, how much more an
    n-gram counts at the very beginning of a text (0: no more), and of how many training texts the counts are."""

    words: int
    characters: int
    negations: list[str] = field(default_factory=list)
    head: float = 0.0
    texts: int = 0


@dataclass(frozen=True)
class Ngrams:
    """The features of a model: `hashes` (F,) uint32, rising, those of words below 2**BITS, and how many of the training
    texts hold each (F,)."""

    hashes: np.ndarray
    counts: np.ndarray
    how: How

    def __post_init__(self) -> None:
        slots = np.arange((2 << SLOT_BITS) // 2 + 1, dtype=np.uint64) << np.uint64(BITS + 1 - SLOT_BITS)
        first = np.searchsorted(self.hashes, slots).astype(np.int32)
        rarity = np.log((1 + self.how.texts) / (1 + self.counts)) + 1
        object.__setattr__(self, "_first", first)
        object.__setattr__(self, "_most", int(np.diff(first).max(initial=0)))
        object.__setattr__(self, "_rarity", rarity.astype(np.float32))

    @property
    def word_features(self) -> int:
        """Features that are n-grams of words: the numbers from 1 to this one."""
        return int(np.searchsorted(self.hashes, 1 << BITS))

    def read(self, texts: Sequence[str]) -> tuple[Ragged, Ragged]:
        """(the features that the texts hold, each once, rising; their values).

        A value is 1 + log of the occurrences, times the inverse document frequency; those of a text's n-grams of words
        are scaled to length 1, and so are those of characters (TF-IDF: Salton & Buckley 1988, with the logarithm of
        Buckley et al., TREC-1): long texts do not shout, nor does the more numerous kind.
        """
        with ThreadPoolExecutor(usable_processors()) as threads:
            parts = list(threads.map(self._block, blocks(texts)))
        numbers = np.concatenate([part[0] for part in parts] or [np.zeros(0, np.int32)])
        values = np.concatenate([part[1] for part in parts] or [np.zeros(0, np.float32)])
        counts = np.concatenate([np.zeros(1, np.int64), *(part[2] for part in parts)])
        starts = np.cumsum(counts).astype(np.int64)
        return Ragged(numbers, starts), Ragged(values, starts)

    def _block(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(features, values, how many of each text) of a few texts."""
        keys, weights = counted(*self._found(texts))
        numbers, of = (keys & ((1 << FEATURE_BITS) - 1)).astype(np.int32), keys >> FEATURE_BITS
        values = (1 + np.log(weights)) * self._rarity[numbers - 1]  # type: ignore[attr-defined]
        kind = 2 * of + (numbers > self.word_features)
        squares = np.bincount(kind, values**2, minlength=2 * len(texts))
        return numbers, (values / np.sqrt(squares[kind])).astype(np.float32), np.bincount(of, minlength=len(texts))

    def _found(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(text and feature of each occurrence of one in a number, its weight)."""
        parts, of, weight = hashed(texts, self.how)
        keys, weights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for hashes, place in parts:
            number = self._look_up(hashes)
            known = np.flatnonzero(number)
            at = place[known]
            keys.append((of[at] << FEATURE_BITS) | number[known])
            weights.append(weight[at])
        return np.concatenate(keys), np.concatenate(weights)

    def _look_up(self, hashes: np.ndarray) -> np.ndarray:
        """The feature of each hash, 0 where it is none."""
        first: np.ndarray = self._first  # type: ignore[attr-defined]
        slot = hashes >> np.uint32(BITS + 1 - SLOT_BITS)
        place, end = first[slot], first[slot + np.uint32(1)]
        found = np.zeros(len(hashes), np.int32)
        for _ in range(self._most):  # type: ignore[attr-defined]
            here = np.flatnonzero(place < end)
            if not len(here):
                break
            same = here[self.hashes[place[here]] == hashes[here]]
            found[same] = place[same] + 1
            place[here] += 1
        return found


def counted(keys: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the different keys, rising; the sum of each one's weights, in FIXED_POINT parts, as float32).

    Both go through one sort of whole numbers, several times faster than to sort one by the other.
    """
    both = np.sort((keys << WEIGHT_BITS) | weights)
    if not len(both):
        return both, np.zeros(0, np.float32)
    key = both >> WEIGHT_BITS
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    sums = np.add.reduceat(both & ((1 << WEIGHT_BITS) - 1), first)
    return key[first], (sums / FIXED_POINT).astype(np.float32)


def save(ngrams: Ngrams, path: Path) -> None:
    """Write ngrams.npy, the hashes and then their counts, and ngrams.json beside it: how texts are read.

    Numbers of 16 bits, of which a hash takes two, the lower half first, where the counts fit into them; else of 32.
    """
    hashes, counts = ngrams.hashes.astype("<u4"), ngrams.counts
    if counts.max(initial=0) < 1 << 16:
        numbers = np.concatenate([hashes.view("<u2"), counts.astype("<u2")])
    else:
        numbers = np.concatenate([hashes, counts.astype("<u4")])
    new_files.save_array(path / FILE, numbers)
    new_files.write_text(path / HOW, json.dumps(asdict(ngrams.how), ensure_ascii=False, indent=1) + "\n")


def load(folder: Files) -> Ngrams:
    """The n-grams of a prepared folder or a model folder. Raises InputError."""
    numbers, how = folder.array(FILE), folder.read_as(HOW, How)
    parts = {"uint16": 3, "uint32": 2}.get(str(numbers.dtype))  # numbers of a feature
    if numbers.ndim != 1 or not parts or len(numbers) % parts:
        raise folder.damaged(FILE, f"no n-grams ({numbers.shape} of {numbers.dtype})")
    last = len(numbers) // parts
    hashes, counts = np.ascontiguousarray(numbers[: len(numbers) - last]).view("<u4"), numbers[len(numbers) - last :]
    if len(hashes) >= 1 << FEATURE_BITS or (np.diff(hashes.astype(np.int64)) <= 0).any():
        raise folder.damaged(FILE, "its hashes are too many or do not rise")
    if len(hashes) and hashes[-1] >> np.uint32(BITS + 1):
        raise folder.damaged(FILE, "a hash is beyond the last one")
    if not (0 <= how.words <= MOST_WORDS and 0 <= how.characters <= MOST_CHARACTERS and 0 <= how.head <= MOST_HEAD):
        raise folder.damaged(
            HOW, f"n-grams of {how.words:,} words and {how.characters:,} characters, head {how.head:g}"
        )
    if how.texts < int(counts.max(initial=0)):
        raise folder.damaged(HOW, "it counts fewer texts than hold an n-gram")
    return Ngrams(hashes, counts.astype(np.int64), how)


def hashed(
    texts: Sequence[str], how: How
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray, np.ndarray]:  # parts, of, weights
    """All n-grams, a part for each length (words of 1 on, characters of 2 on): (hash uint32, place of its beginning) of
    each. And of every place the number of its text and the weight, in FIXED_POINT parts, of what begins there.
    """
    points, of = _points(texts)
    parts = []
    if how.words:
        parts += [(0, *part) for part in _word_ngrams(points, of, how.words, how.negations)]
    if how.characters > 1:
        parts += [(1 << BITS, *part) for part in _character_ngrams(points, of, how.characters)]
    return [(_cut(value) | np.uint32(kind), place) for kind, value, place in parts], of, _weights(of, how.head)


def passages(texts: Sequence[str], words: int) -> tuple[np.ndarray, np.ndarray]:
    """(64-bit hash of every run of so many words, number of the text that holds it)."""
    points, of = _points(texts)
    if not len(points):
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    value, place = _word_ngrams(points, of, words, ())[-1]
    return value, of[place]


def _weights(of: np.ndarray, head: float) -> np.ndarray:
    """What an n-gram counts that begins at each character."""
    if not head:
        return np.full(len(of), FIXED_POINT, np.int64)
    place = np.arange(len(of)) - np.searchsorted(of, of)
    return np.rint(FIXED_POINT * (1 + head * np.exp(-place / HEAD_CHARACTERS))).astype(np.int64)


def _points(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(code points uint64 of all texts, a space before and after each; number of each one's text)."""
    spaced = [f" {' '.join(text.lower().translate(APOSTROPHES).split())} " for text in texts]
    points = np.frombuffer("".join(spaced).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    return points, np.repeat(np.arange(len(texts)), [len(text) for text in spaced])


def _cut(value: np.ndarray) -> np.ndarray:
    """64-bit hashes to such below 2**BITS, uint32."""
    return (((value ^ (value >> np.uint64(32))) * np.uint64(SPREAD)) >> np.uint64(64 - BITS)).astype(np.uint32)


def _character_ngrams(points: np.ndarray, of: np.ndarray, longest: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(64-bit hash, place of the first character) for each length."""
    blanks = np.concatenate([[0], np.cumsum(points == 32)])
    parts, value = [], points
    for n in range(2, longest + 1):
        if len(points) < n:
            break
        value = value[:-1] * np.uint64(BASE) + points[n - 1 :]
        # No blank but at either end; of "  " between two texts either end is one.
        kept = (blanks[n - 1 : -1] == blanks[1 : len(value) + 1]) & (of[n - 1 :] == of[: len(value)])
        place = np.flatnonzero(kept)
        parts.append((value[place], place))
    return parts


def _word_ngrams(
    points: np.ndarray, of: np.ndarray, longest: int, negations: Sequence[str]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(64-bit hash, place of the first character) for each length."""
    word, starts, is_mark = _words(points)
    which = of[starts]
    if negations:
        word = np.where(_negated(word, which, is_mark, negations), word * np.uint64(NEGATED), word)
    parts, value = [], word
    for n in range(1, longest + 1):
        if n > 1:
            value = value[:-1] * np.uint64(SPREAD) + word[n - 1 :]
        inside = which[n - 1 :] == which[: len(value)]
        parts.append((value[inside] + np.uint64(n << 40), starts[: len(value)][inside]))
    return parts


def _words(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(hash of every word, where it starts, whether it is a mark)."""
    letter, alone = _are_letters(points)
    blank = points == 32
    starts = np.flatnonzero(~blank & ~(letter & np.concatenate([[False], letter[:-1]])))
    ends = np.flatnonzero(~blank & ~(letter & np.concatenate([letter[1:], [False]]))) + 1
    # The hash of points[s:e] from sums of points[i] * BASE**i: their difference, divided by BASE**s.
    powers = np.cumprod(np.full(len(points), BASE, np.uint64))
    inverse = np.cumprod(np.full(len(points), pow(BASE, -1, 1 << 64), np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(points * powers)])
    return (sums[ends] - sums[starts]) * inverse[starts], starts, ~letter[starts] & ~alone[starts]


def _are_letters(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether code points (N,) are parts of words, letters, marks upon them and digits, by Unicode's categories; and
    whether they are words by themselves, since their script has no spaces."""
    letter, alone = np.zeros(len(points), bool), np.zeros(len(points), bool)
    is_ascii = points < 128
    letter[is_ascii] = _WORD[points[is_ascii].astype(np.int64)]
    different, place = np.unique(points[~is_ascii], return_inverse=True)
    known = np.array([unicodedata.category(chr(point))[0] in "LMN" for point in different.tolist()], bool)
    single = known & np.array([is_unspaced(point) for point in different.tolist()], bool)
    letter[~is_ascii], alone[~is_ascii] = (known & ~single)[place], single[place]
    return letter, alone


def is_unspaced(point: int) -> bool:
    """Whether a code point is of a script that puts no spaces between words."""
    return any(first <= point <= last for first, last in UNSPACED)


def _negated(word: np.ndarray, which: np.ndarray, is_mark: np.ndarray, negations: Sequence[str]) -> np.ndarray:
    """Whether each word stands soon after one that negates, with no mark and no other text's beginning in between."""
    negates = np.isin(word, _words(_points(negations)[0])[0])
    place = np.arange(len(word))
    ends = is_mark | np.diff(which, prepend=-1).astype(bool)
    last = np.maximum.accumulate(np.where(negates, place, -1))
    end = np.maximum.accumulate(np.where(ends, place, -1))
    return (last >= end) & (last >= 0) & (place - last <= NEGATED_WORDS) & ~negates & ~is_mark


def blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in runs of about BLOCK_CHARACTERS."""
    start = size = 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= BLOCK_CHARACTERS:
            yield texts[start : number + 1]
            start, size = number + 1, 0
    if start < len(texts):
        yield texts[start:]
