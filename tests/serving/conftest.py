"""A server without a socket: requests go to the application itself. One model repeats what it is told."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmkit.errors import ConfigError, InputError
from llmkit.serving import app as application, keys, served
from llmkit.serving.access import Wall
from llmkit.serving.batching import Batcher
from llmkit.serving.keys import Keys
from llmkit.serving.served import Served
from llmkit.tasks import experiment as experiments

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


async def call(
    wall: Any,
    method: str,
    path: str,
    body: Any = None,
    headers: Any = (),
    chunks: list[bytes] | None = None,
    pause: float = 0.0,
) -> Reply:
    """One request. `chunks`: the body as it comes, with a pause before each."""
    data = [b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()]
    pieces = list(data if chunks is None else chunks)
    given = dict(headers) if not isinstance(headers, list) else None
    pairs = (
        headers if given is None else list(({"host": "localhost"} | (JSON if body is not None else {}) | given).items())
    )
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in pairs],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        if not pieces:
            await asyncio.sleep(3600)
        await asyncio.sleep(pause)
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    await wall(scope, receive, send)
    start, *rest = sent
    return Reply(
        start["status"],
        {name.decode(): value.decode() for name, value in start["headers"]},
        b"".join(part.get("body", b"") for part in rest),
    )


def ask(wall: Any, method: str, path: str, body: Any = None, headers: Any = (), **more: Any) -> Reply:
    """`call` for tests that have no loop of their own."""
    return asyncio.run(call(wall, method, path, body, headers, **more))


def request(model: Any, given: Any) -> Any:
    if not isinstance(given, str):
        raise InputError("a text is needed")
    return given


def answer(model: Any, requests: list[Any], options: Any) -> list[Any]:
    model.calls.append(list(requests))
    model.hold()
    if "wrong" in requests:
        raise ConfigError("that is wrong")
    if "broken" in requests:
        raise RuntimeError("a secret of somebody")
    return [{"said": one, **options} for one in requests]


@pytest.fixture
def echo() -> Iterator[Served]:
    """A model that repeats what it is told; `model.hold` may make it slow."""
    model = SimpleNamespace(calls=[], hold=lambda: None, puzzles=None)
    offers: Any = SimpleNamespace(
        ROUTE="predict",
        ANSWERS="predictions",
        OPTIONS={"loud": {"type": "boolean"}},
        request=request,
        answer=answer,
    )
    batcher = Batcher(lambda requests, alike: answer(model, requests, dict(alike[1])), most_waiting=5)
    made = Served("echo", "classify", model, offers, {"type": "string"}, batcher)
    yield made
    made.close()


@pytest.fixture
def open_wall(echo: Served) -> Wall:
    """The server without keys."""
    return application.build({"echo": echo}, None, None, 5.0)[0]


@dataclass(frozen=True)
class Guarded:
    """A server with keys, and the keys: `all` may do everything, `user` may use alone, `gone` was taken back."""

    wall: Wall
    file: Path
    audit: Path
    all: str
    user: str
    gone: str


@pytest.fixture
def guarded(echo: Served, tmp_path: Path) -> Iterator[Guarded]:
    file, log = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    everything = keys.add(file, "all", keys.ROLES, "")
    user = keys.add(file, "user", ["use"], "3/minute")
    gone = keys.add(file, "gone", keys.ROLES, "")
    keys.revoke(file, "gone")
    with log.open("w", encoding="utf-8") as out:
        wall, _ = application.build({"echo": echo}, Keys(file), out, 5.0)
        yield Guarded(wall, file, log, everything, user, gone)


@pytest.fixture(scope="module")
def writing_wall(tiny_run: Any) -> Iterator[Wall]:
    """A server of a small language model."""
    model = served.serve(experiments.read_model(tiny_run.model), "tiny", 1)
    yield application.build({"tiny": model}, None, None, 30.0)[0]
    model.close()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
