"""Texts to what the network reads, the same for training and for a raw text at inference: tokens and n-grams."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmkit.data import tokenizer as tokenizers
from llmkit.data.plain_text import normal
from llmkit.data.ragged import Ragged, from_lists
from llmkit.errors import InputError
from llmkit.store.files import Files
from llmkit.tasks.classify import ngrams
from llmkit.tasks.classify.settings import Prepare

NOTHING = np.zeros(0, np.int32)


@dataclass(frozen=True)
class Examples:
    """N texts as read: token ids, the boundary first, the numbers of the n-grams that they hold and their values."""

    tokens: Ragged
    features: Ragged
    values: Ragged

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, which: np.ndarray) -> "Examples":
        """Some of the texts, by number."""
        return Examples(self.tokens.take(which), self.features.take(which), self.values.take(which))


class Reader:
    """What a prepared folder or a model folder knows of reading texts."""

    def __init__(self, folder: Files, settings: Prepare):
        """`settings`: those that the folder was made with."""
        self.settings = settings.tokenizer
        self.encoder = tokenizers.Encoder(tokenizers.of_folder(folder))
        if not (folder.path / ngrams.HOW).exists():
            raise InputError(
                f"{folder.path} has no {ngrams.HOW}: it was made before n-grams were weighed by labels; make it again "
                "with llmkit prepare and llmkit train"
            )
        self.ngrams = ngrams.load(folder)

    def read(self, texts: Sequence[str], tokens: bool = True, features: bool = True) -> Examples:
        """The texts as the network reads them; what it does not read may be left empty."""
        texts = [normal(text) for text in texts]
        found = self.ngrams.read(texts if features else [""] * len(texts))
        return Examples(from_lists([self.tokens(text) if tokens else NOTHING for text in texts]), *found)

    def tokens(self, text: str) -> np.ndarray:
        """The ids of a text, the boundary first: of one that is too long the first and the last half."""
        most = self.settings.max_tokens - 1
        ids = self.encoder.encode(spelt(text, self.settings.lowercase))
        if len(ids) > most:
            ids = np.concatenate([ids[: most - most // 2], ids[len(ids) - most // 2 :]])
        return np.concatenate([[self.encoder.boundary_id], ids])


def spelt(text: str, lowercase: bool) -> str:
    """The text as the tokenizer gets it, a space before it: so its first word is the same as in the middle."""
    return " " + (text.lower() if lowercase else text).strip()
