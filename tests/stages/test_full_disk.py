"""Every stage on a full disk: what was there stays, nothing half-built is left, the message says what to do."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_folders import nothing_half_built, snapshot

import llmkit as package

ROOT = Path(package.__file__).parents[1]


def test_a_full_disk_while_the_weights_are_written(llmkit, tiny_copy, monkeypatch):
    from safetensors import SafetensorError

    def full(tensors, path):
        Path(path).write_bytes(b"half of the weights")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    before = snapshot(tiny_copy.model), snapshot(tiny_copy.int8)
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", full)
        for stage, place in (("train", tiny_copy.model), ("compress", tiny_copy.int8)):
            ran = llmkit(stage, tiny_copy.config, "--force", "--json")
            assert ran.code == ran.json["error"]["code"] == 3
            assert ran.error.split("\n")[-1] == (
                f"{place} was not written: No space left on device; free some space, then run it again"
            )
    assert (snapshot(tiny_copy.model), snapshot(tiny_copy.int8)) == before
    assert nothing_half_built(tiny_copy.run_dir)
    assert llmkit("train", tiny_copy.config, "--json").json["up_to_date"] is True


@pytest.mark.parametrize("stage", ["prepare", "train", "tune", "compress", "generate", "evaluate"])
def test_a_disk_that_is_full_when_the_manifest_is_flushed(llmkit, tiny_copy, monkeypatch, stage):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    kept = {name: snapshot(tiny_copy.run_dir / name) for name in ("prepared", "model", "compressed")}
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ran = llmkit(stage, tiny_copy.config, "--force", "--json")
    assert ran.code == 3
    assert "No space left on device; free some space, then run it again" in ran.error
    assert {name: snapshot(tiny_copy.run_dir / name) for name in kept} == kept
    assert nothing_half_built(tiny_copy.run_dir)


LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))  # bytes in one file; the system refuses more
from llmkit.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_that_the_system_itself_sets(tiny_copy):
    before = snapshot(tiny_copy.run_dir / "prepared")  # its train.npy has more than 3,000 bytes
    ran = subprocess.run(
        [sys.executable, "-c", LIMITED, "prepare", tiny_copy.config, "--force"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 3
    assert ran.stderr == (
        f"error: {tiny_copy.run_dir}/prepared was not written: File too large; free some space, then run it again\n"
    )
    assert snapshot(tiny_copy.run_dir / "prepared") == before
    assert nothing_half_built(tiny_copy.run_dir)
