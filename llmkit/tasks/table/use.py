"""A model of a table in use: raw rows in, labels with probabilities or numbers with intervals out. Without torch."""

import warnings
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from llmkit.data import encoding
from llmkit.data.columns import Rows, parse
from llmkit.explaining import columns
from llmkit.predicting.numbers import NUMBERS
from llmkit.predicting.regressor import Regressor
from llmkit.predicting.use import Classifier, Feeds
from llmkit.store.model_folder import ModelFolder

BATCH_ROWS = 1024


Model = Classifier[Rows] | Regressor[Rows]


def load(folder: ModelFolder, threads: int | None = None) -> Model:
    """The model of a folder. Its `predict` takes rows, {column: value}, or one of them.

    It warns (UserWarning) of categories that training has not seen.
    """
    learnt = encoding.load(folder)

    def read(rows: Sequence[Mapping[str, object]]) -> Rows:
        places = [f"row {number}" for number in range(1, len(rows) + 1)]
        mappings = [dict(row) if hasattr(row, "keys") else row for row in rows]  # those of a data frame too
        found = read_rows(learnt, mappings, places)
        for line in unseen(learnt, found, places):
            warnings.warn(line, stacklevel=4)  # where `predict` was called
        return found

    def feeds(rows: Rows) -> Iterator[tuple[np.ndarray, Feeds]]:
        for start in range(0, len(rows), BATCH_ROWS):
            which = np.arange(start, min(start + BATCH_ROWS, len(rows)))
            numbers, categories = learnt.encode(rows.take(which))
            given = {"numbers": numbers, "categories": categories}
            yield which, {name: array for name, array in given.items() if array.shape[1]}

    model: Model = (Regressor if is_of_numbers(folder) else Classifier)(folder, read, feeds, threads)
    model.opened_by, model.puzzles = load, lambda rows: columns.puzzles(learnt, read(rows))
    return model


def is_of_numbers(folder: ModelFolder) -> bool:
    """Whether a model predicts numbers."""
    return NUMBERS in folder


def read_rows(learnt: encoding.Encoding, rows: Sequence[Mapping[str, object]], places: Sequence[str]) -> Rows:
    """Raw rows as the model takes them; `places` are for messages. Raises InputError for what does not fit."""
    return parse(rows, places, learnt.columns, learnt.missing_values)


def unseen(learnt: encoding.Encoding, rows: Rows, places: Sequence[str]) -> list[str]:
    """A sentence, or none, on categories that training has not seen."""
    found = learnt.unseen(rows)
    if not found:
        return []
    row, column, value = found[0]
    others = f", and {len(found) - 1:,} more values" if len(found) > 1 else ""
    return [
        f"{places[row]}, column '{column}': {value[:40]!r}{others}: seldom or never seen in training, so the model "
        "takes it as unknown"
    ]
