"""Texts that are written side by side, a token of each in turn: they come and go, each with settings of its own.

What has ended leaves the batch, so that the others go faster; what comes in joins at the next token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from llmkit.runtime import sampling
from llmkit.runtime.sampling import Sampling
from llmkit.runtime.session import Session, Stepper, log_softmax
from llmkit.tasks.language.settings import Generate

if TYPE_CHECKING:
    from llmkit.tasks.language.mixing import Mixture
    from llmkit.tasks.language.use import Text

State = dict[str, np.ndarray]
Owner = TypeVar("Owner")


@dataclass
class Writing(Generic[Owner]):
    """A text being written: what for (`owner`), how, and how many tokens at most."""

    owner: Owner
    text: "Text"
    how: Sampling
    max_tokens: int
    stop_at_document_end: bool
    top: int | None = None
    """How many likeliest tokens are kept of each step, with their log-probabilities and the written one's."""
    likely: list[dict[int, float]] = field(default_factory=list)


def sampling_of(chosen: Generate) -> Sampling:
    """How the section `generate` draws."""
    temperature = 0.0 if chosen.greedy else chosen.temperature
    return Sampling(temperature, chosen.top_k, chosen.top_p, chosen.min_p, chosen.repetition_penalty)


class Streams(Generic[Owner]):
    """The texts that are being written."""

    def __init__(
        self, session: Session, mixture: "Mixture | None", boundary: int, unknown: int | None, vocab_size: int
    ):
        self._session, self._mixture = session, mixture
        self._boundary, self._unknown, self._vocab_size = boundary, unknown, vocab_size
        self.active: list[Writing[Owner]] = []
        self._logits = np.zeros((0, vocab_size), np.float32)  # of the next tokens
        self._stepper: Stepper | None = None

    def add(self, writings: Sequence[Writing[Owner]], logits: np.ndarray, state: State) -> None:
        """Texts (N) that go on from logits (N, V) and a state (1, N, H)."""
        if self._stepper and self.active:
            before = self._stepper.state(list(range(len(self.active))))
            state = {name: np.concatenate([before[name], state[name]], axis=1) for name in state}
            logits = np.concatenate([self._logits, logits])
        self.active += writings
        self._logits = logits
        self._stepper = Stepper(self._session, state, self._vocab_size)

    def keep(self, wanted: Callable[[Writing[Owner]], bool]) -> None:
        """Drop all texts that are not wanted any more."""
        rows = [row for row, writing in enumerate(self.active) if wanted(writing)]
        if len(rows) < len(self.active):
            self._logits = self._logits[rows]
            self._take(rows)

    def step(self) -> list[tuple[Writing[Owner], str]]:
        """Write a token of each text; returns what is new of each. A text that ended has a `finish_reason`."""
        logits = self._logits
        if self._mixture:
            logits = self._mixture.next_logits(logits, [writing.text.nodes for writing in self.active])
        if self._unknown is not None:
            logits[:, self._unknown] = -np.inf  # the model never writes "unknown"
        tokens, pieces = [], []
        for row, writing in enumerate(self.active):
            if not writing.stop_at_document_end:
                logits[row, self._boundary] = -np.inf
            token = sampling.draw(logits[row], writing.how, writing.text.generator, writing.text.ids)
            if writing.top is not None:
                writing.likely.append(likeliest(logits[row], token, writing.top))
            tokens.append(token)
            piece = writing.text.end("document end") if token == self._boundary else writing.text.push(token)
            if len(writing.text.ids) + (token == self._boundary) >= writing.max_tokens:
                piece += writing.text.end("length")
            pieces.append((writing, piece))
        rows = [row for row, writing in enumerate(self.active) if writing.text.finish_reason is None]
        self._go_on(rows, [tokens[row] for row in rows])
        return pieces

    def _go_on(self, rows: list[int], tokens: list[int]) -> None:
        if len(rows) < len(self.active):
            self._take(rows)
        if not rows or self._stepper is None:
            return
        self._logits = self._stepper.step(tokens)
        if self._mixture:
            for writing, token in zip(self.active, tokens, strict=True):
                writing.text.nodes = self._mixture.model.follow(writing.text.nodes, token)

    def _take(self, rows: list[int]) -> None:
        assert self._stepper is not None
        self.active = [self.active[row] for row in rows]
        self._stepper = Stepper(self._session, self._stepper.state(rows), self._vocab_size) if rows else None


def likeliest(logits: np.ndarray, token: int, count: int) -> dict[int, float]:
    """Log-probabilities of a token and of the `count` likeliest ones, of logits (V,): the token first."""
    found = log_softmax(logits)
    best = np.argsort(-found, kind="stable")[:count]
    return {int(k): float(found[k]) for k in (token, *best)}
