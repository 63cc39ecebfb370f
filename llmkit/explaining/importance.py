"""What counts over many examples: columns by permutation, words by what they add.

A column's importance is by how much the loss rises where its values are dealt out anew among the rows, so that they
tell nothing any more (Breiman, "Random forests", 2001, section 10; Fisher et al., arXiv 1801.01489, section 3). The
interval is that of the mean over rows.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from llmkit.data.columns import Column, Rows
from llmkit.explaining.columns import places
from llmkit.explaining.explanation import Explanation
from llmkit.plain import Json

ROUNDS = 5  # a column is dealt out
NORMAL_95 = 1.959964  # deviations each way that hold 95 % of a normal distribution
RARE = 3  # texts without the word that are counted in, so that no word of a single text is first
MOST_WORDS = 15  # named of a label
SEED = 0


def of_columns(
    rows: Rows, columns: Sequence[Column], losses: Callable[[Rows], np.ndarray]
) -> dict[str, dict[str, float]]:
    """{column: {rise, low, high}}, the most important first; `losses` of rows, each by itself (N,).

    low and high are the ends of a 95 % interval.
    """
    generator, before, found = np.random.default_rng(SEED), losses(rows), {}
    for column, place in zip(columns, places(list(columns)), strict=True):
        rises = np.zeros(len(rows))
        for _ in range(ROUNDS):
            rises += (losses(_dealt(rows, *place, generator.permutation(len(rows)))) - before) / ROUNDS
        reach = NORMAL_95 * float(rises.std(ddof=1)) / len(rows) ** 0.5 if len(rows) > 1 else 0.0
        mean = float(rises.mean())
        found[column.name] = {"rise": mean, "low": mean - reach, "high": mean + reach}
    return dict(sorted(found.items(), key=lambda item: -item[1]["rise"]))


def _dealt(rows: Rows, numbers: slice, categories: slice, order: np.ndarray) -> Rows:
    """The rows with a column's values in another order."""
    mixed = Rows(rows.numbers.copy(), rows.categories.copy())
    mixed.numbers[:, numbers] = rows.numbers[order, numbers]
    mixed.categories[:, categories] = rows.categories[order, categories]
    return mixed


def of_words(explanations: Sequence[Explanation], labels: Sequence[str]) -> dict[str, list[Json]]:
    """Of each label the words that speak most for it: their mean contribution to its probability, of rare ones less.

    {label: [{word, contribution (the mean where it occurs), texts (how many)}]}.
    """
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(len(labels)))
    texts: dict[str, int] = defaultdict(int)
    for explanation in explanations:
        seen = set()
        for part, added in zip(explanation.parts, explanation.contributions, strict=True):
            word = _bare(str(part["text"]))
            if word:
                sums[word] += added
                seen.add(word)
        for word in seen:
            texts[word] += 1
    found: dict[str, list[Json]] = {}
    for number, label in enumerate(labels):
        best = sorted(
            (word for word in sums if sums[word][number] > 0),
            key=lambda word: -sums[word][number] / (texts[word] + RARE),
        )
        found[label] = [
            {"word": word, "contribution": float(sums[word][number] / texts[word]), "texts": texts[word]}
            for word in best[:MOST_WORDS]
        ]
    return found


def _bare(word: str) -> str:
    """A word without the marks around it, in small letters."""
    start, end = 0, len(word)
    while start < end and not word[start].isalnum():
        start += 1
    while end > start and not word[end - 1].isalnum():
        end -= 1
    return word[start:end].lower()
