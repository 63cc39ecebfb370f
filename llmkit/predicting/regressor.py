"""A predictor of numbers in use: examples in, a number with its interval out. Never imports torch."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from llmkit.errors import ConfigError
from llmkit.explaining.explanation import Explanation
from llmkit.plain import Json
from llmkit.predicting import intervals, number_metrics, numbers
from llmkit.predicting.use import AnyExamples, Done, Feeds, Predictor, Request, nothing
from llmkit.store.model_folder import ModelFolder

INTERVAL = 0.9  # coverage where nobody names one


class Regressor(Predictor[AnyExamples]):
    """A loaded model folder of a task that predicts numbers. Its answers (N, 3): prediction, lower and upper end."""

    def __init__(
        self,
        folder: ModelFolder,
        read: Callable[[Sequence[Request]], AnyExamples],
        feeds: Callable[[AnyExamples], Iterator[tuple[np.ndarray, Feeds]]],
        threads: int | None = None,
    ):
        """See `Predictor`."""
        self.numbering = numbers.read(folder)
        self.interval = INTERVAL
        super().__init__(folder, read, feeds, numbers.OUTPUTS, threads)

    def __repr__(self) -> str:
        return f"Regressor({str(self.folder.path)!r}, predicts {self.numbering.column})"

    def with_interval(self, coverage: float) -> "Regressor[AnyExamples]":
        """The same model with intervals that hold this share of the truths. Raises ConfigError for too large a one."""
        self.numbering.scores.reach(coverage)
        other = copy.copy(self)
        other.interval = coverage
        return other

    def predict(self, examples: Request | Iterable[Request], interval: float | None = None) -> Any:
        """The number of each example, a list of dicts: prediction, lower, upper.

        One example that is no list gives one dict. `interval`: the share of truths that lie between lower and upper
        (0.9). Raises InputError for what does not fit the model, ConfigError for an interval that cannot be told.
        """
        model = self if interval is None else self.with_interval(interval)
        return super(Regressor, model).predict(examples)

    def answers(self, examples: AnyExamples, progress: Done = nothing) -> np.ndarray:
        """Prediction, lower and upper end (N, 3), in the unit of what is predicted."""
        outputs = self.outputs(examples, progress)
        reach = self.numbering.scores.reach(self.interval)
        lower, upper = intervals.bounds(outputs[:, 0].astype(np.float64), *numbers.spreads(outputs), reach)
        scale = self.numbering.scale
        return np.stack([self.numbering.predictions(outputs), scale.from_z(lower), scale.from_z(upper)], axis=1)

    def named(self, answers: np.ndarray) -> list[Json]:
        """prediction, lower and upper."""
        return [dict(zip(("prediction", "lower", "upper"), row, strict=True)) for row in answers.tolist()]

    def explained(self, explanation: Explanation, label: str | None = None) -> Json:
        """The prediction, with what makes it larger and smaller. Raises ConfigError where a label is named."""
        if label is not None:
            raise ConfigError("the model predicts numbers; there is no label to explain")
        [found] = self.named(explanation.value[None])
        return found | {"explanation": explanation.to_json(0, self.numbering.column)}

    def losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Absolute error of each example (N,), in the unit of what is predicted."""
        return np.abs(answers[:, 0] - targets)

    def measure(self, answers: np.ndarray, targets: np.ndarray) -> Json:
        """`number_metrics.of_numbers`; targets are the true numbers."""
        predictions, lower, upper = answers.T
        return number_metrics.of_numbers(targets, predictions, lower, upper, self.interval)

    def loss(self, answers: np.ndarray, targets: np.ndarray) -> float:
        """The loss of training, on the scale of training (standardised, logarithms where these are learnt)."""
        about = self.numbering
        z = about.scale.to_z(answers[:, 0] / about.factor)
        return numbers.loss(z, about.scale.to_z(targets), about.loss, about.quantile)

    def refitted(self, outputs: np.ndarray, targets: np.ndarray) -> tuple[str, bytes]:
        """numbers.json with scores and factor of these outputs."""
        return numbers.NUMBERS, numbers.fit(self.numbering, outputs, targets).to_bytes()
