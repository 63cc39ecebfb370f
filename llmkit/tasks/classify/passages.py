"""Texts that quote each other: those that share a passage are one group, which no split tears apart.

In: texts. Out: the number of each one's group. A model that has read the message which another one quotes has seen half
of that other one: what is held out to be judged by must share no passage with what was learnt from.
"""

from collections.abc import Sequence

import numpy as np

from llmkit.data.copies import groups_of
from llmkit.tasks.classify import ngrams

WORDS = 12  # in a passage
MOST_TEXTS = 20  # that share a passage: what more of them hold is a form (a greeting, a notice), not a quotation
# Passages that are compared, some 200 MB. Of more a share is, chosen by their hashes, so that the texts that quote each
# other keep the same ones (the "0 mod p" of Schleimer, Wilkerson & Aiken, "Winnowing", 2003, section 2).
MOST_PASSAGES = 8_000_000


def groups(texts: Sequence[str]) -> np.ndarray:
    """(N,) int64: texts that are alike, or that share a passage with one of their group, have one number."""
    first = groups_of(text.casefold() for text in texts)
    _, one = np.unique(first, return_index=True)  # a text of each group of copies
    linked = _linked(*_passages([texts[k] for k in one]), len(one))
    return groups_of(linked[first].tolist())


def _passages(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 of passages, number of the text that holds each)."""
    parts, of, done = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)], 0
    share = np.uint64(1 + sum(map(len, texts)) // (3 * MOST_PASSAGES))  # a word has three characters at least, about
    for block in ngrams.blocks(texts):
        hashes, which = ngrams.passages(block, WORDS)
        hashes ^= hashes >> np.uint64(32)
        kept = hashes % share == 0
        parts.append(hashes[kept])
        of.append(which[kept] + done)
        done += len(block)
    return np.concatenate(parts), np.concatenate(of)


def _linked(hashes: np.ndarray, of: np.ndarray, count: int) -> np.ndarray:
    """(count,) the lowest number of a text that each one is linked with, by passages and the texts that hold them."""
    order = np.lexsort((of, hashes))
    hashes, of = hashes[order], of[order]
    once = np.append(True, (hashes[1:] != hashes[:-1]) | (of[1:] != of[:-1]))[: len(of)]  # each text once a passage
    hashes, of = hashes[once], of[once]
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(of)])
    counts = np.diff(np.append(starts, len(of)))
    rare = np.repeat(counts <= MOST_TEXTS, counts)
    same = np.flatnonzero((hashes[1:] == hashes[:-1]) & rare[1:])
    links = np.unique(of[same] * count + of[same + 1])
    root = list(range(count))

    def find(text: int) -> int:
        while root[text] != text:
            root[text] = text = root[root[text]]
        return text

    for one, other in zip((links // count).tolist(), (links % count).tolist(), strict=True):
        low, high = sorted((find(one), find(other)))
        root[high] = low
    return np.array([find(text) for text in range(count)], np.int64)
