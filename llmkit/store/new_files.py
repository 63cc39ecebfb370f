"""New files of a folder, written so that none is ever plain where the folder is protected (`encryption`).

In: a path and what is to lie there. Out: the file, or an age file of the same name. Where encryption is on, a file is
held in memory until it is whole.
"""

import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from llmkit.store import encryption

if TYPE_CHECKING:
    import numpy as np


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A new file to write bytes to, at any place of it; nothing is kept of an encrypted one where the block raises."""
    if not encryption.recipients_of(path):
        with open(path, "wb") as file:
            yield file
        return
    held = io.BytesIO()
    yield held
    path.write_bytes(encryption.sealed(path, held.getvalue()))


def write_bytes(path: Path, data: bytes) -> None:
    """A file of these bytes."""
    path.write_bytes(encryption.sealed(path, data))


def write_text(path: Path, text: str, errors: str = "strict") -> None:
    """A file of this text in UTF-8; `errors`: what becomes of halves of characters, as in `str.encode`."""
    if not encryption.recipients_of(path):
        path.write_text(text, encoding="utf-8", errors=errors)
    else:
        write_bytes(path, text.encode("utf-8", errors))


def save_array(path: Path, array: "np.ndarray") -> None:
    """A .npy file."""
    import numpy as np

    with opened(path) as file:
        np.save(file, array)


@contextmanager
def scratch(path: Path) -> Iterator[BinaryIO]:
    """A file to write to and to read from while the block lasts, gone afterwards; in memory where it must not lie on
    disk."""
    if encryption.recipients_of(path):
        yield io.BytesIO()
        return
    try:
        with open(path, "w+b") as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(recipients: Iterable[str]) -> Iterator[Path]:
    """A folder for the while of a block, outside of any RUN_DIR; what is written there is for these recipients."""
    with tempfile.TemporaryDirectory(prefix="llmkit-") as name:
        encryption.protect(Path(name), recipients)
        try:
            yield Path(name)
        finally:
            encryption.protect(Path(name), ())


@contextmanager
def in_memory(path: Path, data: bytes) -> Iterator[Path]:
    """A path at which these bytes are read while the block lasts. On Linux they never lie on disk."""
    if not hasattr(os, "memfd_create"):
        path.write_bytes(data)
        yield path
        return
    held = os.memfd_create(path.name)
    try:
        with os.fdopen(held, "wb", closefd=False) as file:
            file.write(data)
        path.symlink_to(f"/proc/{os.getpid()}/fd/{held}")
        yield path
    finally:
        os.close(held)
