"""Files by patterns: which are found, in what order, and what is said of those that are not; their hashes."""

import hashlib

import pytest

from llmkit.data.files import find_files, hash_files
from llmkit.errors import ConfigError, InputError


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def test_files_are_sorted_within_a_pattern_and_named_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.txt", "z.csv", "odd[1].txt"):
        write(tmp_path / name, "x")
    assert [str(p) for p in find_files("*.txt")] == ["a.txt", "b.txt", "odd[1].txt"]
    assert [str(p) for p in find_files(["z.csv", "**/*.txt", "a.txt"])] == [
        "z.csv",
        "a.txt",
        "b.txt",
        "odd[1].txt",
        "sub/c.txt",
    ]
    assert [str(p) for p in find_files("odd[1].txt")] == ["odd[1].txt"]


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        ("*.md", r"\*\.md matches no file"),
        (["a.txt", "b.txt"], "no file b.txt"),
        ("sub", r"sub is a folder; name the files in it, e\.g\. sub/\*\*/\*\.txt"),
    ],
)
def test_a_pattern_without_files_is_named(tmp_path, monkeypatch, patterns, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    write(tmp_path / "a.txt", "x")
    with pytest.raises(InputError, match=words):
        find_files(patterns)


@pytest.mark.parametrize("patterns", ["", [], [""]])
def test_no_pattern_is_a_mistake_in_the_config(patterns):
    with pytest.raises(ConfigError, match=r"prepare\.files is empty"):
        find_files(patterns)


def test_hashes_are_those_of_hashlib(tmp_path):
    path = write(tmp_path / "a.txt", "hello")
    assert hash_files([path]) == [{"path": path.as_posix(), "bytes": 5, "sha256": hashlib.sha256(b"hello").hexdigest()}]


def test_a_file_that_cannot_be_opened(tmp_path):
    with pytest.raises(InputError, match=r"gone\.txt cannot be read"):
        hash_files([tmp_path / "gone.txt"])
