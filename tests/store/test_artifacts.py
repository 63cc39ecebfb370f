"""artifacts.py under crashes at every step, full disks, damage and competing processes."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from llmkit.errors import InputError
from llmkit.store import artifacts, file_locks
from llmkit.store.artifacts import Artifact

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the writer is killed in a forked process")

OLD = {"weights.bin": b"old weights", "pictures/a.png": b"old picture", "removed.txt": b"only in the old one"}
NEW = {"weights.bin": b"new weights, longer", "pictures/a.png": b"new picture"}
KILLED = 77


def write(path: Path, content: dict[str, bytes], **manifest: Any) -> Artifact:
    with artifacts.building(path) as folder:
        for name, data in content.items():
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_bytes(data)
        return folder.finish(**{"stage": "train", "settings": {"steps": 3}} | manifest)


def content(path: Path) -> dict[str, bytes]:
    """What a reader finds: every file that the verified manifest lists."""
    files = artifacts.read(path, made_by="llmkit train x.yaml").manifest["files"]
    return {name: (path / name).read_bytes() for name in files}


def in_child(work: Callable[[], object]) -> int:
    """Run `work` in a forked process; 0, 3 for InputError, 130 for Ctrl-C, or the code it left with."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            work()
            code = 0
        except InputError:
            code = 3
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Faults:
    """Calls `fault(kind)` at the `number`-th file operation of this process and at all later ones.

    Python reports open, mkdir, rename, remove, rmdir and listings to its audit hooks (which cannot be taken
    back: use it in a child only); fsync and the writes of artifacts.py are wrapped.
    """

    EVENTS = frozenset(
        [
            "open",
            "os.mkdir",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.listdir",
            "os.scandir",
            "shutil.rmtree",
        ]
    )

    def __init__(self, number: int, fault: Callable[[str], object]) -> None:
        self.left, self.fault = number, fault
        sys.addaudithook(self.hook)
        os.fsync = lambda fd: self.count("fsync")
        artifacts.open = self.open  # type: ignore[attr-defined]

    def hook(self, event: str, details: tuple) -> None:
        if event in self.EVENTS:
            writes = event == "open" and bool(details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            self.count("open to write" if writes else event)

    def count(self, kind: str) -> None:
        self.left -= 1
        if self.left <= 0:
            self.fault(kind)

    def open(self, path: Path, mode: str) -> Any:
        file = open(path, mode)  # noqa: SIM115 (its user closes it)
        if "w" not in mode:
            return file
        write_all = file.write

        class Halved:
            def __getattr__(_, name: str) -> Any:
                return getattr(file, name)

            def __enter__(halved) -> Any:
                return halved

            def __exit__(_, *error: object) -> None:
                file.close()

            def write(_, data: bytes) -> None:
                write_all(data[: len(data) // 2])
                file.flush()
                self.count("write")
                write_all(data[len(data) // 2 :])

        return Halved()


def kill(kind: str) -> NoReturn:
    os._exit(KILLED)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory; nothing here loses power, so nothing is flushed."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    return tmp_path / "run"


def start(run: Path, state: str) -> None:
    """What a writer finds: the old folder, perhaps as an earlier crash left it."""
    write(run / "model", OLD)
    if state == "only NAME.old":
        (run / "model").rename(run / "model.old")
    if state == "a stray NAME.old":
        write(run / "stray", {"a": b"stray"})
        (run / "stray").rename(run / "model.old")


# --- crashes ------------------------------------------------------------------------------------------------


@needs_fork
@pytest.mark.parametrize("state", ["NAME", "only NAME.old", "a stray NAME.old"])
def test_killed_at_every_file_operation_leaves_the_old_or_the_new(run: Path, state: str) -> None:
    found = []
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)
        start(run, state)

        def killed(number: int = number) -> None:
            Faults(number, kill)
            write(run / "model", NEW)

        code = in_child(killed)
        found.append(content(run / "model"))
        assert found[-1] in (OLD, NEW), number
        if number % 2:
            write(run / "model", {"a": b"next"})
            assert content(run / "model") == {"a": b"next"}
            assert os.listdir(run) == ["model"], number
        else:  # the user deletes it: what the crash left of others is whole or nothing
            shutil.rmtree(run / "model")
            try:
                assert content(run / "model") in (OLD, {"a": b"stray"}), number
            except InputError as error:
                assert "is missing" in str(error), number
        if code == 0:
            break
        assert code == KILLED
    assert number > 40 and found[0] == OLD and found[-1] == NEW
    assert sorted(found, key=lambda files: files == NEW) == found  # never back to the old


@needs_fork
def test_killed_during_the_first_write_leaves_nothing_or_the_new(run: Path) -> None:
    found = set()
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)

        def killed(number: int = number) -> None:
            Faults(number, kill)
            write(run / "compressed" / "int8", NEW)

        code = in_child(killed)
        try:
            assert content(run / "compressed" / "int8") == NEW
            found.add("new")
        except InputError as error:
            assert "is missing; run: llmkit train x.yaml" in str(error)
            found.add("missing")
        if code == 0:
            break
    assert code == 0 and found == {"missing", "new"}


@needs_fork
def test_interrupted_at_every_line_leaves_the_old_or_the_new(run: Path) -> None:
    found = []
    for number in range(1, 1000):
        shutil.rmtree(run, ignore_errors=True)
        write(run / "model", OLD)

        def interrupted(number: int = number) -> None:
            reached: set[int] = set()  # a line counts when it is reached for the first time

            def trace(frame: Any, event: str, argument: object) -> Any:
                if frame.f_code.co_filename not in (artifacts.__file__, file_locks.__file__):
                    return None
                if event == "line" and frame.f_lineno not in reached:
                    reached.add(frame.f_lineno)
                    if len(reached) == number:
                        raise KeyboardInterrupt
                return trace

            sys.settrace(trace)
            write(run / "model", NEW)

        code = in_child(interrupted)
        found.append(content(run / "model"))
        assert found[-1] in (OLD, NEW), number
        if number % 3 == 0:
            write(run / "model", {"a": b"next"})
            assert os.listdir(run) == ["model"], number
        if code == 0:
            break
        assert code == 130
    assert number > 100 and found[0] == OLD and found[-1] == NEW


@needs_fork
def test_write_json_killed_at_every_file_operation(run: Path) -> None:
    found = []
    for number in range(1, 100):
        artifacts._make_folder(run)
        artifacts.write_json(run / "state.json", {"step": 1})

        def killed(number: int = number) -> None:
            Faults(number, kill)
            artifacts.write_json(run / "state.json", {"step": 2})

        code = in_child(killed)
        found.append(artifacts.read_json(run / "state.json")["step"])
        if code == 0:
            break
    artifacts.write_json(run / "state.json", {"step": 3})
    assert found[0] == 1 and found[-1] == 2 and sorted(found) == found and number > 5
    assert os.listdir(run) == ["state.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="folders are not flushed there")
def test_everything_is_flushed_before_the_rename_that_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "model", OLD)
    steps: list[str] = []
    files: dict[int, str] = {}

    def flushed(fd: int) -> None:
        for path in tmp_path.rglob("*"):
            files[path.stat().st_ino] = path.name
        steps.append(f"flush {files.get(os.fstat(fd).st_ino, 'run')}")

    def wrap(name: str, describe: Callable[..., str]) -> None:
        real = getattr(os, name)

        def wrapped(*paths: Any, **more: Any) -> Any:
            steps.append(describe(*paths))
            return real(*paths, **more)

        monkeypatch.setattr(os, name, wrapped)

    def named(old: Path, new: Path) -> str:
        return f"{Path(old).name} to {Path(new).name}"

    monkeypatch.setattr(os, "fsync", flushed)
    wrap("rename", named)
    wrap("replace", named)
    monkeypatch.setattr(shutil, "rmtree", lambda path, **more: steps.append(f"remove {Path(path).name}"))
    with artifacts.building(tmp_path / "model") as folder:
        (folder.path / "pictures").mkdir()
        (folder.path / "pictures" / "a.png").write_bytes(b"a")
        (folder.path / "weights.bin").write_bytes(b"w")
        beside = folder.path.name
        folder.finish(stage="train", settings={})
    assert steps == [
        "flush a.png",
        "flush pictures",
        "flush weights.bin",
        f"flush {beside}",
        "flush .manifest.json.tmp",
        ".manifest.json.tmp to manifest.json",
        f"flush {beside}",
        "remove model.old",
        "model to model.old",
        "flush run",
        f"{beside} to model",
        "flush run",
        "remove model.old",
        f"remove {beside}",
    ]


# --- full and forbidding disks ------------------------------------------------------------------------------


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


# --- what is written ----------------------------------------------------------------------------------------


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
    assert artifacts.size_bytes(made, ["b/c.txt", "a.bin"]) == 1


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


# --- damage -------------------------------------------------------------------------------------------------


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


def edit(path: Path, **changes: Any) -> None:
    """Change a manifest; as nobody who edits one makes its checksum anew, take that out."""
    manifest = json.loads((path / "manifest.json").read_text())
    manifest.pop("manifest_sha256", None)
    for key, value in changes.items():
        manifest[key] = value
        if value is ...:
            del manifest[key]
    (path / "manifest.json").write_text(json.dumps(manifest))


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

    def refuse(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=f"^cannot read {run}/model/manifest.json: Permission denied$"):
        artifacts.read(run / "model")
    with pytest.raises(InputError, match=f"^cannot read {run}/x.json: Permission denied$"):
        artifacts.read_json(run / "x.json")
    monkeypatch.undo()
    monkeypatch.setattr(artifacts, "fingerprint", refuse)
    with pytest.raises(InputError, match=f"^cannot read {run}/model/[a-z./]+: Permission denied$"):
        artifacts.read(run / "model")


# --- several processes --------------------------------------------------------------------------------------


@needs_fork
def test_readers_never_notice_a_writer(run: Path) -> None:
    write(run / "model", OLD)

    def swap() -> None:
        for number in range(60):
            write(run / "model", (NEW, OLD)[number % 2])

    writer = os.fork()
    if writer == 0:
        os._exit(in_child(swap))
    reads = 0
    while (ended := os.waitpid(writer, os.WNOHANG)) == (0, 0):
        assert artifacts.read(run / "model").manifest["stage"] == "train"
        reads += 1
    assert ended == (writer, 0) and reads > 10 and content(run / "model") == OLD


def before_renaming_to(name: str, act: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let another process `act` just before each rename to `name`; the list of the renamed."""
    rename, seen = os.rename, []

    def late(old: Path, new: Path) -> None:
        if Path(new).name == name:
            monkeypatch.setattr(os, "rename", rename)
            seen.append(Path(old).name)
            act()
        rename(old, new)

    monkeypatch.setattr(os, "rename", late)
    return seen


def test_a_reader_that_restores_while_a_writer_swaps(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(run / "model", OLD)
    read: list[dict] = []
    seen = before_renaming_to("model", lambda: read.append(content(run / "model")), monkeypatch)
    write(run / "model", NEW)
    assert seen[0].startswith(".model.building-") and read == [OLD]
    assert content(run / "model") == NEW and os.listdir(run) == ["model"]


def test_two_readers_that_restore_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(run, "only NAME.old")
    seen = before_renaming_to("model", lambda: os.rename(run / "model.old", run / "model"), monkeypatch)
    assert content(run / "model") == OLD and seen == ["model.old"]


def test_a_swap_that_fails_half_way_is_undone_at_once(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OSError(errno.EIO, "Input/output error")

    write(run / "model", OLD)
    before_renaming_to("model", fail, monkeypatch)
    with pytest.raises(InputError, match="model was not written: Input/output error"):
        write(run / "model", NEW)
    assert os.listdir(run) == ["model"] and (run / "model" / "removed.txt").exists()


@needs_fork
def test_a_half_deleted_folder_has_no_manifest(run: Path) -> None:
    for number in range(1, 100):
        write(run / "model", dict.fromkeys("abcdefgh", b""))

        def killed(number: int = number) -> None:
            Faults(number, kill)
            artifacts._remove(run / "model")

        code = in_child(killed)
        left = os.listdir(run / "model") if code else []
        assert "manifest.json" not in left or len(left) == 9
        if code == 0:
            break
    assert number > 9


def test_two_writers_side_by_side_leave_each_other_alone(run: Path) -> None:
    with artifacts.building(run / "model") as first, artifacts.building(run / "tuned") as second:
        (first.path / "a").write_bytes(b"1")
        (second.path / "a").write_bytes(b"2")
        second.finish(stage="tune", settings={})
        first.finish(stage="train", settings={})
    assert content(run / "model") == {"a": b"1"} and content(run / "tuned") == {"a": b"2"}
    assert sorted(os.listdir(run)) == ["model", "tuned"]


@needs_fork
def test_a_forked_child_that_leaves_the_block_removes_nothing(run: Path) -> None:
    parent = os.getpid()
    try:
        with artifacts.lock(run, "train"), artifacts.building(run / "model") as folder:
            (folder.path / "a").write_bytes(b"a")
            worker = os.fork()
            if worker == 0:
                raise SystemExit
            os.waitpid(worker, 0)
            with pytest.raises(InputError, match="in use"), artifacts.lock(run, "tune"):
                pass
            folder.finish(stage="train", settings={})
    finally:
        if os.getpid() != parent:
            os._exit(0)
    assert content(run / "model") == {"a": b"a"}


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen]]:
    started: list[subprocess.Popen] = []
    yield started
    for child in started:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def holder(children: list[subprocess.Popen], run: Path, worker: str = "0") -> tuple[subprocess.Popen, int]:
    """A process that holds the lock for a minute, and what the expression `worker` gave in it."""
    code = f"""
import os, subprocess, sys, time
from llmkit.store import artifacts
with artifacts.lock({str(run)!r}, "llmkit train x.yaml"):
    worker = {worker}
    print(worker, flush=True)
    time.sleep(60)
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    children.append(child)
    assert child.stdout
    return child, int(child.stdout.readline())


def test_the_second_writer_is_told_who_is_first(run: Path, children: list[subprocess.Popen]) -> None:
    child, _ = holder(children, run / "deep")
    message = f"^{run}/deep is in use by process {child.pid} on .* \\(llmkit train x.yaml, since 20.*\\); wait"
    with pytest.raises(InputError, match=message), artifacts.lock(run / "deep", "llmkit tune x.yaml"):
        pass
    with artifacts.lock(run / "other", "llmkit tune x.yaml"):
        pass
    child.kill()
    child.wait()
    with artifacts.lock(run / "deep", "llmkit tune x.yaml"):
        assert artifacts.read_json(run / "deep" / ".lock")["pid"] == os.getpid()


@needs_fork
@pytest.mark.parametrize(
    "worker",
    [
        "os.fork() or time.sleep(60)",
        'subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False).pid',
    ],
    ids=["forked", "executed"],
)
def test_workers_of_a_killed_holder_do_not_keep_the_lock(
    run: Path, children: list[subprocess.Popen], worker: str
) -> None:
    child, pid = holder(children, run, worker)
    try:
        with pytest.raises(InputError, match=f"in use by process {child.pid}"), artifacts.lock(run, "tune"):
            pass
        child.kill()
        child.wait()
        free = False
        for _ in range(100):  # a forked worker gives the lock up when it first runs
            with suppress(InputError), artifacts.lock(run, "tune"):
                free = True
                break
            time.sleep(0.05)
        os.kill(pid, 0)  # it lives
        assert free
    finally:
        os.kill(pid, signal.SIGKILL)


def test_the_lock_is_free_after_the_block_and_after_an_error(run: Path) -> None:
    with pytest.raises(ZeroDivisionError), artifacts.lock(run, "train"):
        _ = 1 / 0
    (run / ".lock").write_text("half a li")  # stale or torn content is harmless
    with artifacts.lock(run, "train"):
        (run / ".lock").write_text("")
        with pytest.raises(InputError, match="run is in use by another process"), artifacts.lock(run, "tune"):
            pass
    with artifacts.lock(run, "train"):
        pass


# --- JSON and differences -----------------------------------------------------------------------------------


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


def test_differences_are_flat_sorted_lines() -> None:
    old = {
        "train": {"learning_rate": 5e-3, "steps": 10},
        "files": ["a", "b"],
        "kind": "char",
        "gone": 1,
        "x": {},
    }
    new = {
        "train": {"learning_rate": 1e-3, "steps": 10},
        "files": ("a",),
        "kind": None,
        "y": {"z": True},
        "x": {},
    }
    assert artifacts.differences(old, new) == [
        'files: ["a", "b"] → ["a"]',
        "gone: 1 → unset",
        'kind: "char" → null',
        "train.learning_rate: 0.005 → 0.001",
        "y.z: unset → true",
    ]
    assert artifacts.differences(old, json.loads(json.dumps(old))) == []
    steps = [{"method": "prune", "sparsity": 0.5}, {"method": "quantize"}]
    other = [{"sparsity": 0.8, "method": "prune"}, {"method": "quantize"}]  # keys in another order
    assert artifacts.differences({"steps": steps}, {"steps": other}) == ["steps.0.sparsity: 0.5 → 0.8"]


def test_importing_it_needs_no_heavy_library() -> None:
    code = "import sys, llmkit.store.artifacts; print({'numpy', 'torch', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
