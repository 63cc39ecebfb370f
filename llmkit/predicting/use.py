"""A predictor in use: examples in, answers out. Never imports torch.

`Predictor` is what all share: requests are read, go through ONNX Runtime in batches, and come back as outputs (N, C).
What these say is the affair of its kinds: a `Classifier` has labels and calibrated probabilities, a `Regressor`
(`regressor.py`) numbers with an interval.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, Generic, TypeVar

import numpy as np

from llmkit.errors import ConfigError, InputError
from llmkit.explaining.explanation import Explanation, Puzzle, explain
from llmkit.plain import Json
from llmkit.predicting import labels, metrics
from llmkit.runtime.session import open_session
from llmkit.store.model_folder import GRAPH, ModelFolder

Feeds = dict[str, np.ndarray]
"""The arrays of a batch, by the names of the graph's inputs."""
Request = Any
"""What a label is wanted of, as it was written: a text, or a row {column: value}. `read` refuses what is neither."""
AnyExamples = TypeVar("AnyExamples", bound=Sized)
"""Requests that were read, in the task's own class."""


Done = Callable[[int, int], None]
"""(examples done, of how many)."""


def nothing(done: int, total: int) -> None:
    """Progress that nobody sees."""


class Predictor(Generic[AnyExamples]):
    """A loaded model folder of a task that predicts something of examples."""

    def __init__(
        self,
        folder: ModelFolder,
        read: Callable[[Sequence[Request]], AnyExamples],
        feeds: Callable[[AnyExamples], Iterator[tuple[np.ndarray, Feeds]]],
        output_count: int,
        threads: int | None = None,
    ):
        """`read` makes examples, which have a length, of requests; `feeds` makes batches: their numbers and arrays.
        `output_count` is C, the numbers that the graph makes of an example."""
        self.folder = folder
        self._read, self._feeds, self._output_count = read, feeds, output_count
        self._threads = threads
        self.opened_by: Callable[[ModelFolder, int | None], object] | None = None  # the task's `use.load`
        self.puzzles: Callable[[Sequence[Request]], list[Puzzle[AnyExamples]]] | None = None  # where it explains
        self.is_one: Callable[[object], bool] = lambda request: isinstance(request, Mapping | str)  # and no list
        self._session = open_session(folder, threads)

    @property
    def inputs(self) -> Collection[str]:
        """The names of the graph's inputs."""
        return self._session.inputs

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """A copy in another process opens the folder there."""
        if self.opened_by is None:
            raise TypeError(f"{self!r} cannot be pickled: nothing says how it was opened")
        return self.opened_by, (self.folder, self._threads)

    def predict(self, examples: Request | Iterable[Request]) -> Any:
        """What the model says of each example, a list of dicts as `named` makes them.

        One example that is no list (a row, a text) gives one dict; a data frame is a list of its rows. Raises
        InputError for what does not fit the model.
        """
        requests, one = self._several(examples, "predict")
        found = self.named(self.answers(self._read(requests)))
        return found[0] if one else found

    def explain(self, examples: Request | Iterable[Request], label: str | None = None) -> Any:
        """What the model says of each example and why: as `predict`, with an `explanation` in each dict.

        That has the `value` explained (a label's probability, or the number), its `baseline`, and `parts`, whose
        `contribution`s add up to the difference but for `gap`. `label`: whose probability, in place of the predicted
        one's. Raises InputError for what does not fit the model, ConfigError for a label that it does not know.
        """
        requests, one = self._several(examples, "explain")
        if self.puzzles is None:
            raise ConfigError("this model does not explain what it predicts")
        found = [self.explained(self.explanation(puzzle), label) for puzzle in self.puzzles(requests)]
        return found[0] if one else found

    def _several(self, examples: Request | Iterable[Request], verb: str) -> tuple[list[Request], bool]:
        """(the requests, whether it was one that is no list). Raises InputError."""
        if getattr(examples, "ndim", 0) == 2 and hasattr(examples, "to_dict"):  # of pandas, which need not be here
            examples = examples.to_dict("records")
        one = self.is_one(examples)
        if not one and not isinstance(examples, Iterable):
            raise InputError(f"{verb} takes an example or a list of examples, not {type(examples).__name__}")
        return [examples] if one else list(examples), one

    def explanation(self, puzzle: Puzzle[AnyExamples]) -> Explanation:
        """What each part of an example adds to each of its answers."""
        return explain(puzzle, self.answers)

    def explained(self, explanation: Explanation, label: str | None = None) -> Json:
        """The prediction that is explained, with `explanation`: of the label, or of what is predicted."""
        raise NotImplementedError

    def read(self, examples: Sequence[Request]) -> AnyExamples:
        """Requests as examples for `answers`. Raises InputError."""
        return self._read(examples)

    def outputs(self, examples: AnyExamples, progress: Done = nothing) -> np.ndarray:
        """What the network gives (N, C) float32 for examples that were read, before it is calibrated."""
        outputs = np.zeros((len(examples), self._output_count), np.float32)
        done = 0
        for numbers, feeds in self._feeds(examples):
            [found] = self._session.run(["logits"], feeds)
            if found.shape != (len(numbers), self._output_count):
                raise self.folder.damaged(GRAPH, f"it gives {found.shape} for {len(numbers)} examples")
            outputs[numbers] = found
            done += len(numbers)
            progress(done, len(examples))
        return outputs

    def answers(self, examples: AnyExamples, progress: Done = nothing) -> np.ndarray:
        """What the outputs stand for (N, A), of examples that were read."""
        raise NotImplementedError

    def named(self, answers: np.ndarray) -> list[Json]:
        """A prediction for each row of answers (N, A)."""
        raise NotImplementedError

    def losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """How far answers (N, A) are from targets, each by itself (N,), in a unit that people know."""
        raise NotImplementedError

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> Json:
        """Metrics of answers (N, A) where `targets` (N,) were right, as `evaluate --json` prints them."""
        raise NotImplementedError

    def loss(self, answers: np.ndarray, targets: np.ndarray) -> float:
        """The loss that training calls `val_loss`, of answers (N, A)."""
        raise NotImplementedError

    def refitted(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[str, bytes]:
        """(name, bytes) of the model folder's file that is fitted to the validation split's outputs (N, C)."""
        raise NotImplementedError


class Classifier(Predictor[AnyExamples]):
    """A loaded model folder of a task that predicts labels. Its answers are probabilities (N, C)."""

    def __init__(
        self,
        folder: ModelFolder,
        read: Callable[[Sequence[Request]], AnyExamples],
        feeds: Callable[[AnyExamples], Iterator[tuple[np.ndarray, Feeds]]],
        threads: int | None = None,
    ):
        """See `Predictor`."""
        about = labels.read(folder)
        self.labels, self.temperature = about.labels, about.temperature or 1.0
        super().__init__(folder, read, feeds, len(self.labels), threads)

    def __repr__(self) -> str:
        return f"Classifier({str(self.folder.path)!r}, labels {', '.join(self.labels)})"

    def answers(self, examples: AnyExamples, progress: Done = nothing) -> np.ndarray:
        """Calibrated probabilities (N, C)."""
        return metrics.softmax(self.outputs(examples, progress), self.temperature)

    def named(self, answers: np.ndarray) -> list[Json]:
        """The likeliest label, its probability and those of all labels: label, probability, probabilities."""
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
            }
            for row in answers
        ]

    def explained(self, explanation: Explanation, label: str | None = None) -> Json:
        """The prediction, with what speaks for a label and against it. Raises ConfigError for an unknown label."""
        if label is not None and label not in self.labels:
            raise ConfigError(f"the model does not know the label '{label}'; it knows: {', '.join(self.labels[:20])}")
        [found] = self.named(explanation.value[None])
        of = label if label is not None else found["label"]
        return found | {"explanation": explanation.to_json(self.labels.index(of), of)}

    def losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Log loss in nats of each example (N,)."""
        return -np.log(np.maximum(answers[np.arange(len(targets)), targets], metrics.SMALLEST))

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> Json:
        """`metrics.of_probabilities`; targets are label numbers."""
        return metrics.of_probabilities(answers, targets, self.labels)

    def loss(self, answers: np.ndarray, targets: np.ndarray) -> float:
        """Log loss in nats per example."""
        return metrics.log_loss(answers, targets)

    def refitted(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[str, bytes]:
        """labels.json with the temperature of least loss."""
        temperature = metrics.fit_temperature(outputs, targets)
        return labels.LABELS, labels.Labelling(self.labels, temperature=temperature).to_bytes()
