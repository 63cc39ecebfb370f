"""New files are plain as numpy and Python write them, and age files in a protected folder, never plain for a moment."""

import ast
import io
import os
from pathlib import Path

import numpy as np
import pytest

import llmkit
from llmkit.store import encryption, new_files
from llmkit.store.files import Files

pyrage = pytest.importorskip("pyrage")

IDENTITY = pyrage.x25519.Identity.generate()
ARRAY = np.arange(6, dtype=np.int16).reshape(2, 3)


def write_all(folder: Path) -> None:
    new_files.write_bytes(folder / "a", b"bytes \xff")
    new_files.write_text(folder / "b", "né\udc80\n", errors="backslashreplace")
    new_files.save_array(folder / "c.npy", ARRAY)
    with new_files.opened(folder / "d") as file:
        file.write(b"12345")
        file.seek(0)
        file.write(b"x")


def test_plain_files_are_what_they_were_without_it(tmp_path):
    write_all(tmp_path)
    expected = io.BytesIO()
    np.save(expected, ARRAY)
    found = [(tmp_path / name).read_bytes() for name in ("a", "b", "c.npy", "d")]
    assert found == [b"bytes \xff", "né\\udc80\n".encode(), expected.getvalue(), b"x2345"]


@pytest.fixture
def protected(tmp_path, monkeypatch):
    monkeypatch.setattr(encryption, "_protected", {})
    (tmp_path / "key").write_text(str(IDENTITY))
    monkeypatch.setenv(encryption.IDENTITY_FILE, str(tmp_path / "key"))
    folder = tmp_path / "run"
    folder.mkdir()
    encryption.protect(folder, [str(IDENTITY.to_public())])
    return folder


def test_protected_ones_are_age_files_of_the_same(protected, tmp_path):
    plain = tmp_path / "plain"
    plain.mkdir()
    write_all(plain)
    write_all(protected)
    for name in ("a", "b", "c.npy", "d"):
        data = (protected / name).read_bytes()
        assert encryption.is_sealed(data)
        assert pyrage.decrypt(data, [IDENTITY]) == (plain / name).read_bytes() == Files(protected).read_bytes(name)
    for mapped in (False, True):
        array = Files(protected).array("c.npy", mapped)
        assert array.tolist() == ARRAY.tolist() and not isinstance(array, np.memmap)


def test_nothing_is_kept_of_a_file_whose_writer_fails(protected):
    with pytest.raises(RuntimeError), new_files.opened(protected / "e") as file:
        file.write(b"half")
        raise RuntimeError
    assert not (protected / "e").exists()


def test_what_is_written_for_a_while(protected, tmp_path):
    for folder, on_disk in ((protected, False), (tmp_path, True)):
        with new_files.scratch(folder / "spool") as file:
            file.write(b"abcd")
            file.seek(1)
            assert file.read(2) == b"bc"
            assert (folder / "spool").exists() == on_disk
        assert not (folder / "spool").exists()
    recipient = str(IDENTITY.to_public())
    with new_files.temporary_folder([recipient]) as folder:
        assert encryption.recipients_of(folder / "x") == (recipient,)
    assert not folder.exists() and encryption.recipients_of(folder / "x") == ()


def test_standard_input_as_a_file_is_in_memory(tmp_path):
    with new_files.in_memory(tmp_path / "in.txt", b"secret") as path:
        assert path.is_file() and path.read_bytes() == b"secret" and path.name == "in.txt"
        if hasattr(os, "memfd_create"):
            assert path.is_symlink()  # to memory: nothing of it is in the folder


ALLOWED = {
    "store/new_files.py",
    "store/artifacts.py",  # its atomic writes, which `encryption.sealed` comes before
    "store/encryption.py",  # the identity itself
    "stages/encrypt.py",  # writes what it has encrypted
    "store/model_folder.py",
    "training/checkpoint.py",  # both: large weights straight to disk where they may be plain
    "training/metrics_file.py",  # a plain log is appended to
    "tasks/series/train.py",  # an array into memory
    "cli/reference.py",
    "cli/commands.py",  # the starter config
    "serving/run.py",
    "serving/keys.py",  # a log without contents, hashes of keys
    "search/worker.py",  # standard output
    "search/study.py",  # refused with encryption
}


def test_no_module_writes_a_file_by_itself():
    """What goes around `new_files` would be plain: this names each call that could, of every task's modules too."""
    root = Path(llmkit.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            given = call.args + [word.value for word in call.keywords]
            modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            opens = name.rpartition(".")[2] in ("open", "fdopen", "NamedTemporaryFile", "mkstemp")
            writes = name.endswith((".write_text", ".write_bytes", ".tofile", "np.save", "np.savez", "save_file"))
            writes |= opens and any(set(mode) & set("wax+") and len(mode) < 4 for mode in modes)
            if writes and not name.startswith(("new_files.", "artifacts.")):
                found.add(path.relative_to(root).as_posix())
    assert found == ALLOWED
