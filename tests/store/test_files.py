"""Files by name: each kind is read as it was written, and what cannot be read is named with its folder."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from llmkit.errors import InputError
from llmkit.store.files import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    (tmp_path / "words.txt").write_bytes("né\r\n".encode())
    (tmp_path / "meta.json").write_text('{"a": [1, null]}')
    np.save(tmp_path / "numbers.npy", np.arange(6, dtype=np.int16).reshape(2, 3))
    save_file({"w": np.array([[0.5, -2.0]], np.float32)}, tmp_path / "weights.safetensors")
    return Files(tmp_path)


def test_each_kind_of_file_is_read_as_it_was_written(files: Files) -> None:
    assert files.read_bytes("words.txt") == b"n\xc3\xa9\r\n"
    assert files.read_text("words.txt") == "né\r\n"  # line ends stay
    assert files.read_json("meta.json") == {"a": [1, None]}
    with files.open("words.txt") as file:
        assert file.read(1) == b"n"
    [(name, weight)] = files.tensors("weights.safetensors").items()
    assert (name, weight.dtype, weight.tolist()) == ("w", np.float32, [[0.5, -2.0]])
    assert files.bytes_of("words.txt") == 5


def test_an_array_is_in_memory_or_mapped(files: Files) -> None:
    for mapped in (False, True):
        array = files.array("numbers.npy", mapped=mapped)
        assert (array.dtype, array.tolist()) == (np.int16, [[0, 1, 2], [3, 4, 5]])
        assert isinstance(array, np.memmap) == mapped


def test_which_files_are_there(files: Files) -> None:
    assert "words.txt" in files and "word.txt" not in files


@pytest.mark.parametrize("read", [Files.open, Files.read_bytes, Files.read_text, Files.read_json])
def test_a_file_that_is_not_there_is_named(files: Files, read) -> None:
    with pytest.raises(InputError, match=f"^cannot read {files.path}/gone.json: No such file or directory$"):
        read(files, "gone.json")


def test_text_and_json_that_are_damaged_are_named(files: Files) -> None:
    (files.path / "words.txt").write_bytes(b"n\xff")
    with pytest.raises(
        InputError, match=f"^{files.path}/words.txt is damaged: no UTF-8 text; make it again, or copy it anew$"
    ):
        files.read_text("words.txt")
    for damaged in (b'{"a": ', b"\xff\xfe\x00", b"[" * 100_000):
        (files.path / "meta.json").write_bytes(damaged)
        with pytest.raises(
            InputError, match=f"^{files.path}/meta.json is damaged: not JSON .*; make it again, or copy it anew$"
        ):
            files.read_json("meta.json")
