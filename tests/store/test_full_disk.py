"""Full and forbidding disks: the old folder stays, and the message is an InputError that names place and reason."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from artifact_folders import NEW, OLD, content, write
from forks import in_child
from operation_faults import Faults, needs_fork

from llmkit.errors import InputError
from llmkit.store import artifacts


@needs_fork
def test_full_disk_from_any_operation_on_is_an_input_error(run: Path) -> None:
    grows = {"open to write", "os.mkdir", "os.rename", "fsync", "write"}
    messages = []
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)
        write(run / "model", OLD)
        said = run.parent / "message"
        said.unlink(missing_ok=True)

        def full(kind: str) -> None:
            if kind in grows:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def filled(number: int = number, said: Path = said) -> None:
            output = os.open(said, os.O_WRONLY | os.O_CREAT)
            Faults(number, full)
            try:
                write(run / "model", NEW)
            except InputError as error:
                os.write(output, str(error).encode())
                raise

        code = in_child(filled)
        now = content(run / "model")
        assert now in (OLD, NEW)
        write(run / "model", {"a": b"next"})
        assert os.listdir(run) == ["model"]
        if code == 0:
            break
        assert code == 3
        messages.append(said.read_text())
    assert now == NEW and number > 20
    says = "was not written: No space left on device; free some space, then run it again"
    assert set(messages) == {f"{run}/model {says}"}


@needs_fork
def test_a_limit_set_by_the_kernel_at_every_size(run: Path) -> None:
    import resource

    write(run / "model", OLD)
    size = (run / "model" / "manifest.json").stat().st_size
    codes = []
    for limit in [*range(0, size, 50), size + 200]:

        def limited(limit: int = limit) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            write(run / "model", NEW)

        codes.append(in_child(limited))
        assert content(run / "model") == (NEW if codes[-1] == 0 else OLD)
        assert os.listdir(run) == ["model"]
    assert codes[0] == 3 and codes[-1] == 0 and sorted(codes, reverse=True) == codes


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError("1000000 requested and 32752 written"),  # numpy.save on a full disk
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),  # safetensors
    ],
)
def test_full_disk_in_the_words_of_each_library(run: Path, error: Exception) -> None:
    write(run / "model", OLD)
    with (
        pytest.raises(InputError, match="model was not written: No space left"),
        artifacts.building(run / "model"),
    ):
        raise error
    assert content(run / "model") == OLD and os.listdir(run) == ["model"]


def test_refusals_name_the_file_and_mistakes_of_the_program_stay_what_they_are(run: Path) -> None:
    refusal = PermissionError(errno.EACCES, "Permission denied", "data/a.txt")
    says = r"model was not written: Permission denied \(data/a.txt\)"
    with pytest.raises(InputError, match=says), artifacts.building(run / "model"):
        raise refusal
    with pytest.raises(FileNotFoundError), artifacts.building(run / "model") as folder:
        (folder.path / "no folder" / "a").write_bytes(b"")
    with pytest.raises(ZeroDivisionError), artifacts.building(run / "model"):
        _ = 1 / 0
    assert os.listdir(run) == []


def test_a_file_where_a_folder_should_be(run: Path) -> None:
    run.write_text("mine")
    with pytest.raises(InputError, match=f"{run} is a file where a folder is needed"):
        write(run / "model", NEW)
    with pytest.raises(InputError, match="is a file where a folder is needed"), artifacts.lock(run, "train"):
        pass
    with pytest.raises(InputError, match="run is a file, not a folder; move it away, then run: llmkit train"):
        artifacts.read(run, made_by="llmkit train")
    with pytest.raises(InputError, match="is missing"):
        artifacts.read(run / "model")
    run.unlink()
    run.mkdir()
    (run / "model").write_text("mine")
    with pytest.raises(InputError, match="model is a file where a folder is to be written"):
        write(run / "model", NEW)
    assert (run / "model").read_text() == "mine"
