"""Files to bytes: as they are, unpacked from a .gz, or each file of a .zip.

In: an open file or a path. Out: blocks of bytes, so that a file of any size is read in little memory. A packed file
that would unpack to far more than it holds is refused. Nothing is written to disk.
"""

import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
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


def read_bytes(path: Path) -> bytes:
    """A whole file, unpacked where it is a .gz. Raises InputError, also where that would be far more than it holds."""
    with open_file(path) as file:
        packed = ending(path.name) == ".gz"
        length = os.fstat(file.fileno()).st_size
        stream = gzip.GzipFile(fileobj=file) if packed else file
        return b"".join(_blocks(stream, str(path), max(FREE_BYTES, MAX_RATIO * length) if packed else None))


def unpacked(file: BinaryIO, name: str) -> Iterator[tuple[Iterator[bytes], str, str]]:
    """The file, or each file packed in it: (blocks of bytes, what messages call it, its name without .gz).

    `name` tells by its ending how it is packed. Raises InputError for what cannot be unpacked.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    members = _zip_members(file, name) if ending(name) == ".zip" else iter([(file, name, size)])
    for stream, label, length in members:
        limit, inner = None, label
        if ending(label) == ".gz":
            stream = gzip.GzipFile(fileobj=stream)
            inner = label[: -len(".gz")]
            limit = max(FREE_BYTES, MAX_RATIO * length)
        yield _blocks(stream, label, limit), label, inner


def ending(name: str) -> str:
    """The ending of a file name in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def _zip_members(file: BinaryIO, name: str) -> Iterator[tuple[IO[bytes] | gzip.GzipFile, str, int]]:
    """(stream, label, unpacked bytes) of each file in a zip file."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise InputError(f"{name} is no readable zip file ({error}); is it complete?") from error
    # A member's name only says how to read it and what to call it in messages; nothing is written to disk.
    members = sorted((m for m in archive.infolist() if not is_hidden(m.filename)), key=lambda m: m.filename)
    if len(members) > MAX_ZIP_MEMBERS:
        raise InputError(f"{name} holds {len(members):,} files, at most {MAX_ZIP_MEMBERS:,} are read; unpack it first")
    total = sum(member.file_size for member in members)
    packed = sum(member.compress_size for member in members)
    if total > MAX_ZIP_BYTES or total > max(FREE_BYTES, MAX_RATIO * packed):
        raise InputError(
            f"{name} would unpack from {packed:,} to {total:,} bytes, more than is read from a zip file; "
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
            yield stream, label, member.file_size


def is_hidden(member: str) -> bool:
    """Whether a name in an archive is a folder, a hidden file or what macOS adds."""
    parts = [part for part in member.split("/") if part not in (".", "..")]
    return member.endswith("/") or any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _blocks(stream: IO[bytes] | gzip.GzipFile, name: str, limit: int | None) -> Iterator[bytes]:
    total = 0
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise InputError(f"{name} cannot be read ({error}); is it complete and undamaged?") from error
        if not block:
            return
        total += len(block)
        if limit is not None and total > limit:
            raise InputError(f"{name} unpacks to more than {limit:,} bytes; if it can be trusted, unpack it first")
        yield block
