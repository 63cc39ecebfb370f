"""`llmkit generate` for text classifiers: texts in, labels and probabilities out."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from llmkit.data.decoding import lines
from llmkit.data.documents import read_documents
from llmkit.data.files import open_file
from llmkit.data.rows import rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.predicting import output as write
from llmkit.predicting.output import items, show, summary
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify import use
from llmkit.tasks.classify.prepare import holds_rows, text_of
from llmkit.tasks.classify.settings import Generate

__all__ = ["generate", "items", "show", "summary"]


def generate(
    folder: ModelFolder, settings: Generate, seed: int, emit: Callable[[str], None] | None, warn: Callable[[str], None]
) -> dict[str, Any]:
    """Predict the labels of the texts; returns {"predictions": [{text, label, probability, probabilities}], …}.

    Raises ConfigError where there are no texts and InputError where they cannot be read.
    """
    texts = texts_of(settings, folder)
    empty = sum(not text.strip() for text in texts)
    if empty:
        warn(f"{empty:,} of {len(texts):,} texts are empty: there is nothing in them to tell the label by")
    model = use.load(folder)
    return write.predict(model, model.read(texts), [{"text": text} for text in texts], settings, seed)


def texts_of(settings: Generate, folder: ModelFolder) -> list[str]:
    """The texts of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    prompts, path = write.asked(settings)
    if not prompts and not path:
        raise ConfigError("there are no texts to classify; give --prompt TEXT, --prompt-file FILE or --prompt -")
    texts: list[str] = []
    for prompt in prompts:
        if prompt == "-":
            texts += _lines(io.BytesIO(sys.stdin.buffer.read()), "standard input", folder)
        else:
            texts.append(prompt.encode("utf-8", "replace").decode())
    if path and holds_rows(path, "auto"):
        texts += _column(path, folder)
    elif path:
        with open_file(path) as file:
            texts += _lines(file, str(path), folder)
    if not texts:
        raise InputError(f"{path or 'standard input'} holds no texts; write one a line")
    return texts


def _lines(file: BinaryIO, name: str, folder: ModelFolder) -> list[str]:
    encoding = folder.config.settings.prepare.encoding
    documents = read_documents(file, name, format="text", encoding=encoding)
    return [line.rstrip("\r\n") for document in documents for line in lines(document)]


def _column(path: Path, folder: ModelFolder) -> list[str]:
    how = folder.config.settings.prepare
    texts = []
    for place, row in rows_of_files([path], encoding=how.encoding):
        if how.text not in row:
            raise InputError(
                f"{place}: there is no column '{how.text}', which the model reads; there are: {', '.join(row)}"
            )
        texts.append(text_of(row[how.text], place))
    return texts
