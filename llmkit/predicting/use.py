"""A classifier in use: examples in, labels and calibrated probabilities out. Never imports torch."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypedDict, TypeVar

import numpy as np

from llmkit.errors import InputError
from llmkit.predicting import labels, metrics
from llmkit.runtime.session import open_session
from llmkit.store.model_folder import ModelFolder

Feeds = dict[str, np.ndarray]
"""The arrays of a batch, by the names of the graph's inputs."""
Request = Any
"""What a label is wanted of, as it was written: a text, or a row {column: value}. `read` refuses what is neither."""
AnyExamples = TypeVar("AnyExamples", bound=Sized)
"""Requests that were read, in the task's own class."""


class Prediction(TypedDict):
    """What a classifier says of an example: its likeliest label, the probability of that one, those of all labels."""

    label: str
    probability: float
    probabilities: dict[str, float]


class Classifier(Generic[AnyExamples]):
    """A loaded model folder of a task that predicts labels."""

    def __init__(
        self,
        folder: ModelFolder,
        read: Callable[[Sequence[Request]], AnyExamples],
        feeds: Callable[[AnyExamples], Iterator[tuple[np.ndarray, Feeds]]],
        threads: int | None = None,
    ):
        """`read` makes examples, which have a length, of requests; `feeds` makes batches: their numbers and arrays."""
        self.folder = folder
        about = labels.read(folder)
        self.labels, self.temperature = about.labels, about.temperature or 1.0
        self._read, self._feeds = read, feeds
        self._session = open_session(folder, threads)

    def __repr__(self) -> str:
        return f"Classifier({str(self.folder.path)!r}, labels {', '.join(self.labels)})"

    def predict(self, examples: Request | Iterable[Request]) -> Any:
        """The label of each example, a list of dicts: label, probability (its own), probabilities (of every label).

        One example that is no list (a row, a text) gives one dict. Raises InputError for what does not fit the model.
        """
        one = isinstance(examples, dict | str)
        if not one and not isinstance(examples, Iterable):
            raise InputError(f"predict takes an example or a list of examples, not {type(examples).__name__}")
        found = self.named(self.probabilities(self._read([examples] if one else list(examples))))
        return found[0] if one else found

    def named(self, probabilities: np.ndarray) -> list[Prediction]:
        """A prediction for each row of probabilities (N, C)."""
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
            }
            for row in probabilities
        ]

    def read(self, examples: Sequence[Request]) -> AnyExamples:
        """Requests as examples for `probabilities`. Raises InputError."""
        return self._read(examples)

    def probabilities(
        self, examples: AnyExamples, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> np.ndarray:
        """Calibrated probabilities (N, C) of examples that were read."""
        return metrics.softmax(self.logits(examples, progress), self.temperature)

    def logits(
        self, examples: AnyExamples, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> np.ndarray:
        """What the network gives (N, C) for examples that were read, before it is calibrated."""
        logits = np.zeros((len(examples), len(self.labels)), np.float32)
        done = 0
        for numbers, feeds in self._feeds(examples):
            [logits[numbers]] = self._session.run(["logits"], feeds)
            done += len(numbers)
            progress(done, len(examples))
        return logits
