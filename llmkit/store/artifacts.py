"""Folders that are complete or absent: built beside their place, hashed, flushed, put in place by renames.

In: files that a stage writes into a fresh folder. Out: the folder in its place with a `manifest.json`, and an
`Artifact` for whoever reads it. A crash at any instant leaves the old folder or the new one: as `NAME`, or as
`NAME.old`, which the next reader or writer moves back. What the files mean is left to stages and tasks.
"""

import errno
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from llmkit.config import json_text
from llmkit.errors import InputError, LlmkitError
from llmkit.store import encryption, file_locks, manifests
from llmkit.store.files import Files, open_plain, open_regular
from llmkit.store.manifests import CHECKSUM, MANIFEST, Content, Manifest, Source
from llmkit.version import __version__ as LLMKIT_VERSION


@dataclass(frozen=True)
class Artifact(Files):
    """A finished folder. `hash`: SHA-256 (hex) of the bytes of its manifest, which its children record.

    Of a folder that was encrypted later it is the hash that it had before. Of an encrypted one `manifest["result"]` is
    empty where there is no identity that opens it.
    """

    manifest: Manifest
    hash: str

    def __contains__(self, name: str) -> bool:
        return self.listed(name)

    def listed(self, name: str) -> bool:
        """Whether the manifest names it."""
        return name in self.manifest["files"]


@dataclass(frozen=True)
class Folder:
    """A folder being built: write files below `path`, then call `finish`."""

    path: Path
    place: Path
    """Where it goes, links resolved."""
    name: Path
    """Where it goes, as the user wrote it."""

    def finish(
        self,
        *,
        stage: str,
        settings: Mapping[str, object],
        task: str | None = None,
        seed: int | None = None,
        parents: Mapping[str, str] | None = None,
        inputs: Iterable[Source] = (),
        result: Mapping[str, object] | None = None,
        versions: Mapping[str, str] | None = None,
        roles: Mapping[str, str] | None = None,
    ) -> Artifact:
        """Flush and hash every file, write the manifest last, replace what stood in the folder's place.

        The manifest holds what is given here and no time of day. `parents`: name -> manifest hash; `inputs`:
        path, bytes and sha256 of each source; `versions`: of packages beside python and numpy; `roles`: of files, what
        each is for. NaN and infinity in `settings` and `result` become null.
        """
        import numpy

        versions = {"python": platform.python_version(), "numpy": numpy.__version__} | dict(versions or {})
        with writing(self.name, everything=True):
            manifest = {"schema_version": manifests.SCHEMA_VERSION, "llmkit_version": LLMKIT_VERSION, "stage": stage}
            manifest |= {"task": task, "settings": settings, "seed": seed, "versions": versions}
            manifest |= {"parents": parents or {}, "inputs": list(inputs), "result": result or {}}
            return self._put(manifest, roles or {})

    def finish_as(self, artifact: Artifact, recipients: Sequence[str]) -> Artifact:
        """The same for a copy of a folder that is encrypted to `recipients`: children of the first are its children."""
        roles = {name: entry["role"] for name, entry in artifact.manifest["files"].items() if "role" in entry}
        kept = {key: value for key, value in artifact.manifest.items() if key not in (CHECKSUM, "files")}
        with writing(self.name, everything=True):
            return self._put(kept | {"same_as": artifact.hash}, roles, tuple(sorted(set(recipients))))

    def _put(
        self, manifest: dict[str, Any], roles: Mapping[str, str], recipients: tuple[str, ...] | None = None
    ) -> Artifact:
        """Hash the files, write the manifest last, replace what stood in the folder's place."""
        recipients = encryption.recipients_of(self.path) if recipients is None else recipients
        files = {name: fingerprint(self.path / name) for name in _flush(self.path)}
        for name, role in roles.items():
            files[name]["role"] = role
        manifest = manifests.plain(manifest | {"files": files})
        if recipients:
            _check_sealed(self.path, files)
        manifest, result = manifests.sealed(manifest, recipients) if recipients else (manifest, manifest["result"])
        data = manifests.to_bytes(manifest)
        _write_atomically(self.path / MANIFEST, data)
        _put_in_place(self.path, self.place)
        made = json.loads(data)
        return Artifact(self.name, made | {"result": result}, made.get("same_as", hashlib.sha256(data).hexdigest()))


@contextmanager
def building(path: Path) -> Iterator[Folder]:
    """A fresh folder beside `path`, removed at the end of the block unless `finish` put it in place.

    Removes what dead writers left in the parent folder. Raises InputError where the disk is full or refuses.
    """
    path, place = Path(path), Path(os.path.realpath(path))
    with writing(path):
        _make_folder(place.parent)
        if place.exists() and not place.is_dir():
            raise InputError(f"{path} is a file where a folder is to be written; move it away")
        _sweep(place.parent)
        folder, held = _new_folder(place)
        owner = os.getpid()
        try:
            yield Folder(folder, place, path)
        finally:
            if os.getpid() == owner:  # not in a forked child that leaves through here
                with suppress(OSError):
                    _restore(place)
                shutil.rmtree(folder, ignore_errors=True)
                file_locks.release(held)


def read(
    path: Path,
    *,
    made_by: str | None = None,
    stage: str | tuple[str, ...] | None = None,
    verify: bool = True,
    most_bytes: float = math.inf,
) -> Artifact:
    """The artifact at `path`, its files checked against the manifest (`verify=False`: names and sizes only).

    `most_bytes`: of its files together, for one that is read into memory.

    Raises InputError when it is missing, damaged, of a newer schema or not of the `stage` expected, naming
    `made_by`, the command that makes it. A `NAME.old` that a crash left alone is moved back first. Files that
    the manifest does not list are ignored.
    """
    path, remedy = Path(path), f"run: {made_by}" if made_by else "make it again, or copy it anew"
    while True:
        before = _identity(path)
        try:
            return _read_once(path, remedy, (stage,) if isinstance(stage, str) else stage, verify, most_bytes)
        except InputError:
            if _identity(path) == before:
                raise
            # else another process put a new folder in place, or moved NAME.old back, meanwhile: read that


def _read_once(path: Path, remedy: str, stages: tuple[str, ...] | None, verify: bool, most_bytes: float) -> Artifact:
    try:
        _restore(Path(os.path.realpath(path)))
        with open_regular(path / MANIFEST) as file:
            data = file.read(manifests.MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.isfile(path):
            raise InputError(f"{path} is a file, not a folder; move it away, then {remedy}") from error
        raise InputError(f"{path} {f'has no {MANIFEST}' if path.is_dir() else 'is missing'}; {remedy}") from error
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror}") from error
    manifest = manifests.checked(data, path, remedy, stages)
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    if size > most_bytes:
        raise InputError(f"{path} holds {size:,} bytes, more than the {most_bytes:,} that are read into memory here")
    for name, entry in manifest["files"].items():
        _check_file(path, name, entry["bytes"], entry["sha256"] if verify else None, remedy)
    return Artifact(
        path, manifests.opened(manifest, path, remedy), manifest.get("same_as", hashlib.sha256(data).hexdigest())
    )


def _check_sealed(folder: Path, files: Iterable[str]) -> None:
    """Raise ValueError where a file of a protected folder is plain: a writer went around `new_files`."""
    for name in files:
        with open(folder / name, "rb") as file:
            if not encryption.is_sealed(file.read(len(encryption.MAGIC))):
                raise ValueError(f"{name} would lie in an encrypted folder unencrypted; it was not kept")


def _check_file(folder: Path, name: str, size: int, sha256: str | None, remedy: str) -> None:
    file = folder / name
    try:
        found = os.stat(file)
        inside, place = (os.path.realpath(one) for one in (folder, file))
        if os.path.commonpath([inside, place]) != inside:
            raise InputError(f"{file} is a link that leads out of the folder; copy the file itself there")
        if not stat.S_ISREG(found.st_mode):
            raise InputError(f"{file} is not a file; {remedy}")
        if found.st_size != size:
            raise InputError(f"{file} is damaged: {found.st_size:,} bytes in place of {size:,}; {remedy}")
        if sha256 is not None and fingerprint(file)["sha256"] != sha256:
            raise InputError(f"{file} is damaged: its SHA-256 is not the one in {MANIFEST}; {remedy}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"{file} is missing; {remedy}") from error
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error


def fingerprint(path: Path) -> Content:
    """{"bytes": size, "sha256": hex} of a file, streamed."""
    with open(path, "rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": file.tell()}


# --- JSON files ---------------------------------------------------------------------------------------------


def write_json(path: Path, data: object) -> None:
    """Replace a JSON file atomically and durably, one writer at a time. ValueError for NaN and infinity."""
    write_bytes(path, manifests.json_bytes(data))


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file atomically and durably, one writer at a time."""
    with writing(path):
        _write_atomically(Path(path), encryption.sealed(path, data))


def write_sealed(path: Path, data: bytes) -> None:
    """The same of bytes that are an age file already."""
    with writing(path):
        _write_atomically(Path(path), data)


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises InputError when it is missing or damaged."""
    try:
        with open_plain(path) as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return manifests.parse(data, path, "make it again, or delete it")


# --- writing ------------------------------------------------------------------------------------------------

# What a disk or its owner refuses; any other OSError is a mistake of the program and keeps its traceback.
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.ENOTDIR, errno.EISDIR}
UNLOCKED_SECONDS = 86_400  # a folder being built counts as alive so long, where folders cannot be locked
# A full disk in the words of Rust libraries (safetensors, tokenizers) and of numpy's tofile: no errno there.
_NO_ROOM_TEXT = re.compile(r"\(os error (27|28|122)\)|No space left on device|\d+ requested and \d+ written")


@contextmanager
def writing(path: Path, *, everything: bool = False) -> Iterator[None]:
    """Turns a full disk or a refusal of the system (`everything`: any OSError) into an InputError."""
    try:
        yield
    except LlmkitError:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        if number in _NO_ROOM or (number is None and _NO_ROOM_TEXT.search(str(error))):
            reason = os.strerror(number or errno.ENOSPC)
            raise InputError(f"{path} was not written: {reason}; free some space, then run it again") from error
        if isinstance(error, OSError) and (everything or number in _REFUSED):
            where = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
            raise InputError(f"{path} was not written: {error.strerror or error}{where}") from error
        raise


def fsync_directory(folder: Path) -> None:
    """Make the names in `folder` survive a loss of power; nothing on Windows, which cannot open a folder."""
    if sys.platform != "win32":
        _fsync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _fsync(path: Path, flags: int) -> None:
    fd = os.open(path, flags)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
        ):  # some network file systems cannot fsync a folder
            raise
    finally:
        os.close(fd)


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")  # one name: what a crash leaves, the next write replaces
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    fsync_directory(path.parent)


def _flush(folder: Path) -> list[str]:
    """Flush all files and folders below `folder` to disk; the relative names of the files, sorted."""
    names = []
    for parent, folders, files in os.walk(folder, topdown=False):
        for path in (Path(parent, name) for name in folders + files):
            name, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            if name == MANIFEST:
                continue
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) or not manifests.stays_inside(name):
                raise ValueError(f"an artifact holds plain files and folders only, not {name!r}")
            if stat.S_ISREG(mode):
                if mode & 0o777 == 0o600:  # some libraries write so, whatever the user's mask says
                    path.chmod(folder.stat().st_mode & 0o666)
                _fsync(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
                names.append(name)
        fsync_directory(Path(parent))
    return sorted(names)


def _put_in_place(folder: Path, place: Path) -> None:
    """Old -> NAME.old, new -> NAME, remove NAME.old; each rename is on disk before the next step."""
    old = place.with_name(f"{place.name}.old")
    while True:
        if os.path.lexists(place):
            if (place / MANIFEST).exists() or not os.listdir(place):
                _remove(old)
                os.rename(place, old)
            else:  # not written by llmkit, or damaged: never deleted
                os.rename(place, place.with_name(f"{place.name}.kept-{secrets.token_hex(4)}"))
            fsync_directory(place.parent)
        try:
            os.rename(folder, place)
            break
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # else a reader found NAME.old alone and moved it back: move it away again
    fsync_directory(place.parent)
    _remove(old)


def _restore(place: Path) -> None:
    """Move NAME.old back where a crash between the two renames left it alone."""
    old = place.with_name(f"{place.name}.old")
    if not os.path.lexists(place) and (old / MANIFEST).exists():
        os.rename(old, place)
        fsync_directory(place.parent)


def _remove(folder: Path) -> None:
    """Delete a folder, manifest first, so that a half-deleted NAME.old is never taken for a whole one."""
    with suppress(OSError):
        (folder / MANIFEST).unlink()
    shutil.rmtree(folder, ignore_errors=True)


def discard(place: Path) -> None:
    """Delete a finished folder: it is there whole or not at all; what a crash leaves of it the next writer sweeps."""
    for folder in (place.with_name(f"{place.name}.old"), place):
        aside = _name_beside(place)
        try:
            os.rename(folder, aside)
        except FileNotFoundError:
            continue
        except OSError:  # a full disk may have no room for a name
            aside = folder
        _remove(aside)


def _identity(path: Path) -> tuple[int, int] | None:
    """Differs when another folder took this name."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns  # a freed number may be given out again at once


def make_folder(folder: Path) -> None:
    """Make a folder and its parents where they are missing, each name flushed to disk."""
    with writing(folder, everything=True):
        _make_folder(Path(folder))


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        _make_folder(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise InputError(f"{folder} is a file where a folder is needed; move it away") from error
        fsync_directory(folder.parent)


def _new_folder(place: Path) -> tuple[Path, int | None]:
    """A new folder beside `place`, locked so that other writers tell it from what a dead one left."""
    while True:
        folder = _name_beside(place)
        folder.mkdir()
        with suppress(BlockingIOError, FileNotFoundError):  # a sweeping writer came between the two calls
            held = file_locks.hold_folder(folder)
            if folder.exists():
                return folder, held
            file_locks.release(held)


def _name_beside(place: Path) -> Path:
    return place.with_name(f".{place.name}.building-{os.getpid()}-{secrets.token_hex(4)}")


def _sweep(parent: Path) -> None:
    """Remove the folders that dead writers were building or discarding."""
    for name in os.listdir(parent):
        if re.fullmatch(r"\..+\.building-\d+-[0-9a-f]{8}", name):
            with suppress(OSError):
                held = file_locks.hold_folder(parent / name)
                if held is None and time.time() - (parent / name).stat().st_mtime < UNLOCKED_SECONDS:
                    continue  # nothing tells whether its writer lives, here or on another machine
                shutil.rmtree(parent / name, ignore_errors=True)
                file_locks.release(held)


# --- locks --------------------------------------------------------------------------------------------------


@contextmanager
def lock(run_dir: Path, purpose: str) -> Iterator[None]:
    """Keeps a second writer out of `run_dir` (made when missing): it gets an InputError that names the first.

    The system releases the lock when this process ends, however it ends; a forked child does not keep it.
    """
    file, started = Path(run_dir, ".lock"), datetime.now().astimezone().isoformat(timespec="seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "purpose": purpose, "started": started}
    with writing(file, everything=True):
        _make_folder(Path(os.path.realpath(run_dir)))
        try:
            held = file_locks.hold(file, os.O_RDWR | os.O_CREAT)
        except BlockingIOError:
            raise InputError(f"{run_dir} is in use by {_holder(file)}; wait until it ends, or stop it") from None
    try:
        with writing(file, everything=True):
            os.ftruncate(held, 0)
            os.write(held, manifests.json_bytes(holder))
        yield
    finally:
        file_locks.release(held)


def _holder(file: Path) -> str:
    try:
        who = json_text.parse(file.read_bytes())
        return f"process {who['pid']} on {who['host']} ({who['purpose']}, since {who['started']})"
    except (OSError, ValueError, TypeError, KeyError):  # it has the lock and is about to write its name
        return "another process"
