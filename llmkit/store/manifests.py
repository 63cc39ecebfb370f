"""manifest.json of a finished folder: what it says, how it is written, sealed and checked. No file is opened here.

In: what a stage says of a folder, and its files as they lie on disk. Out: the bytes of its manifest, whose checksum
vouches for the rest of it; and back: a manifest of which every key has its type and every name stays in the folder, or
an InputError. Of an encrypted folder what came out (`result`) is encrypted within the manifest, the rest is readable.
"""

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NotRequired, TypedDict, cast

from llmkit.config import json_text
from llmkit.errors import InputError, LaterVersion, NoKey
from llmkit.plain import Json
from llmkit.store import encryption
from llmkit.version import __version__ as LLMKIT_VERSION

SCHEMA_VERSION = 1
MOST_BYTES = 256 << 20
MANIFEST = "manifest.json"
CHECKSUM = "manifest_sha256"
SEALED = "age"  # key of an encrypted result

_MANIFEST_KEYS = [
    (int, "schema_version"),
    (str, "llmkit_version stage"),
    (str | None, "task"),
    (int | None, "seed"),
    (list, "inputs"),
    (dict, "settings versions files parents result"),
]


class Source(TypedDict):
    """A file that a folder was made from, as it was then."""

    path: str
    bytes: int
    sha256: str


class Content(TypedDict):
    """What a file of a folder holds; `role`: what it is for, where the folder says so."""

    bytes: int
    sha256: str
    role: NotRequired[str]


class Identity(TypedDict):
    """What a folder is made from, for `Folder.finish`: another identity makes another folder."""

    stage: str
    settings: Json
    seed: int
    parents: dict[str, str]
    inputs: list[Source]


class Manifest(TypedDict):
    """manifest.json: what a folder was made from and with, what came out and what its files hold."""

    schema_version: int
    llmkit_version: str
    stage: str
    task: str | None
    settings: Json
    seed: int | None
    versions: dict[str, str]
    """Of packages."""
    parents: dict[str, str]
    """Name -> hash of the artifact."""
    inputs: list[Source]
    result: Json
    files: dict[str, Content]
    encryption: NotRequired[list[str]]
    """The recipients that every file, and what `result` says, are encrypted to; missing: plain."""
    same_as: NotRequired[str]
    """The hash under which children know this folder, where it was encrypted (anew) after it was made."""
    manifest_sha256: NotRequired[str]
    """Of all the rest."""


def sealed(manifest: Json, recipients: Sequence[str]) -> tuple[Json, Json]:
    """(a manifest whose result is encrypted to recipients, the result itself)."""
    result, settings = manifest["result"], manifest["settings"]
    if manifest["stage"] == "generate":  # its settings hold prompts, and nobody compares them
        result, settings = result | {"settings": settings}, {}
    text = json.dumps(result, sort_keys=True).encode()
    hidden = {SEALED: base64.b64encode(encryption.encrypt(text, recipients)).decode()}
    return manifest | {"result": hidden, "settings": settings, "encryption": list(recipients)}, result


def to_bytes(manifest: Mapping[str, object]) -> bytes:
    """manifest.json, its checksum included."""
    return json_bytes({**manifest, CHECKSUM: checksum(manifest)})


def checked(data: bytes, path: Path, remedy: str, stages: Sequence[str] | None) -> Json:
    """The manifest in the manifest.json of the folder `path`, made by one of `stages`.

    Raises InputError, LaterVersion.
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"{path / MANIFEST} is damaged: more than {MOST_BYTES:,} bytes; {remedy}")
    manifest = parse(data, path / MANIFEST, remedy)
    if not isinstance(manifest, dict):
        raise InputError(f"{path / MANIFEST} is damaged: not a JSON object; {remedy}")
    if CHECKSUM in manifest and data != to_bytes(manifest):
        raise InputError(f"{path / MANIFEST} is damaged: its content does not fit its {CHECKSUM}; {remedy}")
    schema, version = manifest.get("schema_version"), manifest.get("llmkit_version", "of a later version")
    if isinstance(schema, int) and schema > SCHEMA_VERSION:
        raise LaterVersion(
            f"{path} was written by llmkit {version} in format {schema}; llmkit {LLMKIT_VERSION} reads format"
            f" {SCHEMA_VERSION}: install llmkit {version} or later"
        )
    wrong = [
        key
        for kind, keys in _MANIFEST_KEYS
        for key in keys.split()
        if key not in manifest or not isinstance(manifest[key], kind)
    ]
    if CHECKSUM not in manifest:  # the first manifests had none; where its own name is damaged it is an unknown key
        known = {key for _, keys in _MANIFEST_KEYS for key in keys.split()}
        wrong += sorted(manifest.keys() - known)
    if wrong or schema != SCHEMA_VERSION:
        keys = ", ".join(wrong or ["schema_version"])
        raise InputError(f"{path / MANIFEST} is damaged: missing or wrong: {keys}; {remedy}")
    if stages and manifest["stage"] not in stages:
        raise InputError(f"{path} was made by {manifest['stage']}, not by {' or '.join(stages)}; {remedy}")
    if not all(isinstance(parent, str) for parent in manifest["parents"].values()):
        raise InputError(f"{path / MANIFEST} is damaged: a parent is no hash; {remedy}")
    for name, entry in manifest["files"].items():
        whole = isinstance(entry, dict) and isinstance(entry.get("bytes"), int) and "sha256" in entry
        if not whole or not stays_inside(name):
            raise InputError(f"{path / MANIFEST} is damaged: {name!r} is no file of this folder; {remedy}")
    return cast(Json, manifest)


def opened(manifest: Json, path: Path, remedy: str) -> Manifest:
    """A checked manifest with its result in plain; empty where no identity opens it. Raises InputError."""
    if not _sound_encryption(manifest):
        raise InputError(f"{path / MANIFEST} is damaged: wrong: encryption or same_as; {remedy}")
    if "encryption" in manifest:
        manifest["result"] = _opened_result(manifest, path / MANIFEST, remedy)
    return cast(Manifest, manifest)


def _sound_encryption(manifest: Json) -> bool:
    """Whether what a manifest says of its encryption, if anything, are public keys and a hash."""
    known, same = manifest.get("encryption", []), manifest.get("same_as", "0" * 64)
    keys = isinstance(known, list) and all(isinstance(one, str) and encryption.PUBLIC.fullmatch(one) for one in known)
    return keys and isinstance(same, str) and re.fullmatch("[0-9a-f]{64}", same) is not None


def _opened_result(manifest: Json, path: Path, remedy: str) -> Json:
    """What the manifest of an encrypted folder says came out; nothing where no identity opens it."""
    try:
        text = encryption.decrypt(base64.b64decode(manifest["result"][SEALED], validate=True), path)
        result: Json = json_text.parse(text)
    except NoKey:
        return {}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: its result is not encrypted; {remedy}") from error
    return result


def stays_inside(name: str) -> bool:
    """Whether the name of a file, as manifests write it, leads to no place but below the folder."""
    parts, windows = PurePosixPath(name).parts, PureWindowsPath(name)
    if name != "/".join(parts) or ".." in parts or "\\" in name or "\0" in name:
        return False
    return name not in ("", ".", MANIFEST) and not (windows.drive or windows.root)


def differences(old: Mapping[str, object], new: Mapping[str, object]) -> list[str]:
    """A line such as `train.learning_rate: 0.005 → 0.001` for each key in which nested settings differ."""
    before, after = _flat(plain(old)), _flat(plain(new))
    changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key, 'unset')} → {after.get(key, 'unset')}" for key in changed]


def _flat(value: object, key: str = "") -> dict[str, str]:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        value = {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict) and value:
        return {k: v for name in value for k, v in _flat(value[name], f"{key}.{name}" if key else name).items()}
    return {key: json.dumps(value, ensure_ascii=False)} if key else {}


def parse(data: bytes, path: Path, remedy: str) -> Any:
    """JSON of a file at a path. Raises InputError."""
    try:
        return json_text.parse(data)
    except ValueError as error:
        raise InputError(f"{path} is damaged: not JSON ({error}); {remedy}") from error


def checksum(manifest: Mapping[str, object]) -> str:
    """SHA-256 (hex) of a manifest's own content but for the checksum: it has no parent that vouches for it."""
    return hashlib.sha256(json_bytes({k: v for k, v in manifest.items() if k != CHECKSUM})).hexdigest()


def json_bytes(data: object) -> bytes:
    """JSON as files of llmkit have it: the same bytes for the same content. ValueError for NaN and infinity."""
    text = json.dumps(data, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # \udc80 of an undecodable file name, as JSON escapes it


def plain(value: object) -> Any:
    """What JSON holds: text keys, lists, paths as text, numpy scalars as numbers, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):
        return plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
