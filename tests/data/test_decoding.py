"""decoding.py: bytes to text whatever the blocks they come in, what is no text, whole lines of pieces."""

import gzip
import io

import pytest
from hypothesis import given, strategies as st

from llmkit.data import unpacking
from llmkit.data.decoding import check_encoding, lines, texts
from llmkit.errors import ConfigError, InputError


def decoded(data: bytes, name: str = "a.txt", encoding: str = "utf-8") -> list[str]:
    return ["".join(pieces) for pieces, *_ in texts(io.BytesIO(data), name, encoding)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig", "gb18030", "shift_jis"])
@pytest.mark.parametrize("block", [1, 3])
def test_characters_cut_by_a_block_are_read_whole(monkeypatch, encoding, block):
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", block)
    assert decoded("a漢字かな\r\nb".encode(encoding), encoding=encoding) == ["a漢字かな\r\nb"]


def test_a_byte_order_mark_is_left_out_at_the_start_alone(monkeypatch):
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", 2)
    assert decoded("\ufeffa\ufeffb".encode()) == ["a\ufeffb"]


def test_a_packed_file_is_called_by_both_its_names():
    data = gzip.compress("né".encode())
    found = [("".join(pieces), label, inner) for pieces, label, inner in texts(io.BytesIO(data), "a.csv.gz", "utf-8")]
    assert found == [("né", "a.csv.gz", "a.csv")]


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize(
    ("data", "place"),
    [(b"abc\xff", 3), ("añ".encode() + b"\xe6\xbc\n", 3), (b"12345678\xe6\xbc", 8), (b"\x80", 0)],
)
def test_the_first_byte_that_is_no_utf8_is_named(monkeypatch, block, data, place):
    monkeypatch.setattr(unpacking, "BLOCK_BYTES", block)
    with pytest.raises(InputError, match=rf"^a\.txt is not valid utf-8 at byte {place}; .*prepare\.encoding="):
        decoded(data)


@pytest.mark.parametrize("data", [b"\x89PNG\r\n\x1a\n\x00\x00\x00", b"text\0text"])
def test_a_binary_file(data):
    with pytest.raises(InputError, match=r"^a.txt looks like a binary file .*e\.g\. prepare\.encoding=utf-16"):
        decoded(data)
    with pytest.raises(InputError, match=r"^a.XLSX is a spreadsheet; save its rows as CSV and name that file"):
        decoded(data, "a.XLSX")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-9", "no encoding is called 'utf-9'; common are utf-8"),
        ("", "no encoding is called ''"),
        ("a\0b", "no encoding is called"),
        ("rot13", "'rot13' is no text encoding; the usual one is utf-8"),
        ("zip", "'zip' is no text encoding"),
    ],
)
def test_an_encoding_that_is_none_of_text(encoding, message):
    check_encoding("latin-1")
    with pytest.raises(ConfigError) as caught:
        check_encoding(encoding)
    assert str(caught.value).startswith(f"prepare.encoding: {message}")


@given(st.lists(st.text(alphabet="ab\r\n\u2028\x0b")))
def test_lines_do_not_depend_on_the_pieces(pieces):
    text = "".join(pieces)
    assert list(lines(pieces)) == io.StringIO(text, newline="\n").readlines()
