"""`llmkit generate` for translation models: sources in, translations with scores out."""

import io
import sys
import time
from pathlib import Path
from typing import BinaryIO

from llmkit.console import terminal
from llmkit.console.callbacks import Warn
from llmkit.data.decoding import lines
from llmkit.data.documents import read_documents
from llmkit.data.file_kinds import format_at_use, holds_rows
from llmkit.data.files import open_file
from llmkit.data.plain_text import is_text
from llmkit.data.rows import rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.translate.pairs import text_of
from llmkit.tasks.translate.settings import Generate
from llmkit.tasks.translate.use import TranslationModel
from llmkit.tasks.translate.vocabulary import clean


def requests(settings: Generate, folder: ModelFolder) -> list[str]:
    """The sources of `prompt` and `prompt_file`. Raises ConfigError and InputError."""
    given = settings.prompt
    prompts = [] if given is None else [given] if isinstance(given, str) else list(given)
    path = settings.prompt_file
    if path == "-":
        prompts, path = [*prompts, "-"], None
    if not prompts and not path:
        raise ConfigError("there is nothing to translate; give --prompt TEXT, --prompt-file FILE or --prompt -")
    texts: list[str] = []
    for prompt in prompts:
        if prompt == "-":
            texts += _lines(io.BytesIO(sys.stdin.buffer.read()), "standard input", folder)
        elif not is_text(prompt):
            raise ConfigError(f"the prompt {prompt[:60]!r} is not UTF-8 text; give it in UTF-8")
        else:
            texts.append(prompt)
    if path:
        texts += _of_file(Path(path), folder)
    if not texts:
        raise InputError(f"{path or 'standard input'} holds nothing to translate; write a source a line")
    return texts


def answer(
    model: TranslationModel, requests: list[str], settings: Generate, seed: int, warn: Warn, emit: Emit | None = None
) -> Answers:
    """{"translations": [{source, translation, score, log_probability, tokens, finish_reason, candidates}], …}."""
    ids = [model.vocabulary.of_source(clean(text)) for text in requests]
    if empty := sum(not len(found) for found in ids):
        warn(f"{empty:,} of {len(ids):,} sources are empty, and so are their translations")
    if unknown := sum(map(model.vocabulary.unknown, ids)):
        warn(f"{unknown:,} of {sum(map(len, ids)):,} tokens of the sources are outside the vocabulary: read as unknown")
    longest = model.folder.settings.prepare.max_tokens
    if long := sum(len(found) > longest for found in ids):
        warn(f"{long:,} sources have more than the {longest} tokens that training pairs had; cut them into sentences")
    start = time.perf_counter()
    found = model.search(ids, settings)
    seconds = time.perf_counter() - start
    if cut := sum(best[0].finish_reason == "length" for best in found):
        warn(f"{cut:,} of {len(found):,} translations were cut off at their greatest length (max_length)")
    translations = []
    for source, best in zip(requests, found, strict=True):
        listed = [
            {
                "translation": one.text,
                "score": one.score,
                "log_probability": one.log_probability,
                "tokens": one.tokens,
                "finish_reason": one.finish_reason,
            }
            for one in best
        ]
        more = {"candidates": listed} if settings.n_best > 1 else {}
        translations.append({"source": source, **listed[0], **more})
    return Answers(
        {
            "translations": translations,
            "sentences": len(requests),
            "seconds": seconds,
            "sentences_per_second": len(requests) / max(seconds, 1e-9),
            "engine": "onnxruntime",
            "seed": seed,
        }
    )


def items(result: Json) -> list[Json]:
    """One dict per source: the lines of `--jsonl`."""
    return result["translations"]


def show(result: Json, emitted: bool, named: bool) -> None:
    """Print a translation a line or, of several of a source, each after its score; `named`: say whose they are."""
    if named:
        terminal.show(f"--- {result['model']}")
    for item in result["translations"]:
        for one in item.get("candidates", []):
            terminal.write(f"{one['score']:.4f}\t{one['translation']}")
        if "candidates" not in item:
            terminal.write(item["translation"])


def summary(result: Json) -> str:
    """The closing message."""
    what = "translation" if result["sentences"] == 1 else "translations"
    return f"{result['sentences']:,} {what}, {result['sentences_per_second']:,.0f} sentences/s"


def _of_file(path: Path, folder: ModelFolder) -> list[str]:
    """A source a line or, in rows, in the column that the model was trained on. Raises InputError."""
    how = folder.settings.prepare
    if not holds_rows(path, format_at_use(path, "auto")):
        with open_file(path) as file:
            return _lines(file, str(path), folder)
    column, texts = how.target if how.reverse else how.source, []
    for place, row in rows_of_files([path], encoding=how.encoding, delimiter=how.delimiter):
        if column not in row:
            raise InputError(
                f"{place}: there is no column '{column}', which the model reads; there are: {', '.join(row)}"
            )
        texts.append(text_of(row[column], place))
    return texts


def _lines(file: BinaryIO, name: str, folder: ModelFolder) -> list[str]:
    documents = read_documents(file, name, format="text", encoding=folder.settings.prepare.encoding)
    return [line.rstrip("\r\n") for document in documents for line in lines(document)]
