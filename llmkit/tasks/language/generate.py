"""`llmkit generate` for language models: prompts in, texts out."""

import io
import sys
import time
from pathlib import Path
from typing import BinaryIO

from llmkit.console import terminal
from llmkit.console.callbacks import Warn
from llmkit.data.decoding import lines, texts
from llmkit.data.file_kinds import format_of
from llmkit.data.files import open_file
from llmkit.data.plain_text import is_text
from llmkit.data.rows import json_rows
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.language import surprise
from llmkit.tasks.language.settings import Generate
from llmkit.tasks.language.use import LanguageModel


def requests(settings: Generate, folder: ModelFolder) -> list[str]:
    """The prompts of `prompt` and `prompt_file`; one empty prompt where there is neither.

    Raises InputError when the prompt file cannot be read.
    """
    return read_prompts(settings)


def answer(
    model: LanguageModel, requests: list[str], settings: Generate, seed: int, warn: Warn, emit: Emit | None = None
) -> Answers:
    """The texts that the prompts go on with: {"texts": [{prompt, text, tokens, finish_reason}], tokens, seconds, …}.

    `emit` gets the pieces of a single text as they come, the prompt first; with several texts it is not called.
    """
    start = time.perf_counter()
    if emit and len(requests) * settings.samples == 1:
        parts = [requests[0]]  # shown with the first piece, after any warning

        def show_piece(index: int, piece: str) -> None:
            emit("".join([*parts, piece]))
            parts.clear()

        texts = model.write(requests, settings, seed, warn, show_piece)
    else:
        texts = model.write(requests, settings, seed, warn)
    seconds = time.perf_counter() - start
    tokens = sum(len(text.ids) for text in texts)
    items: list[Json] = [
        {"prompt": text.prompt, "text": text.text, "tokens": len(text.ids), "finish_reason": text.finish_reason}
        for text in texts
    ]
    if settings.explain:
        for item, found in zip(items, model.explain([text.prompt + text.text for text in texts]), strict=True):
            item["explanation"] = found["explanation"]
    return Answers(
        {
            "texts": items,
            "tokens": tokens,
            "seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "engine": "onnxruntime",
            "seed": seed,
        }
    )


def items(result: Json) -> list[Json]:
    """One dict per text: the lines of `--jsonl`."""
    return result["texts"]


def show(result: Json, emitted: bool, named: bool) -> None:
    """Print the texts, each after its prompt; `emitted`: a single one was printed as it came; `named`: say whose."""
    texts = result["texts"]
    if emitted and len(texts) == 1:
        terminal.write("")
        _explain(texts[0])
        return
    for number, item in enumerate(texts, 1):
        if len(texts) > 1 or named:
            terminal.show(f"--- {result['model']}, text {number}" if named else f"--- text {number}")
        terminal.write(item["prompt"] + item["text"])
        _explain(item)


def _explain(item: Json) -> None:
    if "explanation" in item:
        surprise.show(item["explanation"])


def summary(result: Json) -> str:
    """The closing message."""
    return f"{result['tokens']} tokens, {result['tokens_per_second']:,.0f} tokens/s"


def read_prompts(settings: Generate) -> list[str]:
    """The prompts of `prompt` and `prompt_file`; one empty prompt where there is neither."""
    given = settings.prompt
    prompts = [] if given is None else [given] if isinstance(given, str) else list(given)
    prompts = [_standard_input() if prompt == "-" else prompt for prompt in prompts]
    if settings.prompt_file:
        prompts += _prompt_lines(Path(settings.prompt_file))
    for prompt in prompts:
        if not is_text(prompt):
            raise ConfigError(f"the prompt {prompt!r} is not UTF-8 text; give it in UTF-8")
    return prompts or [""]


def _standard_input() -> str:
    """Standard input as one prompt, without the line end that `echo` adds."""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").removeprefix("\ufeff").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 text (byte {error.start})") from error


def _prompt_lines(path: Path) -> list[str]:
    """The prompts of a file, or of standard input: a line each or, in JSON Lines, a field `prompt` each."""
    if str(path) == "-":
        prompts = _prompts(io.BytesIO(sys.stdin.buffer.read()), "standard input")
    else:
        with open_file(path) as file:
            prompts = _prompts(file, str(path))
    if not prompts:
        raise InputError(f"{path} holds no prompts; write one per line")
    return prompts


def _prompts(file: BinaryIO, name: str) -> list[str]:
    found: list[str] = []
    for pieces, label, inner in texts(file, name, "utf-8"):
        if format_of(inner) != "jsonl":
            found += [line.rstrip("\r\n") for line in lines(pieces) if line.strip()]
            continue
        for number, row in json_rows(pieces, label):
            if not isinstance(row.get("prompt"), str):
                raise InputError(f'{label}, line {number}: a field "prompt" that is text is needed')
            found.append(row["prompt"])
    return found
