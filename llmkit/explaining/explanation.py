"""An explanation: the parts of an example and what each adds to the decision, beside a baseline without any of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from llmkit.explaining import shapley
from llmkit.plain import Json

AnyExamples = TypeVar("AnyExamples")
"""Examples as a model takes them, in the task's own class."""
Answers = Callable[[AnyExamples], np.ndarray]
"""Examples (M) -> what the model says of them (M, A): probabilities of labels, or numbers."""


@dataclass(frozen=True)
class Puzzle(Generic[AnyExamples]):
    """An example that can be looked at without some of its n parts."""

    kind: str
    """What the parts are: words, columns."""
    parts: list[Json]
    """Each part as programs and people read it, without its contribution."""
    shown: Callable[[np.ndarray], AnyExamples]
    """Masks (M, n) bool -> M examples in which only the parts of a mask are there."""
    budget: int
    """How often a model is asked about the example, about."""
    details: Json = field(default_factory=dict)
    """What is told of the example beside its parts."""

    def whole(self) -> AnyExamples:
        """The example itself, of which nothing is missing."""
        return self.shown(np.ones((1, len(self.parts)), bool))


@dataclass(frozen=True)
class Explanation:
    """What each of n parts adds to each of A answers, which together are the way from the baseline to the decision."""

    kind: str
    parts: list[Json]
    contributions: np.ndarray  # (n, A)
    value: np.ndarray  # (A,): what the model says of the example
    baseline: np.ndarray  # (A,): what it says where no part is there
    details: Json = field(default_factory=dict)

    @property
    def gap(self) -> np.ndarray:
        """What is left of value - baseline when all contributions are taken away (A,)."""
        return self.value - self.baseline - self.contributions.sum(axis=0)

    def to_json(self, answer: int, of: str) -> Json:
        """What the parts add to one of the answers, which is called `of`."""
        added = self.contributions[:, answer].tolist()
        return {
            "kind": self.kind,
            "of": of,
            "value": float(self.value[answer]),
            "baseline": float(self.baseline[answer]),
            "gap": float(self.gap[answer]),
            **self.details,
            "parts": [part | {"contribution": more} for part, more in zip(self.parts, added, strict=True)],
        }


def explain(puzzle: Puzzle[AnyExamples], answers: Answers[AnyExamples]) -> Explanation:
    """What each part adds, by asking the model about the example without some of them, many at once.

    The decision and the baseline are asked for by themselves, so that `gap` is a check and no identity.
    """
    count = len(puzzle.parts)
    added, _ = shapley.contributions(lambda masks: answers(puzzle.shown(masks)), count, puzzle.budget)
    [value] = answers(puzzle.whole())
    [baseline] = answers(puzzle.shown(np.zeros((1, count), bool)))
    return Explanation(puzzle.kind, puzzle.parts, added, value, baseline, puzzle.details)
