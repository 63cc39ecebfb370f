"""`llmkit generate` for language models: prompts in, texts out."""

import json
import sys
import time
from pathlib import Path

from llmkit.console import terminal
from llmkit.console.callbacks import Warn
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
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
    return Answers(
        {
            "texts": [
                {"prompt": text.prompt, "text": text.text, "tokens": len(text.ids), "finish_reason": text.finish_reason}
                for text in texts
            ],
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
        return
    for number, item in enumerate(texts, 1):
        if len(texts) > 1 or named:
            terminal.show(f"--- {result['model']}, text {number}" if named else f"--- text {number}")
        terminal.write(item["prompt"] + item["text"])


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
        if not prompt.isascii() and any("\ud800" <= character <= "\udfff" for character in prompt):
            raise ConfigError(f"the prompt {prompt!r} is not UTF-8 text; give it in UTF-8")
    return prompts or [""]


def _standard_input() -> str:
    """Standard input as one prompt, without the line end that `echo` adds."""
    data = sys.stdin.buffer.read()
    try:
        return data.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 text (byte {error.start})") from error


def _prompt_lines(path: Path) -> list[str]:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        lines = data.decode("utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read the prompts of {path}: {error.strerror}; check --prompt-file") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if not any(line.strip() for line in lines):
        raise InputError(f"{path} holds no prompts; write one per line")
    if path.suffix not in (".jsonl", ".ndjson"):
        return [line for line in lines if line.strip()]
    prompts = []
    for number, line in enumerate(lines, 1):
        try:
            prompts.append(str(json.loads(line)["prompt"]))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f'{path}:{number}: not a JSON object with a field "prompt"') from error
    return prompts
