"""The words of a text as parts of a decision: where they are, and the text without some of them.

A word keeps the marks behind it ("film."); a sign of Chinese or Japanese is a word by itself. Of a long text
neighbouring words are one part, so that the time an explanation takes stays bounded. The baseline is the empty text.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np

from llmkit.explaining.explanation import AnyExamples, Puzzle

MOST_PARTS = 96
BUDGET = 256  # texts: of a sentence some 20 to 40 ms on one core
SIGNS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
MARKS = r"[^\w\s]"
WORD = re.compile(rf"(?:[{SIGNS}]|[^\W{SIGNS}]+(?:['\u2019-][^\W{SIGNS}]+)*){MARKS}*|{MARKS}+")


def spans(text: str, most: int = MOST_PARTS) -> list[tuple[int, int]]:
    """(start, end) of each part in characters: all of the text but the blanks between them."""
    found = [match.span() for match in WORD.finditer(text)]
    together = -(-len(found) // most)
    if together > 1:
        found = [(run[0][0], run[-1][1]) for run in (found[k : k + together] for k in range(0, len(found), together))]
    return found


def puzzle(text: str, read: Callable[[Sequence[str]], AnyExamples]) -> Puzzle[AnyExamples]:
    """A text as parts; `read` makes examples of texts."""
    where = spans(text)
    parts = [{"text": text[start:end], "start": start, "end": end} for start, end in where]
    return Puzzle("words", parts, lambda masks: read([without(text, where, mask) for mask in masks]), BUDGET)


def without(text: str, where: Sequence[tuple[int, int]], mask: np.ndarray) -> str:
    """The parts of the mask, each after the blanks that stand before it; nothing before the first."""
    kept = ""
    for number in np.flatnonzero(mask).tolist():
        start, end = where[number]
        before = where[number - 1][1] if number and kept else start
        kept += text[before:end]
    return kept
