"""Weights that are mostly zeros, stored small: name -> array, and back. Numpy only.

Such an array NAME becomes three: `NAME.sparse.mask`, one bit for each weight (1: kept), packed with the first in the
low bit; `NAME.sparse.values`, the kept weights in row order, in the type they have; `NAME.sparse.shape`. Four fifths
zeros cost 1 + 0.2 · 32 = 7.4 bits a weight in place of 32. What is not worth it stays as it is.
"""

import math

import numpy as np

from llmkit.errors import InputError
from llmkit.store import memory

WORTH_IT = (
    0.5  # share of the dense bytes that the sparse ones must stay below: an LSTM's biases, half zeros, stay dense
)
WIDEST = 8  # bytes of a number
HEADER_BYTES = 200  # in the file, about, for two arrays more
MASK, VALUES, SHAPE = ".sparse.mask", ".sparse.values", ".sparse.shape"


def pack(weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as they are stored. A zero's sign is not kept."""
    stored: dict[str, np.ndarray] = {}
    for name, array in weights.items():
        kept = array != 0
        packed = {
            name + MASK: np.packbits(kept.reshape(-1), bitorder="little"),
            name + VALUES: array[kept].reshape(-1),
            name + SHAPE: np.array(array.shape, np.int64),
        }
        small = HEADER_BYTES + sum(part.nbytes for part in packed.values()) < WORTH_IT * array.nbytes
        stored |= packed if small else {name: array}
    return stored


def unpack(stored: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """What `pack` took. Raises InputError, which says `where`, when parts are missing or do not fit each other."""
    _check_room(stored, where)
    weights: dict[str, np.ndarray] = {}
    for name, array in stored.items():
        if name.endswith(MASK):
            name = name.removesuffix(MASK)
            weights[name] = _dense(name, array, stored.get(name + VALUES), stored.get(name + SHAPE), where)
        elif name.endswith((VALUES, SHAPE)):
            whole = name.rpartition(".sparse.")[0]
            if whole + MASK not in stored:
                raise InputError(f"{where}: {whole} has no {whole}{MASK}; make the model again")
        else:
            weights[name] = array
    return weights


def _check_room(stored: dict[str, np.ndarray], where: str) -> None:
    """Refuse masks that would unpack to more than may be: a bit each for weights of up to 8 bytes."""
    unpacked = 0
    for name, array in stored.items():
        unpacked += 8 * array.nbytes * (1 + WIDEST) if name.endswith(MASK) else array.nbytes
    if unpacked > memory.most_bytes():
        raise InputError(f"{where} would unpack to {unpacked:,} bytes, more than this machine has room for")


def _dense(name: str, mask: np.ndarray, values: np.ndarray | None, shape: np.ndarray | None, where: str) -> np.ndarray:
    for part, suffix in ((values, VALUES), (shape, SHAPE)):
        if part is None:
            raise InputError(f"{where}: {name} has no {name}{suffix}; make the model again")
    assert values is not None and shape is not None
    kinds = (mask.dtype, shape.dtype) == (np.uint8, np.int64) and {mask.ndim, values.ndim, shape.ndim} == {1}
    if not kinds or (shape < 0).any():
        raise InputError(f"{where}: {name} is kept in parts of other kinds than these have; make the model again")
    count = math.prod(shape.tolist())
    bits = np.unpackbits(mask, bitorder="little")
    if len(mask) != -(-count // 8) or bits[count:].any():
        raise InputError(f"{where}: {name}{MASK} has {len(bits)} bits for {count} weights; make the model again")
    kept = int(bits.sum())
    if len(values) != kept:
        raise InputError(f"{where}: {name} keeps {kept} weights, {len(values)} are there; make the model again")
    dense = np.zeros(count, values.dtype)
    dense[bits[:count].astype(bool)] = values
    return dense.reshape(shape.tolist())
