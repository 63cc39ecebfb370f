"""The files of a finished folder, and the only way in which they are opened. An encrypted one is opened in memory.

(The manifest itself is read by `artifacts`, which checks the others against it.) What is in a file may be damaged, or
made by somebody else: whatever it is, an InputError names it.
"""

import io
import math
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from llmkit.config import json_text
from llmkit.errors import InputError
from llmkit.store import encryption

if TYPE_CHECKING:
    import numpy as np

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Files:
    """A folder whose files are read by their names. Whether it is whole was checked when it was opened."""

    path: Path

    def __contains__(self, name: str) -> bool:
        return (self.path / name).exists()

    def listed(self, name: str) -> bool:
        """Whether a file may be read: where there is a manifest, one that it lists, and that was compared with it."""
        return True

    def open(self, name: str) -> BinaryIO:
        """A file, opened for reading bytes, decrypted ones. Raises InputError, NoKey where no identity opens it."""
        if not self.listed(name):
            raise InputError(f"{self.path} has no {name} in its manifest; make it again, or copy it anew")
        try:
            return open_plain(self.path / name)
        except OSError as error:
            raise InputError(f"cannot read {self.path / name}: {error.strerror}") from error

    def read_bytes(self, name: str) -> bytes:
        """A whole file. Raises InputError."""
        with self.open(name) as file:
            return file.read()

    def read_text(self, name: str) -> str:
        """A whole file of UTF-8 text. Raises InputError."""
        try:
            return self.read_bytes(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.damaged(name, "no UTF-8 text") from error

    def read_json(self, name: str) -> Any:
        """The content of a JSON file. Raises InputError."""
        try:
            return json_text.parse(self.read_bytes(name))
        except ValueError as error:
            raise self.damaged(name, f"not JSON ({error})") from error

    def read_as(self, name: str, kind: type[Kind]) -> Kind:
        """A JSON file as what it describes, a dataclass for example, its types checked. Raises InputError."""
        import msgspec

        try:
            return msgspec.convert(self.read_json(name), kind)
        except (msgspec.ValidationError, ValueError) as error:
            raise self.damaged(name, str(error)) from error

    def array(self, name: str, mapped: bool = False) -> "np.ndarray":
        """The numbers of a .npy file; `mapped`: its pages are read when they are looked at. Raises InputError."""
        import numpy as np

        try:
            with self.open(name) as file:
                _check_array(file)
                mapped = mapped and not isinstance(file, io.BytesIO)  # decrypted: it is in memory
                return np.load(self.path / name, mmap_mode="r") if mapped else np.load(file)
        except InputError:
            raise
        except OSError as error:
            raise InputError(f"cannot read {self.path / name}: {error.strerror}") from error
        except Exception as error:  # pickled objects are refused, too; a head may raise what it likes
            raise self.damaged(name, f"no array ({error})") from error

    def tensors(self, name: str) -> "dict[str, np.ndarray]":
        """The arrays of a .safetensors file by name. Raises InputError."""
        from safetensors.numpy import load

        data = self.read_bytes(name)
        try:
            return load(data)
        except Exception as error:  # of its own, and KeyError for types that numpy does not have
            raise self.damaged(name, str(error)) from error

    def bytes_of(self, name: str) -> int:
        """Bytes of a file on disk."""
        return (self.path / name).stat().st_size

    def damaged(self, name: str, why: str) -> InputError:
        """What to raise where a file does not hold what it should."""
        return InputError(f"{self.path / name} is damaged: {why}; make it again, or copy it anew")


def open_regular(path: Path) -> BinaryIO:
    """A file, opened for reading bytes. Raises OSError, also for what is none: a pipe would never end."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "it is not a file", str(path))
    return os.fdopen(descriptor, "rb")


def open_plain(path: Path) -> BinaryIO:
    """The same, decrypted into memory where it is an age file. Raises NoKey where no identity opens it."""
    file = open_regular(path)
    try:
        sealed = encryption.is_sealed(file.read(len(encryption.MAGIC)))
        file.seek(0)
        if not sealed:
            return file
        data = file.read()
    except BaseException:
        file.close()
        raise
    file.close()
    return io.BytesIO(encryption.decrypt(data, path))


def read_live(path: Path) -> bytes:
    """A whole file that no manifest lists, such as a log, decrypted. Raises OSError and NoKey."""
    with open_plain(path) as file:
        return file.read()


def _check_array(file: BinaryIO) -> None:
    """Raise ValueError where a .npy file holds no numbers, or others than its head says; it is at its start again."""
    import numpy as np

    version = np.lib.format.read_magic(file)
    heads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in heads:
        raise ValueError(f"version {version} of the format")
    shape, _, kind = heads[version](file)
    if kind.kind not in "uifb":
        raise ValueError(f"of {kind}")
    head = file.tell()
    left, needed = file.seek(0, os.SEEK_END) - head, math.prod(shape) * kind.itemsize
    if left != needed:
        raise ValueError(f"shape {shape} of {kind} needs {needed:,} bytes, {left:,} are there")
    file.seek(0)
