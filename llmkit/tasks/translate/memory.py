"""The translation memory, which a model should beat: the answer of the training source that is most like a new one.

Likeness is the cosine of counts of character n-grams, weighed by how rare they are (tf–idf; Salton & Buckley 1988).
Numpy only: of each n-gram the training sources that hold it, so that a search looks at those alone.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

LONGEST = 4  # characters of an n-gram
COMMON = 0.2  # share of the sources from which on an n-gram tells nothing, where there are many of them


class Memory:
    """Sources and one answer of each."""

    def __init__(self, pairs: Sequence[tuple[str, str]]):
        """`pairs`: (source, answer) of the training split, at least one."""
        self.answers = [answer for _, answer in pairs]
        counts = [_ngrams(source) for source, _ in pairs]
        self.numbers: dict[str, int] = {}
        grams, sources, times = [], [], []
        for place, found in enumerate(counts):
            for gram, count in found.items():
                grams.append(self.numbers.setdefault(gram, len(self.numbers)))
                sources.append(place)
                times.append(count)
        held, source = np.array(grams, np.int64), np.array(sources, np.int64)
        holders = np.bincount(held, minlength=len(self.numbers))
        self.rarity = np.log((1 + len(pairs)) / (1 + holders)) + 1e-3  # one that all hold still tells a little
        if len(pairs) > 1000:
            self.rarity[holders > COMMON * len(pairs)] = 0
        weight = (1 + np.log(np.array(times, np.float64))) * self.rarity[held]
        norms = np.sqrt(np.bincount(source, weight**2, minlength=len(pairs)))
        order = np.argsort(held, kind="stable")
        self.source, self.weight = source[order], (weight / np.maximum(norms[source], 1e-12))[order]
        self.starts = np.concatenate([[0], np.cumsum(holders)])

    def nearest(self, source: str) -> str:
        """The answer of the training source most like this one, the first of equal ones."""
        scores = np.zeros(len(self.answers))
        for gram, count in _ngrams(source).items():
            number = self.numbers.get(gram)
            if number is not None and self.rarity[number]:
                place = slice(self.starts[number], self.starts[number + 1])
                scores[self.source[place]] += (1 + np.log(count)) * self.rarity[number] * self.weight[place]
        return self.answers[int(scores.argmax())]


def _ngrams(text: str) -> Counter[str]:
    """Character n-grams, the ends of the text being characters too."""
    text = f"\x02{text.casefold()}\x03"
    return Counter(text[i : i + n] for n in range(2, LONGEST + 1) for i in range(len(text) - n + 1))
