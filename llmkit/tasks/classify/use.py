"""A text classifier in use: texts in, labels and calibrated probabilities out. Never imports torch."""

from collections.abc import Iterator, Sequence

import numpy as np

from llmkit.data.ragged import batches
from llmkit.errors import InputError
from llmkit.explaining import words
from llmkit.explaining.explanation import Puzzle
from llmkit.predicting.use import Classifier, Feeds
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify.texts import Examples, Reader

BATCH_TEXTS = 128
BATCH_NUMBERS = 1 << 17  # padded tokens or n-grams of a batch: more fall out of the cache. A longer text goes alone


def load(folder: ModelFolder, threads: int | None = None) -> Classifier[Examples]:
    """The model of a folder. Its `predict` takes texts, or one of them."""
    reader = Reader(folder, folder.settings.prepare)

    def read(texts: Sequence[str]) -> Examples:
        _check(texts)
        return reader.read(texts, "tokens" in model.inputs, "ngrams" in model.inputs)

    def feeds(examples: Examples) -> Iterator[tuple[np.ndarray, Feeds]]:
        tokens, features = examples.tokens.counts, examples.features.counts
        sort = tokens if "tokens" in model.inputs else features
        for which in batches(sort, np.maximum(tokens, features), BATCH_TEXTS, BATCH_NUMBERS):
            given: Feeds = {}
            if "tokens" in model.inputs:
                counts = tokens[which].astype(np.int32)
                padded = np.ascontiguousarray(examples.tokens.padded(which).T)
                mask = (np.arange(len(padded))[:, None] < counts).astype(np.float32)[:, :, None]
                given = {"tokens": padded, "counts": counts, "mask": mask}
            if "ngrams" in model.inputs:
                given |= {"ngrams": examples.features.padded(which), "values": examples.values.padded(which)}
            yield which, given

    def puzzles(texts: Sequence[str]) -> list[Puzzle[Examples]]:
        _check(texts)
        return [words.puzzle(text, read) for text in texts]

    model = Classifier(folder, read, feeds, threads)
    model.opened_by, model.puzzles = load, puzzles
    return model


def _check(texts: Sequence[str]) -> None:
    """Raise InputError for what is no text."""
    for number, text in enumerate(texts, 1):
        if not isinstance(text, str):
            raise InputError(f"text {number}: a text is needed, not {type(text).__name__}")
