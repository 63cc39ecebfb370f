"""`/v1/completions` as OpenAI's clients know it: prompts in, texts out, at once or as they are written."""

import json
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.serving.access import Refused
from llmkit.serving.figures import Figures
from llmkit.serving.served import Served
from llmkit.serving.writing import Piece

MOST_TOKENS, MOST_TEXTS, MOST_PROMPT, MOST_TOP, MOST_STOPS = 8192, 64, 200_000, 5, 16
UNUSED = {  # keys that are taken where they ask for nothing
    "presence_penalty": (0, None), "frequency_penalty": (0, None), "best_of": (1, None), "suffix": (None, ""),
    "logit_bias": (None, {}), "stream_options": (None, {}, {"include_usage": False}, {"include_usage": True}),
}  # fmt: skip
OWN = ("top_k", "min_p", "repetition_penalty")
KNOWN = {
    *("model", "prompt", "max_tokens", "temperature", "top_p", "n", "stream", "logprobs", "echo", "stop", "seed"),
    *("user", *UNUSED, *OWN),
}


@dataclass
class Wanted:
    """What a body asks for."""

    prompts: list[str]
    options: Json
    seed: int
    stream: bool
    echo: bool
    top: int | None
    with_usage: bool


@dataclass
class Choice:
    """A text as it comes."""

    prompt: str
    text: str = ""
    tokens: int = 0
    finish_reason: str | None = None
    likely: list[dict[int, float]] = field(default_factory=list)


def wanted(body: Json) -> Wanted:
    """What a body asks for. Raises Refused."""
    if unknown := [name for name in body if name not in KNOWN]:
        raise Refused(400, f"unknown key {unknown[0][:40]!r}; there are: {', '.join(sorted(KNOWN))}")
    for name, allowed in UNUSED.items():
        if name in body and body[name] not in allowed:
            raise Refused(400, f"`{name}` is not offered")
    given = body.get("prompt", "")
    prompts = [given] if isinstance(given, str) else given
    count = _number(body, "n", int, 1, 1, MOST_TEXTS)
    if not isinstance(prompts, list) or not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise Refused(400, "`prompt` is a text or a list of texts")
    if len(prompts) * count > MOST_TEXTS:
        raise Refused(400, f"{len(prompts) * count:,} texts are too many; {MOST_TEXTS} are written at once")
    if sum(map(len, prompts)) > MOST_PROMPT:
        raise Refused(400, f"the prompts have more than {MOST_PROMPT:,} characters")
    stop = body.get("stop") or []
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or len(stops) > MOST_STOPS or not all(isinstance(one, str) for one in stops):
        raise Refused(400, f"`stop` is a text or a list of {MOST_STOPS} texts at most")
    for name in ("stream", "echo"):
        if not isinstance(body.get(name) or False, bool):
            raise Refused(400, f"`{name}` is true or false")
    options = {
        "max_tokens": _number(body, "max_tokens", int, 16, 1, MOST_TOKENS),
        "temperature": _number(body, "temperature", float, 1.0, 0.0, 2.0),
        "top_p": _number(body, "top_p", float, 1.0, 1e-6, 1.0),
        "samples": count,
        "stop": [one for one in stops if one],
        **{name: body[name] for name in OWN if body.get(name) is not None},
    }
    if options["temperature"] == 0:
        options |= {"greedy": True, "temperature": 1.0}
    top = None if body.get("logprobs") is None else _number(body, "logprobs", int, 0, 0, MOST_TOP)
    seed = _number(body, "seed", int, -1, -(2**63), 2**63)
    seed = secrets.randbits(32) if body.get("seed") is None else seed % 2**32
    usage = (body.get("stream_options") or {}).get("include_usage", False)
    return Wanted(prompts, options, seed, bool(body.get("stream")), bool(body.get("echo")), top, usage)


def _number(body: Json, name: str, kind: type, default: Any, least: float, most: float) -> Any:
    """A number of a body. Raises Refused for one that is none or out of range."""
    value = body.get(name)
    if value is None:
        return default
    right = type(value) is int or (kind is float and type(value) is float)
    if not right or not least <= value <= most:
        raise Refused(400, f"`{name}` is a {'whole ' if kind is int else ''}number from {least:g} to {most:g}")
    return value


async def pieces(served: Served, ask: Wanted) -> AsyncIterator[Piece]:
    """What is written, as it comes. Raises Busy, ConfigError."""
    assert served.writer is not None
    return await served.writer.write(ask.prompts, served.model.chosen(ask.options), ask.seed, ask.top)


async def whole(served: Served, ask: Wanted, figures: Figures) -> Json:
    """The answer to a request that is not streamed."""
    choices = [Choice(prompt) for prompt in ask.prompts for _ in range(ask.options["samples"])]
    async for piece in await pieces(served, ask):
        choice = choices[piece.choice]
        choice.text += piece.text
        choice.tokens, choice.finish_reason = piece.tokens, piece.finish_reason
        choice.likely += [piece.likely] if piece.likely else []
        figures.tokens += 1
    about = _about(served)
    listed = [_choice(served, ask, number, choice) for number, choice in enumerate(choices)]
    return about | {"choices": listed, "usage": _usage(served, ask, sum(choice.tokens for choice in choices))}


async def streamed(served: Served, ask: Wanted, found: AsyncIterator[Piece], figures: Figures) -> AsyncIterator[str]:
    """The answer as server-sent events, a piece in each, then [DONE]."""
    about = _about(served)
    counts: dict[int, int] = {}
    offsets: dict[int, int] = {}
    prompts = [prompt for prompt in ask.prompts for _ in range(ask.options["samples"])]
    begun: set[int] = set()
    try:
        async for piece in found:
            figures.tokens += 1
            counts[piece.choice] = piece.tokens
            text = piece.text
            if ask.echo and piece.choice not in begun:
                text = prompts[piece.choice] + text
            begun.add(piece.choice)
            if not text and piece.finish_reason is None and piece.likely is None:
                continue
            logprobs = None
            if piece.likely:
                logprobs = _logprobs(served, ask, [piece.likely], offsets.get(piece.choice, 0))
                offsets[piece.choice] = offsets.get(piece.choice, 0) + len(piece.text)
            choice = {"text": text, "index": piece.choice, "logprobs": logprobs}
            yield _event(about | {"choices": [choice | {"finish_reason": _reason(piece.finish_reason)}]})
        if ask.with_usage:
            yield _event(about | {"choices": [], "usage": _usage(served, ask, sum(counts.values()))})
        yield "data: [DONE]\n\n"
    except Exception as error:
        message = str(error) if isinstance(error, ConfigError) else "the model does not run"
        yield _event({"error": {"message": message, "type": "server_error", "code": 500}})


def _about(served: Served) -> Json:
    about = {"id": f"cmpl-{secrets.token_hex(12)}", "object": "text_completion", "created": int(time.time())}
    return about | {"model": served.name}


def _choice(served: Served, ask: Wanted, number: int, choice: Choice) -> Json:
    text = (choice.prompt if ask.echo else "") + choice.text
    logprobs = None if ask.top is None else _logprobs(served, ask, choice.likely, 0)
    return {"text": text, "index": number, "logprobs": logprobs, "finish_reason": _reason(choice.finish_reason)}


def _reason(reason: str | None) -> str | None:
    """How OpenAI calls it: the end of a document is a stop."""
    return "stop" if reason == "document end" else reason


def _logprobs(served: Served, ask: Wanted, likely: list[dict[int, float]], first: int) -> Json:
    """Tokens, their log-probabilities, the likeliest ones, and where each begins in what is written."""
    table, written, offsets = served.model.table, [], []
    for one in likely:
        written.append(table[next(iter(one))].decode("utf-8", "replace"))
        offsets.append(first)
        first += len(written[-1])
    return {
        "tokens": written,
        "token_logprobs": [next(iter(one.values())) for one in likely],
        "top_logprobs": [
            {table[token].decode("utf-8", "replace"): value for token, value in _best(one, ask.top or 0)}
            for one in likely
        ],
        "text_offset": offsets,
    }


def _best(one: dict[int, float], count: int) -> list[tuple[int, float]]:
    return sorted(one.items(), key=lambda item: -item[1])[:count]


def _usage(served: Served, ask: Wanted, written: int) -> Json:
    encoder = served.model.encoder
    read = sum(len(encoder.encode(prompt)) for prompt in ask.prompts)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _event(data: Json) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
