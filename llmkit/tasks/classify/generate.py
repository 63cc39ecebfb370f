"""`llmkit generate` for text classifiers: texts in, labels and probabilities out."""

import io
import sys
from pathlib import Path
from typing import BinaryIO

from llmkit.console.callbacks import Warn
from llmkit.data.decoding import lines
from llmkit.data.documents import read_documents
from llmkit.data.file_kinds import format_at_use, holds_rows
from llmkit.data.files import open_file
from llmkit.data.rows import rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.explaining import words
from llmkit.predicting import output
from llmkit.predicting.output import items, show, summary
from llmkit.predicting.use import Classifier
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.classify.labelled import text_of
from llmkit.tasks.classify.settings import Generate
from llmkit.tasks.classify.texts import Examples
from llmkit.tasks.contract import Answers, Emit

__all__ = ["answer", "items", "requests", "show", "summary"]


def requests(settings: Generate, folder: ModelFolder) -> list[str]:
    """The texts of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    return texts_of(settings, folder)


def answer(
    model: Classifier[Examples],
    requests: list[str],
    settings: Generate,
    seed: int,
    warn: Warn,
    emit: Emit | None = None,
) -> Answers:
    """The labels of the texts: {"predictions": [{text, label, probability, probabilities}], …}."""
    empty = sum(not text.strip() for text in requests)
    if empty:
        warn(f"{empty:,} of {len(requests):,} texts are empty: there is nothing in them to tell the label by")
    named = [{"text": text} for text in requests]
    puzzles = [words.puzzle(text, model.read) for text in requests] if settings.explain else []
    return Answers(output.predict(model, model.read(requests), named, settings, seed, lambda: puzzles))


def texts_of(settings: Generate, folder: ModelFolder) -> list[str]:
    """The texts of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    prompts, path = output.prompts_and_file(settings)
    if not prompts and not path:
        raise ConfigError("there are no texts to classify; give --prompt TEXT, --prompt-file FILE or --prompt -")
    texts: list[str] = []
    for prompt in prompts:
        if prompt == "-":
            texts += _lines(io.BytesIO(sys.stdin.buffer.read()), "standard input", folder)
        else:
            texts.append(prompt)
    if path and holds_rows(path, format_at_use(path, folder.settings.prepare.format)):
        texts += _column(path, folder)
    elif path:
        with open_file(path) as file:
            texts += _lines(file, str(path), folder)
    if not texts:
        raise InputError(f"{path or 'standard input'} holds no texts; write one a line")
    return texts


def _lines(file: BinaryIO, name: str, folder: ModelFolder) -> list[str]:
    encoding = folder.settings.prepare.encoding
    documents = read_documents(file, name, format="text", encoding=encoding)
    return [line.rstrip("\r\n") for document in documents for line in lines(document)]


def _column(path: Path, folder: ModelFolder) -> list[str]:
    how = folder.settings.prepare
    texts = []
    format = "auto" if how.format == "folders" else format_at_use(path, how.format)
    for place, row in rows_of_files([path], format=format, encoding=how.encoding, delimiter=how.delimiter):
        if how.text not in row:
            raise InputError(
                f"{place}: there is no column '{how.text}', which the model reads; there are: {', '.join(row)}"
            )
        texts.append(text_of(row[how.text], place))
    return texts
