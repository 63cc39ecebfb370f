"""Files to bytes: as they are, unpacked from a .gz, or each file of a .zip.

In: an open file or a path. Out: blocks of bytes, so that a file of any size is read in little memory. A packed file
that would unpack to far more than it holds is refused. Nothing is written to disk.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from llmkit.data.files import open_file
from llmkit.errors import InputError

BLOCK_BYTES = 1 << 20  # read at once: large enough for speed, small enough for memory

# A packed file may unpack to far more than its size ("zip bomb"). Prose packs to a third or a tenth and logs
# to a hundredth; deflate's limit is 1/1032. What is under FREE_BYTES is not judged by its ratio.
MAX_RATIO = 200
FREE_BYTES = 64 << 20
MAX_ZIP_BYTES = 16 << 30
MAX_ZIP_MEMBERS = 100_000
LEAST_HEAD = 30  # bytes before a member's data in a zip file; its name and more come on top


@dataclass
class _Room:
    """How many bytes a packed file may still unpack to, all that is packed in it together."""

    name: str
    most: int
    taken: int = 0

    def take(self, count: int) -> None:
        """Count bytes that were unpacked. Raises InputError for too many."""
        self.taken += count
        if self.taken > self.most:
            raise InputError(
                f"{self.name} unpacks to more than {self.most:,} bytes; if it can be trusted, unpack it first"
            )


def _room(name: str, size: int) -> _Room:
    """That of a packed file of so many bytes."""
    return _Room(name, max(FREE_BYTES, MAX_RATIO * size))


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked where it is a .gz. Raises InputError, also where that would be far more than it holds."""
    with open_file(path) as file:
        packed = ending(path.name) == ".gz"
        length = os.fstat(file.fileno()).st_size
        stream = gzip.GzipFile(fileobj=file) if packed else file
        return b"".join(_blocks(stream, str(path), _room(str(path), length) if packed else None))


def unpacked(file: BinaryIO, name: str) -> Iterator[tuple[Iterator[bytes], str, str]]:
    """The file, or each file packed in it: (blocks of bytes, what messages call it, its name without .gz).

    `name` tells by its ending how it is packed. Raises InputError for what cannot be unpacked.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if ending(name) in (".zip", ".npz"):
        room = _room(name, size)
        for stream, label in _zip_members(file, name, room.most):
            packed = ending(label) == ".gz"
            inner = gzip.GzipFile(fileobj=stream) if packed else stream
            yield _blocks(inner, label, room), label, label[: -len(".gz")] if packed else label
    elif ending(name) == ".gz":
        yield _blocks(gzip.GzipFile(fileobj=file), name, _room(name, size)), name, name[: -len(".gz")]
    else:
        yield _blocks(file, name, None), name, name


def ending(name: str) -> str:
    """The ending of a file name in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def _zip_members(file: BinaryIO, name: str, most: int) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, str]]:
    """(stream, label) of each file in a zip file that says to unpack to `most` bytes at most."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{name} is no readable zip file ({error}); is it complete?") from error
    # A member's name only says how to read it and what to call it in messages; nothing is written to disk.
    members = sorted((m for m in archive.infolist() if not is_hidden(m.filename)), key=lambda m: m.filename)
    if len(members) > MAX_ZIP_MEMBERS:
        raise InputError(f"{name} holds {len(members):,} files, at most {MAX_ZIP_MEMBERS:,} are read; unpack it first")
    _check_places(members, name)
    total = sum(member.file_size for member in members)
    if total > min(most, MAX_ZIP_BYTES):
        raise InputError(
            f"{name} would unpack to {total:,} bytes, more than is read from a zip file of its size; "
            "if it can be trusted, unpack it and name its files"
        )
    for member in members:
        label = f"{name}:{''.join(c if c.isprintable() else '?' for c in member.filename)}"
        if ending(member.filename) == ".zip":
            raise InputError(f"{label} is a zip file inside a zip file; unpack {name} first")
        if member.flag_bits & 1:
            raise InputError(f"{label} is encrypted; unpack {name} first")
        try:
            stream = archive.open(member)
        except (zipfile.BadZipFile, NotImplementedError, OSError) as error:
            raise InputError(f"{label} cannot be unpacked ({error}); is the file complete?") from error
        with stream:
            yield stream, label


def _check_places(members: list[zipfile.ZipInfo], name: str) -> None:
    """Refuse members that lie on each other: one packed file read again and again (Fifield, "A better zip bomb",
    WOOT 2019). Raises InputError."""
    end, before = 0, ""
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise InputError(f"{name} is damaged: {member.filename!r} and {before!r} in it overlap; pack it again")
        end, before = member.header_offset + LEAST_HEAD + member.compress_size, member.filename


def is_hidden(member: str) -> bool:
    """Whether a name in an archive is a folder, a hidden file or what macOS adds."""
    parts = [part for part in member.split("/") if part not in (".", "..")]
    return member.endswith("/") or any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _blocks(stream: IO[bytes] | gzip.GzipFile, name: str, room: _Room | None) -> Iterator[bytes]:
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{name} cannot be read ({error}); is it complete and undamaged?") from error
        if not block:
            return
        if room:
            room.take(len(block))
        yield block
