"""The files of a finished folder, and the only way in which they are opened.

(The manifest itself is read by `artifacts`, which checks the others against it.)
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from llmkit.errors import InputError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Files:
    """A folder whose files are read by their names. Whether it is whole was checked when it was opened."""

    path: Path

    def __contains__(self, name: str) -> bool:
        return (self.path / name).exists()

    def open(self, name: str) -> BinaryIO:
        """A file, opened for reading bytes. Raises InputError."""
        try:
            return (self.path / name).open("rb")
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
            raise InputError(f"{self.path / name} is damaged: no UTF-8 text; make it again") from error

    def read_json(self, name: str) -> Any:
        """The content of a JSON file. Raises InputError."""
        try:
            return json.loads(self.read_bytes(name))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path / name} is damaged: not JSON ({error}); make it again") from error

    def array(self, name: str, mapped: bool = False) -> "np.ndarray":
        """The array of a .npy file; `mapped`: its pages are read when they are looked at. Raises InputError."""
        import numpy as np

        try:
            if mapped:
                return np.load(self.path / name, mmap_mode="r")
            with self.open(name) as file:
                return np.load(file)
        except (ValueError, EOFError) as error:  # pickled objects are refused, too
            raise InputError(f"{self.path / name} is damaged: no array ({error}); make it again") from error
        except OSError as error:
            raise InputError(f"cannot read {self.path / name}: {error.strerror}") from error

    def tensors(self, name: str) -> "dict[str, np.ndarray]":
        """The arrays of a .safetensors file by name. Raises InputError."""
        from safetensors import SafetensorError
        from safetensors.numpy import load

        try:
            return load(self.read_bytes(name))
        except SafetensorError as error:
            raise InputError(f"{self.path / name} is damaged: {error}; make it again") from error

    def bytes_of(self, name: str) -> int:
        """Bytes of a file on disk."""
        return (self.path / name).stat().st_size
