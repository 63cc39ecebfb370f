"""Damage to the files of an artifact and to its manifest: each is refused by name."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from artifact_folders import NEW, content, edit, write

from llmkit.errors import InputError
from llmkit.store import artifacts


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "is damaged: its SHA-256"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 128]), "is damaged: its SHA-256"),
        (lambda data: data[:-1], r"is damaged: \d+ bytes in place of \d+"),
        (lambda data: data + b"\0", r"is damaged: \d+ bytes in place of \d+"),
        (lambda data: b"", r"is damaged: 0 bytes in place of \d+"),
        (lambda data: None, "is missing"),
    ],
)
def test_a_damaged_file_is_named(run: Path, name: str, damage: Callable, says: str) -> None:
    write(run / "model", NEW)
    file = run / "model" / name
    data = damage(file.read_bytes())
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(InputError, match=f"^{file} {says}.*; run: llmkit train x.yaml$"):
        content(run / "model")
    if "SHA-256" in says:
        assert artifacts.read(run / "model", verify=False).manifest["stage"] == "train"
    else:
        with pytest.raises(InputError, match=says):
            artifacts.read(run / "model", verify=False)


def test_any_flipped_bit_of_a_manifest_is_refused(run: Path) -> None:
    write(run / "model", {"a": b"a"}, result={"val_loss": 1e-05})  # E in place of e would be the same number
    manifest = run / "model" / "manifest.json"
    data = manifest.read_bytes()
    for bit in range(8 * len(data)):
        place = bit // 8
        manifest.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit % 8)]) + data[place + 1 :])
        with pytest.raises(InputError, match="manifest.json is damaged"):
            artifacts.read(run / "model", verify=False)


def test_a_manifest_without_a_checksum_of_its_own_is_read(run: Path) -> None:
    write(run / "model", NEW)
    edit(run / "model", manifest_sha256=...)
    assert content(run / "model") == NEW
    edit(run / "model", manifest_sha257="0" * 64)  # its name is damaged
    with pytest.raises(InputError, match="is damaged: missing or wrong: manifest_sha257"):
        content(run / "model")


def test_a_manifest_cut_off_anywhere_is_refused(run: Path) -> None:
    write(run / "model", {"a": b"a"})
    manifest = run / "model" / "manifest.json"
    data = manifest.read_bytes().rstrip()
    for length in range(0, len(data), 7):
        manifest.write_bytes(data[:length])
        with pytest.raises(InputError, match="manifest.json is damaged: not JSON .*; run: llmkit train x.yaml"):
            content(run / "model")


@pytest.mark.parametrize("text", ["[]", "null", "3", '"text"', "{}", "[" * 100_000, '{"schema_version": 0}'])
def test_other_json_is_no_manifest(run: Path, text: str) -> None:
    write(run / "model", NEW)
    (run / "model" / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="manifest.json is damaged"):
        content(run / "model")


@pytest.mark.parametrize(
    "key",
    ["files", "inputs", "llmkit_version", "parents", "result", "schema_version", "seed", "stage", "task"],
)
def test_every_key_is_needed_and_has_its_type(run: Path, key: str) -> None:
    for value in (..., 1.5):
        write(run / "model", NEW)
        edit(run / "model", **{key: value})
        with pytest.raises(InputError, match=f"is damaged: missing or wrong: {key}"):
            content(run / "model")


def test_a_newer_schema_names_the_version_to_install(run: Path) -> None:
    write(run / "model", NEW)
    edit(run / "model", schema_version=0)
    with pytest.raises(InputError, match="is damaged: missing or wrong: schema_version"):
        content(run / "model")
    edit(run / "model", schema_version=2, llmkit_version="9.1.0", files=...)
    with pytest.raises(InputError, match=r"was written by llmkit 9.1.0 in format 2.*: install llmkit 9.1.0 or later"):
        content(run / "model")


@pytest.mark.parametrize(
    "name",
    ["../a", "/etc/passwd", "b/../../a", "..\\a", "C:\\a", "C:a", "", ".", "..", "b//a", "./a", "a\0", "b/"],
)
def test_a_listed_name_outside_the_folder_is_refused(run: Path, name: str) -> None:
    write(run / "model", {"a": b"a"})
    (run / "a").write_bytes(b"a")
    edit(run / "model", files={name: artifacts.fingerprint(run / "a")})
    with pytest.raises(InputError, match="manifest.json is damaged: '.*' is no file of this folder"):
        artifacts.read(run / "model", verify=False)


@pytest.mark.parametrize("entry", [None, {}, {"bytes": 1}, {"bytes": "1", "sha256": ""}, [1]])
def test_a_listed_file_needs_size_and_hash(run: Path, entry: object) -> None:
    write(run / "model", {"a": b"a"})
    edit(run / "model", files={"a": entry})
    with pytest.raises(InputError, match="is damaged: 'a' is no file of this folder"):
        artifacts.read(run / "model")


def test_missing_folder_missing_manifest_and_wrong_stage(run: Path) -> None:
    with pytest.raises(InputError, match=f"^{run}/prepared is missing; run: llmkit prepare x.yaml$"):
        artifacts.read(run / "prepared", made_by="llmkit prepare x.yaml")
    (run / "prepared").mkdir(parents=True)
    with pytest.raises(InputError, match="prepared has no manifest.json; run: llmkit prepare x.yaml$"):
        artifacts.read(run / "prepared", made_by="llmkit prepare x.yaml")
    write(run / "prepared", NEW)  # an empty folder is simply replaced
    assert os.listdir(run) == ["prepared"]
    with pytest.raises(InputError, match="was made by train, not by prepare or tune; make it again, or copy it"):
        artifacts.read(run / "prepared", stage=("prepare", "tune"))
    (run / "prepared" / "notes.txt").write_text("not listed, not looked at")
    assert content(run / "prepared") == NEW


def test_a_listed_name_that_is_a_folder_or_a_pipe(run: Path) -> None:
    for make in (os.mkdir, os.mkfifo):
        write(run / "model", {"a": b""})
        (run / "model" / "a").unlink()
        make(run / "model" / "a")
        with pytest.raises(InputError, match="model/a is not a file"):
            artifacts.read(run / "model")


def test_unreadable_files_are_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run / "model", NEW)

    def refuse(path: Path, *more: object) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=f"^cannot read {run}/model/manifest.json: Permission denied$"):
        artifacts.read(run / "model")
    with pytest.raises(InputError, match=f"^cannot read {run}/x.json: Permission denied$"):
        artifacts.read_json(run / "x.json")
    monkeypatch.undo()
    monkeypatch.setattr(artifacts, "fingerprint", refuse)
    with pytest.raises(InputError, match=f"^cannot read {run}/model/[a-z./]+: Permission denied$"):
        artifacts.read(run / "model")


def test_what_is_no_file_is_not_waited_for(run: Path) -> None:
    write(run / "model", NEW)
    for name in ("manifest.json", "weights.bin"):
        (run / "model" / name).rename(run / "kept")
        os.mkfifo(run / "model" / name)
        with pytest.raises(InputError, match=f"{name}.* is not a file"):
            artifacts.read(run / "model")
        (run / "model" / name).unlink()
        (run / "model" / name).symlink_to("/dev/zero")
        with pytest.raises(InputError, match=f"{name}(: it| .*)? is (not a file|a link)"):
            artifacts.read(run / "model")
        (run / "model" / name).unlink()
        (run / "kept").rename(run / "model" / name)
    assert content(run / "model") == NEW


def test_a_link_within_the_folder_is_followed_and_one_that_leads_out_is_not(run: Path) -> None:
    write(run / "model", NEW)
    file = run / "model" / "weights.bin"
    file.rename(run / "model" / "other")
    file.symlink_to("other")
    assert content(run / "model") == NEW
    (run / "model" / "other").rename(run / "outside")
    file.unlink()
    file.symlink_to(run / "outside")
    with pytest.raises(InputError, match="weights.bin is a link that leads out of the folder"):
        content(run / "model")


def test_a_file_that_the_manifest_does_not_list_is_not_read(run: Path) -> None:
    write(run / "model", NEW)
    (run / "model" / "more.json").write_text("{}")
    found = artifacts.read(run / "model")
    assert "more.json" not in found and "weights.bin" in found
    for read in (found.read_json, found.read_bytes, found.array, found.tensors):
        with pytest.raises(InputError, match=r"model has no more.json in its manifest"):
            read("more.json")


def test_what_is_read_into_memory_has_a_limit(run: Path) -> None:
    write(run / "model", NEW)
    size = sum(map(len, NEW.values()))
    artifacts.read(run / "model", most_bytes=size)
    with pytest.raises(InputError, match=rf"model holds {size} bytes, more than the {size - 1} that are read"):
        artifacts.read(run / "model", most_bytes=size - 1)


def test_parents_are_hashes(run: Path) -> None:
    write(run / "model", NEW)
    edit(run / "model", parents={"original": ["x"]})
    with pytest.raises(InputError, match="a parent is no hash"):
        artifacts.read(run / "model")
