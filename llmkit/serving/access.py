"""Who may ask what, how often and how much: one wall around the whole application, which no route can miss.

In: an ASGI application. Out: one that answers `/healthz` to anybody and everything else to those with a key that may do
it. Each request leaves a line in the audit log: who, what route, how long, what came of it; never what was said.
"""

import asyncio
import base64
import binascii
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from llmkit.serving.figures import Figures
from llmkit.serving.keys import ROLES, Key, Keys, limit_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN = "/healthz"
ROLE_OF = {"/metrics": "metrics", "/v1/explain": "explain"}  # every other route: use
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "testserver")
BODY_SECONDS = 20.0  # for the whole body of a request
SAFE_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"),
]  # fmt: skip


class Refused(Exception):
    """A request that is not answered: status, message, and further headers."""

    def __init__(self, status: int, message: str, **headers: str):
        super().__init__(message)
        self.status, self.message = status, message
        self.headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]


@dataclass
class Bucket:
    """Requests that a key has left: it fills up steadily (token bucket)."""

    left: float
    looked: float


@dataclass
class Wall:
    """The application within, and what guards it. `keys` None: nobody needs one, from this machine alone."""

    within: Application
    keys: Keys | None
    figures: Figures
    routes: frozenset[str]
    """Those that the application has, for the log: of any other path nothing is written down."""
    most_bytes: int = 4_000_000
    """Of a request's body."""
    audit: TextIO | None = None
    buckets: dict[str, Bucket] = field(default_factory=dict)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "lifespan":
            return await self.within(scope, receive, send)
        if scope["type"] != "http":  # no route takes a web socket
            return await send({"type": "websocket.close", "code": 1008})
        start, seen = time.perf_counter(), {"status": 500, "begun": False}
        who, broke = "-", ""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.update(status=message["status"], begun=True)
                message["headers"] = [*message.get("headers", []), *SAFE_HEADERS]
            await send(message)

        try:
            key = self._key(scope)
            who = key.name if key else "-"
            self._count_against(key)
            await self.within(scope, self._limited(scope, receive), watched)
        except Refused as refused:
            if not seen["begun"]:
                await _answer(watched, refused)
        except Exception as error:  # not raised on: what it says, somebody may have said
            broke = type(error).__name__
            if not seen["begun"]:
                await _answer(watched, Refused(500, "the request cannot be answered"))
        finally:
            self._note(scope, who, int(seen["status"]), time.perf_counter() - start, broke)

    def _key(self, scope: MutableMapping[str, Any]) -> Key | None:
        """The key of a request, None where none is needed. Raises Refused."""
        if scope["path"] == OPEN:
            return None
        if self.keys is None:
            _check_host(scope)
            return None
        challenge = {"www_authenticate": 'Basic realm="llmkit", charset="UTF-8"'}
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            raise Refused(401, "a key is needed: Authorization: Bearer KEY", **challenge)
        key = self.keys.find(_secret(given[0]))
        if key is None:
            raise Refused(401, "the key is wrong or was taken back", **challenge)
        role = ROLE_OF.get(scope["path"].rstrip("/"), "use")
        if role not in ROLES or role not in key.may:
            raise Refused(403, f"this key may not {'read metrics' if role == 'metrics' else role}")
        return key

    def _count_against(self, key: Key | None) -> None:
        """Take one from what a key has left. Raises Refused."""
        limit = limit_of(key.limit) if key else None
        if key is None or limit is None:
            return
        now, rate = time.monotonic(), limit.count / limit.seconds
        bucket = self.buckets.setdefault(key.id, Bucket(float(limit.count), now))
        bucket.left = min(float(limit.count), bucket.left + (now - bucket.looked) * rate)
        bucket.looked = now
        if bucket.left < 1:
            wait = int((1 - bucket.left) / rate) + 1
            raise Refused(429, f"more than {key.limit}; wait {wait} s", retry_after=str(wait))
        bucket.left -= 1

    def _limited(self, scope: MutableMapping[str, Any], receive: Receive) -> Receive:
        """`receive` for a body of `most_bytes` at most, all of it within `BODY_SECONDS`."""
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        too_large = Refused(413, f"the body has more than {self.most_bytes:,} bytes")
        if any(not value.isdigit() or int(value[:20]) > self.most_bytes for value in lengths):
            raise too_large
        got, whole, until = 0, False, time.monotonic() + BODY_SECONDS

        async def limited() -> Message:
            nonlocal got, whole
            if whole:  # what comes now is that the caller went away
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0.001))
            except TimeoutError:
                raise Refused(408, f"the body took longer than {BODY_SECONDS:g} s", connection="close") from None
            got += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if got > self.most_bytes:
                raise too_large
            return message

        return limited

    def _note(self, scope: MutableMapping[str, Any], who: str, status: int, seconds: float, broke: str) -> None:
        """Count a request, and write it down for the audit; `broke` is the kind of an error that nobody foresaw."""
        route = scope["path"] if scope["path"] in self.routes else "other"
        self.figures.count(route, status, seconds)
        if self.audit is None:
            return
        line = {"time": round(time.time(), 3), "key": who, "method": scope["method"][:8], "route": route}
        line |= {"status": status, "ms": round(1000 * seconds, 2)} | ({"error": broke} if broke else {})
        self.audit.write(json.dumps(line) + "\n")
        self.audit.flush()


def _secret(header: bytes) -> str:
    """The key in an Authorization header: Bearer KEY or, from a browser that asks for it, Basic with it as password."""
    kind, _, value = header.decode("latin-1").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).decode("latin-1").partition(":")[2]
        except binascii.Error:
            return ""
    return ""


def _check_host(scope: MutableMapping[str, Any]) -> None:
    """Without keys, answer to this machine's own names alone: a page elsewhere may have been given its address."""
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1 or _without_port(hosts[0]) not in LOOPBACK:
        raise Refused(403, "without keys this server answers to localhost alone; make one with --new-key")


def _without_port(host: str) -> str:
    return host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]


async def _answer(send: Send, refused: Refused) -> None:
    body = error_body(refused.message, refused.status)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *refused.headers]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def error_body(message: str, status: int) -> bytes:
    """An error as OpenAI's clients know it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return json.dumps({"error": {"message": message, "type": kind, "code": status}}).encode()
