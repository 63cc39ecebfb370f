"""A classifier in use: examples in, labels and calibrated probabilities out. Never imports torch."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmkit.errors import InputError
from llmkit.predicting import metrics as figures
from llmkit.runtime.session import open_session
from llmkit.store.model_folder import ModelFolder

LABELS = "labels.json"
Feeds = dict[str, np.ndarray]


def read_labels(folder: ModelFolder) -> tuple[list[str], float]:
    """(the labels' names in the order of the logits, the temperature) of a model folder."""
    about = json.loads((folder.path / LABELS).read_text(encoding="utf-8"))
    return about["labels"], about["temperature"]


def write_labels(folder: Path, labels: list[str], temperature: float) -> None:
    """Write what `read_labels` reads."""
    text = json.dumps({"labels": labels, "temperature": temperature}, indent=1, ensure_ascii=False)
    (folder / LABELS).write_text(text + "\n", encoding="utf-8")


class Classifier:
    """A loaded model folder of a task that predicts labels."""

    def __init__(
        self,
        folder: ModelFolder,
        read: Callable[[Sequence[Any]], Any],
        feeds: Callable[[Any], Iterator[tuple[np.ndarray, Feeds]]],
        threads: int | None = None,
    ):
        """`read` makes examples of what users give; `feeds` makes batches of them: their numbers and arrays.

        Examples that `read` gives have a length.
        """
        self.folder = folder
        self.labels, self.temperature = read_labels(folder)
        self._read, self._feeds = read, feeds
        self._session = open_session(folder, threads)

    def __repr__(self) -> str:
        return f"Classifier({str(self.folder.path)!r}, labels {', '.join(self.labels)})"

    def predict(self, examples: Any) -> Any:
        """The label of each example, a list of dicts: label, probability (its own), probabilities (of every label).

        One example that is no list (a row, a text) gives one dict. Raises InputError for what does not fit the model.
        """
        one = isinstance(examples, dict | str)
        if not one and not isinstance(examples, Iterable):
            raise InputError(f"predict takes an example or a list of examples, not {type(examples).__name__}")
        found = self.named(self.probabilities(self._read([examples] if one else list(examples))))
        return found[0] if one else found

    def named(self, probabilities: np.ndarray) -> list[dict[str, Any]]:
        """A dict for each row of probabilities (N, C)."""
        return [
            {
                "label": self.labels[int(row.argmax())],
                "probability": float(row.max()),
                "probabilities": dict(zip(self.labels, row.tolist(), strict=True)),
            }
            for row in probabilities
        ]

    def read(self, examples: Sequence[Any]) -> Any:
        """What users give, as examples for `probabilities`. Raises InputError."""
        return self._read(examples)

    def probabilities(
        self, examples: Any, progress: Callable[[int, int], None] = lambda done, total: None
    ) -> np.ndarray:
        """Calibrated probabilities (N, C) of examples that were read."""
        return figures.softmax(self.logits(examples, progress), self.temperature)

    def logits(self, examples: Any, progress: Callable[[int, int], None] = lambda done, total: None) -> np.ndarray:
        """What the network gives (N, C) for examples that were read, before it is calibrated."""
        logits = np.zeros((len(examples), len(self.labels)), np.float32)
        done = 0
        for numbers, feeds in self._feeds(examples):
            [logits[numbers]] = self._session.run(["logits"], feeds)
            done += len(numbers)
            progress(done, len(examples))
        return logits
