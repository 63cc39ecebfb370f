"""picture_arrays.py: IDX and NPY to arrays, arrays of any layout to pictures of bytes, and those that are neither."""

import gzip

import numpy as np
import pytest
from small_pictures import idx_bytes, npy_bytes

from llmkit.data.picture_arrays import as_bytes, as_pictures, read_idx, read_npy
from llmkit.errors import InputError

NUMBERS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


@pytest.fixture
def write(tmp_path):
    """Writes a file; returns its path."""

    def write(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    return write


@pytest.mark.parametrize("shape", [(24,), (4, 6), (2, 3, 4), (2, 1, 3, 4)])
def test_idx_of_each_rank_packed_or_not(write, shape):
    array = NUMBERS.reshape(shape)
    for name, data in (("a", idx_bytes(array)), ("a.gz", gzip.compress(idx_bytes(array)))):
        found = read_idx(write(name, data))
        assert found.dtype == np.uint8 and found.shape == shape and (found == array).all()


def test_idx_by_hand(write):
    assert read_idx(write("a", b"\0\0\x08\x02" + b"\0\0\0\x02\0\0\0\x01" + b"\x07\xff")).tolist() == [[7], [255]]


@pytest.mark.parametrize("kind", ["uint8", "<i8", ">f4", "<f8", "bool"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_of_each_kind_and_order(write, kind, order):
    array = np.array(NUMBERS, kind, order=order)
    found = read_npy(write("a.npy", npy_bytes(array)))
    assert found.dtype == array.dtype and (found == array).all()


def test_npy_of_a_later_version(write, tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.lib.format.write_array(file, NUMBERS, version=(2, 0))
    assert (read_npy(tmp_path / "a.npy") == NUMBERS).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (idx_bytes(NUMBERS)[:-3], r"a is cut off: 37 bytes, 40 with shape \(2, 3, 4\); copy it anew"),
        (idx_bytes(NUMBERS) + b"\0", r"a has more bytes than its head says: 41 bytes, 40 with shape"),
        (idx_bytes(NUMBERS)[:9], "a is cut off in its head; copy it anew"),
        (b"", r"a is no IDX file \(its first bytes are \); name its prepare.format"),
        (b"PK\3\4 and so on", r"a is no IDX file \(its first bytes are 50 4b 03 04\)"),
        (b"\0\0\x08\5" + bytes(30), "a is no IDX file"),
        (b"\0\0\x0d\3" + bytes(12), r"a: an IDX file of type 0xd; only bytes \(0x8\) are read"),
        (b"\0\0\x08\4" + b"\xff" * 16, "a is cut off: 20 bytes, "),  # would be 2^128 bytes
    ],
    ids=["short", "long", "head", "empty", "zip", "rank", "type", "huge"],
)
def test_what_is_no_idx(write, data, message):
    with pytest.raises(InputError, match=message):
        read_idx(write("a", data))


def test_an_idx_whose_gzip_is_cut_off(write):
    with pytest.raises(InputError, match=r"a.idx.gz cannot be read .* complete"):
        read_idx(write("a.idx.gz", gzip.compress(idx_bytes(NUMBERS))[:-20]))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (npy_bytes(NUMBERS)[:-5], r"shape \(2, 3, 4\) of uint8 needs 24 bytes, it has 19; copy it anew"),
        (npy_bytes(NUMBERS) + b"\0", "needs 24 bytes, it has 25; copy it anew"),
        (npy_bytes(np.array(["a", "b"])), "an array of <U1; numbers are needed"),
        (npy_bytes(np.array([1j])), "an array of complex128; numbers are needed"),
        (npy_bytes(np.array([{}], object)), "an array of object; numbers are needed"),  # a pickle is not opened
        (b"\x93NUMPY\1\0\x10\0{'descr': '|u1', ", r"a.npy is no NPY file \(.*; name its prepare.format"),
        (b"", "a.npy is no NPY file"),
    ],
    ids=["short", "long", "text", "complex", "objects", "head", "empty"],
)
def test_what_is_no_npy(write, data, message):
    with pytest.raises(InputError, match=message):
        read_npy(write("a.npy", data))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 28, 28), None),
        ((5, 28, 28, 1), None),
        ((5, 28, 28, 3), None),
        ((5, 3, 28, 28), (0, 2, 3, 1)),
        ((5, 1, 28, 28), (0, 2, 3, 1)),
        ((5, 3, 28, 3), None),  # either may be the colours: the last one is
    ],
)
def test_arrays_of_pictures_in_each_layout(tmp_path, shape, axes):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = as_pictures(array, tmp_path / "a")
    expected = array[..., None] if array.ndim == 3 else array if axes is None else array.transpose(axes)
    assert found.shape == expected.shape and (found == expected).all()


@pytest.mark.parametrize("shape", [(784,), (8, 784), (8, 28, 28, 2), (8, 2, 28, 28), (1, 8, 28, 28, 1)])
def test_arrays_that_are_no_pictures(tmp_path, shape):
    with pytest.raises(InputError, match=r"a: shape \(.*\); pictures are \(N, H, W\), \(N, H, W, 1 or 3\) or \(N, 1"):
        as_pictures(np.zeros(shape, np.uint8), tmp_path / "a")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0, 255, 7]], [[0, 255, 7]]),
        ([[0.0, 254.6, 7.4]], [[0, 255, 7]]),
        ([[0.0, 1.0, 0.5]], [[0, 255, 128]]),  # fractions: to the nearest, halves to the even one
        ([[0.0, 1.0], [0.2, 0.0]], [[0, 255], [51, 0]]),  # one picture that has some is enough
        ([[0.0, 1.0, 1.0]], [[0, 255, 255]]),
        ([[0, 1]], [[0, 255]]),
        (np.array([[0, 1]], np.uint8), [[0, 255]]),
        ([[True, False]], [[255, 0]]),
        ([[0, 1023]], [[0, 255]]),  # 10 bits
        ([[0, 4095, 2048]], [[0, 255, 128]]),  # 12 bits
        (np.array([[65535, 256]], np.uint16), [[255, 1]]),
    ],
)
def test_numbers_as_bytes(values, expected):
    found = as_bytes(np.array(values), str)
    assert found.dtype == np.uint8 and found.tolist() == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (float("nan"), "^2nd: a pixel is nan; mend the file$"),
        (float("inf"), "^2nd: a pixel is inf; mend the file$"),
        (-1, "^2nd: a pixel is -1; pixels are from 0 to 255, or from 0 to 1$"),
        (255.5, "^2nd: a pixel is 255.5; pixels are from 0 to 255"),
    ],
)
def test_the_first_picture_with_a_wrong_pixel_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        as_bytes(np.array([[0.0, 1.0], [2.0, wrong], [wrong, 3.0]]), lambda number: ["1st", "2nd", "3rd"][number])


def test_what_was_done_is_told():
    said = []
    as_bytes(np.array([[0, 1]]), str, said.append)
    as_bytes(np.array([[0, 3000]]), str, said.append)
    as_bytes(np.array([[0, 200]]), str, said.append)
    assert said == ["have pixels of 0 and 1: 1 is white", "have values up to 3,000: taken for 12 bits"]


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_no_pictures_are_no_bytes(kind):
    assert as_bytes(np.zeros((0, 28, 28), kind), str).shape == (0, 28, 28)
