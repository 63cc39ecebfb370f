"""The process: loads the models, opens the port, ends when it is told to and what was taken is answered."""

import asyncio
import contextlib
import os
import signal
import ssl
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import uvicorn

from llmkit.errors import ConfigError, InputError
from llmkit.serving import app as application
from llmkit.serving.app import App
from llmkit.serving.keys import Keys
from llmkit.serving.served import Served

LOOPBACK = ("127.0.0.1", "::1", "localhost")
MOST_CONNECTIONS = 1000
END_SECONDS = 30  # for requests that run when the server is told to end


@dataclass(frozen=True)
class Place:
    """Where a server listens, and how: certificate and key of TLS, or neither."""

    host: str = "127.0.0.1"
    port: int = 8000
    certificate: Path | None = None
    private_key: Path | None = None

    @property
    def address(self) -> str:
        """What people type."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.certificate else 'http'}://{host}:{self.port}/"


class Server(uvicorn.Server):
    """uvicorn's server; SIGTERM and SIGINT end it after what runs, and are not raised again afterwards."""

    def __init__(self, config: uvicorn.Config, app: App, started: Callable[[], None]):
        super().__init__(config)
        self._app, self._told = app, started

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are those of this server's loop (`serve`)."""
        yield

    async def startup(self, sockets: Any = None) -> None:
        """Open the port, and say so."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError):  # of Windows
                loop.add_signal_handler(name, self._end)
        if self.started:
            self._told()

    def _end(self) -> None:
        self._app.ending = True
        self.should_exit = True


def run(
    models: Mapping[str, Served],
    place: Place,
    keys: Keys | None,
    audit: TextIO | None,
    seconds: float,
    started: Callable[[], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C. Raises ConfigError, InputError before anything is served."""
    check(place, keys)
    wall, app = application.build(models, keys, audit, seconds)
    config = uvicorn.Config(
        wall,
        host=place.host,
        port=place.port,
        ssl_certfile=place.certificate,
        ssl_keyfile=place.private_key,
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=15,
        timeout_graceful_shutdown=END_SECONDS,
        h11_max_incomplete_event_size=64 * 1024,
    )
    try:
        Server(config, app, started).run()
    except SystemExit as error:  # uvicorn's answer to a port that is taken
        raise ConfigError(
            f"cannot listen on {place.address}: the address is taken or not this machine's; name another --port"
        ) from error
    finally:
        for served in models.values():
            served.close()


def check(place: Place, keys: Keys | None) -> None:
    """Refuse to stand open on a network, and certificates that are none. Raises ConfigError, InputError."""
    if keys is None and place.host not in LOOPBACK:
        raise ConfigError(
            f"--host {place.host} is open to others, and there are no keys; make one first: llmkit serve --new-key NAME"
        )
    if (place.certificate is None) != (place.private_key is None):
        raise ConfigError("--certificate and --private-key belong together")
    if place.certificate and place.private_key:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(place.certificate, place.private_key)
        except OSError as error:
            raise InputError(
                f"{place.certificate} and {place.private_key} are no certificate and key: {error}"
            ) from error


def audit_log(file: Path | None) -> TextIO | None:
    """The audit log, added to; only its owner reads it. Raises InputError."""
    if file is None:
        return None
    try:
        return os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error
