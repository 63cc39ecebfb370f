"""Arrays in files, IDX as MNIST has them and NPY: of pictures, or of their labels.

In: a path, also of a .gz. Out: the array. What a file says of its shape is checked against its length before anything
is made of it.
"""

import io
import math
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from llmkit.data.picture_files import Tell, bits_of, said
from llmkit.data.unpacking import read_bytes
from llmkit.errors import InputError


def read_idx(path: Path) -> np.ndarray:
    """The array of an IDX file of bytes, as MNIST has them. Raises InputError."""
    data = read_bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or not 1 <= data[3] <= 4:
        raise InputError(f"{path} is no IDX file (its first bytes are {data[:4].hex(' ')}); name its prepare.format")
    if data[2] != 8:
        raise InputError(f"{path}: an IDX file of type {data[2]:#x}; only bytes (0x8) are read")
    rank, start = data[3], 4 + 4 * data[3]
    if len(data) < start:
        raise InputError(f"{path} is cut off in its head; copy it anew")
    shape = struct.unpack(f">{rank}I", data[4:start])
    expected = start + math.prod(shape)
    if len(data) != expected:
        state = "is cut off" if len(data) < expected else "has more bytes than its head says"
        raise InputError(f"{path} {state}: {len(data):,} bytes, {expected:,} with shape {shape}; copy it anew")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def read_npy(path: Path) -> np.ndarray:
    """The array of an NPY file, of numbers. Raises InputError."""
    return npy_array(read_bytes(path), str(path))


def npy_array(data: bytes, path: str) -> np.ndarray:
    """The array of what an NPY file holds, which messages call `path`. Raises InputError."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, kind = head(file)
    except Exception as error:
        raise InputError(f"{path} is no NPY file ({said(error)}); name its prepare.format") from error
    if kind.hasobject or kind.kind not in "uifb":
        raise InputError(f"{path}: an array of {kind}; numbers are needed")
    left, needed = len(data) - file.tell(), math.prod(shape) * kind.itemsize
    if left != needed:
        raise InputError(f"{path}: shape {shape} of {kind} needs {needed:,} bytes, it has {left:,}; copy it anew")
    return np.frombuffer(data, kind, offset=file.tell()).reshape(shape, order="F" if fortran else "C")


def as_pictures(array: np.ndarray, path: Path | str, tell: Tell = lambda what: None) -> np.ndarray:
    """Pictures (N, H, W, C) uint8 of an array (N, H, W), (N, H, W, C) or (N, C, H, W). Raises InputError."""
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise InputError(f"{path}: shape {array.shape}; pictures are (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W)")
    return as_bytes(array, lambda number: f"{path}, picture {number + 1}", tell)


def as_bytes(values: np.ndarray, place: Callable[[int], str], tell: Tell = lambda what: None) -> np.ndarray:
    """Pixels as uint8: numbers from 0 to 255; from 0 to 1 where none is above 1; whole ones of 10 to 16 bits.

    `place(n)` says where the n-th picture was found, `tell` gets what was done. Raises InputError.
    """
    largest = values.max(initial=0)
    if values.dtype == np.uint8 and largest > 1:
        return values
    if values.dtype.kind == "b" or (values.dtype.kind in "ui" and largest == 1 and values.min(initial=0) >= 0):
        tell("have pixels of 0 and 1: 1 is white")
        return np.where(values > 0, 255, 0).astype(np.uint8)
    if values.dtype.kind in "ui" and 255 < largest < 1 << 16 and values.min(initial=0) >= 0:
        bits = bits_of(int(largest))
        tell(f"have values up to {int(largest):,}: taken for {bits} bits")
        return (values.astype(np.uint32) >> (bits - 8)).astype(np.uint8)
    rows = values.reshape(len(values), math.prod(values.shape[1:])).astype(np.float32)
    wrong = np.argwhere(~np.isfinite(rows))
    if len(wrong):
        raise InputError(f"{place(int(wrong[0, 0]))}: a pixel is {rows[tuple(wrong[0])]}; mend the file")
    wrong = np.argwhere((rows < 0) | (rows > 255))
    if len(wrong):
        raise InputError(
            f"{place(int(wrong[0, 0]))}: a pixel is {rows[tuple(wrong[0])]:g}; pixels are from 0 to 255, or from 0 to 1"
        )
    fractions = values.dtype.kind == "f" and rows.max(initial=0) <= 1
    return np.rint(rows * 255 if fractions else rows).astype(np.uint8).reshape(values.shape)
