"""artifacts.py: what is written and read back, which files are part of it, JSON files, differences of settings."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from artifact_folders import NEW, OLD, content, write

from llmkit.errors import InputError
from llmkit.store import artifacts, file_locks


def test_the_manifest_says_what_is_there_and_reads_back(run: Path) -> None:
    (run.parent / "in.txt").write_bytes(b"text")
    source = {"path": Path("in.txt"), **artifacts.fingerprint(run.parent / "in.txt")}
    made = write(
        run / "model",
        {"b/c.txt": b"c", "a.bin": b""},
        task="language",
        seed=7,
        settings={"rate": 5e-3, "sizes": (1, 2), "größe": np.int64(3)},
        parents={"prepared": "ab" * 32},
        inputs=[source],
        result={"val_loss": np.float32(1.5), "worst": float("nan")},
        versions={"torch": "2.13.0"},
    )
    data = (run / "model" / "manifest.json").read_bytes()
    python = ".".join(map(str, sys.version_info[:3]))
    written = json.loads(data)
    checksum = written.pop("manifest_sha256")
    unsigned = json.dumps(written, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    assert checksum == hashlib.sha256(unsigned.encode()).hexdigest()
    assert written == {
        "schema_version": 1,
        "llmkit_version": artifacts.LLMKIT_VERSION,
        "stage": "train",
        "task": "language",
        "settings": {"rate": 0.005, "sizes": [1, 2], "größe": 3},
        "seed": 7,
        "versions": {"python": python, "numpy": np.__version__, "torch": "2.13.0"},
        "files": {
            # SHA-256 of "c" and of nothing
            "b/c.txt": {
                "bytes": 1,
                "sha256": "2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6",
            },
            "a.bin": {
                "bytes": 0,
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            },
        },
        "parents": {"prepared": "ab" * 32},
        "inputs": [{"path": "in.txt", "bytes": 4, "sha256": hashlib.sha256(b"text").hexdigest()}],
        "result": {"val_loss": 1.5, "worst": None},
    }
    assert made.hash == hashlib.sha256(data).hexdigest()
    assert artifacts.read(run / "model", made_by="", stage=("train", "tune")) == made
    assert [made.bytes_of(name) for name in ("b/c.txt", "a.bin")] == [1, 0]


def test_the_same_inputs_give_the_same_bytes(run: Path) -> None:
    write(run / "a", NEW, settings={"x": 1, "y": {"b": 2, "a": 3}})
    write(run / "b", dict(reversed(NEW.items())), settings={"y": {"a": 3, "b": 2}, "x": 1})
    first, second = ((run / name / "manifest.json").read_bytes() for name in "ab")
    assert first == second and first.startswith(b'{\n  "files": {\n    "pictures/a.png": {\n') and first[-1:] == b"\n"


def test_undecodable_names_survive(run: Path) -> None:
    inputs = [{"path": os.fsdecode(b"caf\xe9"), "bytes": 0, "sha256": ""}]
    write(run / "model", NEW, inputs=inputs)
    assert artifacts.read(run / "model").manifest["inputs"] == inputs


def test_without_finish_nothing_appears(run: Path) -> None:
    with artifacts.building(run / "model") as folder:
        (folder.path / "a").write_bytes(b"a")
    assert os.listdir(run) == []


def test_links_and_special_files_are_no_part_of_an_artifact(run: Path) -> None:
    for make in (lambda path: path.symlink_to("/etc"), lambda path: path.symlink_to("x"), os.mkfifo):
        says = "plain files and folders only, not 'odd'"
        with pytest.raises(ValueError, match=says), artifacts.building(run / "model") as folder:
            make(folder.path / "odd")
            folder.finish(stage="train", settings={})
    assert os.listdir(run) == []


def test_a_link_to_a_folder_elsewhere_stays_a_link(run: Path) -> None:
    large = run.parent / "large disk"
    run.mkdir()
    (run / "model").symlink_to(large / "model")
    for files in (OLD, NEW):
        write(run / "model", files)
        assert content(run / "model") == content(large / "model") == files
    assert (run / "model").is_symlink() and os.listdir(large) == ["model"]


def test_relative_paths_survive_a_change_of_directory(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run.mkdir()
    monkeypatch.chdir(run)
    with artifacts.building(Path("deep/model")) as folder:
        (folder.path / "a").write_bytes(b"a")
        os.chdir("/")
        made = folder.finish(stage="train", settings={})
    assert made.path == Path("deep/model") and content(run / "deep" / "model") == {"a": b"a"}


def test_files_that_llmkit_did_not_write_are_kept(run: Path) -> None:
    (run / "model").mkdir(parents=True)
    (run / "model" / "thesis.txt").write_text("three years")
    write(run / "model", NEW)
    [kept] = run.glob("model.kept-*")
    assert (kept / "thesis.txt").read_text() == "three years" and content(run / "model") == NEW


def test_json_files_round_trip_exactly_or_are_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*paths: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    run.mkdir()
    data = {
        "loss": 0.1 + 0.2,
        "steps": 2**70,
        "text": "Übergröße\u2028\udc80",
        "none": None,
        "list": [1, [True]],
    }
    artifacts.write_json(run / "a.json", data)
    assert artifacts.read_json(run / "a.json") == data
    with pytest.raises(ValueError):
        artifacts.write_json(run / "a.json", {"best": float("inf")})
    with pytest.raises(InputError, match="a.json was not written"), monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        artifacts.write_json(run / "a.json", {})
    assert artifacts.read_json(run / "a.json") == data and os.listdir(run) == ["a.json"]
    (run / "a.json").write_bytes((run / "a.json").read_bytes()[:-4])
    with pytest.raises(InputError, match="a.json is damaged: not JSON"):
        artifacts.read_json(run / "a.json")
    with pytest.raises(InputError, match="cannot read .*b.json: No such file"):
        artifacts.read_json(run / "b.json")


def test_importing_it_needs_no_heavy_library() -> None:
    code = "import sys, llmkit.store.artifacts; print({'numpy', 'torch', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_where_folders_cannot_be_locked_a_writer_is_left_alone_for_a_day(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_locks, "hold_folder", lambda folder: None)
    other = run / ".model.building-1-0123abcd"
    other.mkdir(parents=True)
    with artifacts.building(run / "model"):
        assert other.exists()
    os.utime(other, (0, 0))
    with artifacts.building(run / "model"):
        assert not other.exists()


def test_files_that_a_library_wrote_for_its_user_alone_are_as_readable_as_the_others(run: Path) -> None:
    with artifacts.building(run / "model") as folder:
        (folder.path / "weights").write_bytes(b"x")
        (folder.path / "weights").chmod(0o600)
        (folder.path / "graph").write_bytes(b"x")
        folder.finish(stage="train", settings={})
    modes = {name: (run / "model" / name).stat().st_mode for name in ("weights", "graph")}
    assert modes["weights"] == modes["graph"]
