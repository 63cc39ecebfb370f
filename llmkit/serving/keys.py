"""Keys of a server: made, stored as salted hashes in a file of mode 0600, checked, taken back.

A key is `llmkit-ID-SECRET`; the secret has 256 random bits, so that one round of a hash is as good as many. The file is
looked at anew whenever it has changed: keys are added and taken back while the server runs.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from llmkit.config import json_text
from llmkit.errors import ConfigError, InputError
from llmkit.store import artifacts

ROLES = ("use", "explain", "metrics")
"""What a key may do: use the models, have answers explained, read the figures of the server."""
LIMIT = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour)")
SECONDS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
FORM = re.compile(r"llmkit-([0-9a-f]{16})-([A-Za-z0-9_-]{43})")
NO_SALT = b"\0" * 16
LOOK_SECONDS = 0.5  # between two looks at the file

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]+$", max_length=128)]


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says of a key."""

    id: Hex
    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_.-]{1,64}$")]
    salt: Hex
    hash: Hex
    may: list[str]
    limit: str = ""
    """Requests in a time, such as 60/minute; empty for no limit."""


@dataclass(frozen=True)
class Limit:
    """So many requests in so many seconds."""

    count: int
    seconds: float


def limit_of(text: str) -> Limit | None:
    """What a limit such as 60/minute says. Raises ConfigError."""
    if not text:
        return None
    match = LIMIT.fullmatch(text)
    if match is None:
        raise ConfigError(f"--limit {text!r}: write it as 60/minute, or per second or hour")
    return Limit(int(match[1]), SECONDS[match[2]])


def add(file: Path, name: str, may: Sequence[str], limit: str) -> str:
    """Make a key and store its hash; returns the key, which nothing else knows. Raises ConfigError, InputError."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"--new-key {name!r}: a name is of letters, digits, '.', '_' and '-', 64 at most")
    for role in may:
        if role not in ROLES:
            raise ConfigError(f"--may {role!r}: there are {', '.join(ROLES)}")
    if not may:
        raise ConfigError(f"--may names nothing; there are {', '.join(ROLES)}")
    limit_of(limit)
    keys = read(file)
    if any(key.name == name for key in keys):
        raise ConfigError(f"{file} has a key '{name}'; take it back first (--revoke-key {name}), or name another")
    ident, secret, salt = secrets.token_hex(8), secrets.token_urlsafe(32), secrets.token_bytes(16)
    _write(file, [*keys, Key(ident, name, salt.hex(), _hash(secret, salt).hex(), list(may), limit)])
    return f"llmkit-{ident}-{secret}"


def revoke(file: Path, name: str) -> None:
    """Take a key back. Raises InputError where there is none of that name."""
    keys = read(file)
    kept = [key for key in keys if key.name != name]
    if len(kept) == len(keys):
        there = ", ".join(key.name for key in keys) or "none"
        raise InputError(f"{file} has no key '{name}'; there are: {there}")
    _write(file, kept)


def read(file: Path) -> list[Key]:
    """The keys of a file, none where it is not there. Raises InputError for one that is damaged or open to others."""
    try:
        mode = file.stat().st_mode
        data = file.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    if mode & 0o077:
        raise InputError(f"{file} can be read or changed by others (mode {mode & 0o777:o}); run: chmod 600 {file}")
    try:
        return msgspec.convert(json_text.parse(data)["keys"], list[Key])
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{file} holds no keys ({error}); make it again with --new-key") from error


def _write(file: Path, keys: Sequence[Key]) -> None:
    text = json.dumps({"keys": [msgspec.to_builtins(key) for key in keys]}, indent=1) + "\n"
    new = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    try:
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        new.replace(file)
        artifacts.fsync_directory(file.parent)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise InputError(f"cannot write {file}: {error.strerror}") from error


def _hash(secret: str, salt: bytes) -> bytes:
    return hashlib.blake2b(secret.encode(), salt=salt, digest_size=32).digest()


class Keys:
    """The keys of a file, for a server: read anew when the file has changed."""

    def __init__(self, file: Path):
        """Raises InputError."""
        self.file = file
        self._looked, self._seen = time.monotonic(), self._stamp()
        self._keys = {key.id: key for key in read(file)}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def find(self, given: str) -> Key | None:
        """The key that was given, None for any that the file does not have. It takes as long for a wrong one."""
        self._look()
        match = FORM.fullmatch(given)
        ident, secret = (match[1], match[2]) if match else ("", given[:64])
        key = self._keys.get(ident)
        salt = bytes.fromhex(key.salt) if key else NO_SALT
        same = hmac.compare_digest(_hash(secret, salt), bytes.fromhex(key.hash) if key else b"\0" * 32)
        return key if key and same else None

    def _look(self) -> None:
        """Read the file where it has changed; one that cannot be read lets nobody in."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._keys = {key.id: key for key in read(self.file)}
            except InputError:
                self._keys = {}

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
