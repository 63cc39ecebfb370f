"""main.py: what the help says, the first config, where messages and results go, what is imported."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import typer

import llmkit as package
from llmkit import tasks
from llmkit.cli.commands import app
from llmkit.config import fields
from llmkit.tasks import TASKS, experiment as experiments

ROOT = Path(package.__file__).parents[1]
STAGES = ["prepare", "train", "tune", "compress", "generate", "evaluate"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A new Python process that finds this project's package, whatever the working directory is."""
    path = os.pathsep.join(filter(None, [environment.pop("before", ""), str(ROOT)]))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        env={**os.environ, **environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


# --- help and version ---------------------------------------------------------------------------------------


def test_version(llmkit):
    ran = llmkit("--version")
    assert (ran.code, ran.out, ran.err) == (0, f"llmkit {package.__version__}\n", "")


def test_python_m_llmkit_is_the_command():
    ran = python("-m", "llmkit", "--version")
    assert (ran.returncode, ran.stdout) == (0, f"llmkit {package.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_names_every_command(llmkit, arguments):
    ran = llmkit(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert "Usage: llmkit " in ran.out
    for name in [*STAGES, "init", "serve", "encrypt"]:
        assert f" {name} " in ran.out


def test_the_commands_are_the_stages_and_others():
    assert sorted(COMMANDS) == sorted([*STAGES, "init", "serve", "encrypt"])


@pytest.mark.parametrize("name", [*STAGES, "init", "serve", "encrypt"])
def test_every_command_argument_and_option_is_described(llmkit, name):
    ran = llmkit(name, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert COMMANDS[name].help.strip().split("\n")[0] in " ".join(ran.out.split())
    for parameter in COMMANDS[name].params:
        assert len((parameter.help or "").split()) >= 2, f"{name}: {parameter.name} has no description"


@pytest.mark.parametrize("name", STAGES)
def test_options_of_every_stage(name):
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {"--json", "--quiet", "--verbose", "--force", "--dry-run", "--device", "--seed"} <= options
    assert ("--fresh" in options) == (name in ("train", "tune"))
    assert ("--on" in options) == (name == "evaluate")
    assert ("--model" in options) == (name in ("compress", "generate", "evaluate"))


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_key_of_generate_is_an_option(task):
    options = {option for parameter in COMMANDS["generate"].params for option in parameter.opts}
    keys = msgspec.structs.fields(fields.section(TASKS[task].settings.Config, "generate"))
    assert {f"--{key.name.replace('_', '-')}" for key in keys} <= options


# --- init ---------------------------------------------------------------------------------------------------


def test_init_writes_a_config_that_loads(llmkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = llmkit("init", "configs/mine.yaml", "--task", "language")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "wrote configs/mine.yaml; next: name your files in it, then llmkit prepare configs/mine.yaml\n"
    assert experiments.load("configs/mine.yaml").run_dir == Path("runs/mine")
    written = Path("configs/mine.yaml").read_text()
    assert "#     llmkit prepare  configs/mine.yaml\n" in written
    assert "CONFIG" not in written


def test_init_does_not_overwrite_unless_forced(llmkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("precious")
    ran = llmkit("init", "mine.yaml")
    assert ran.code == 3
    assert ran.error == "mine.yaml exists already; choose another name, or overwrite it with --force"
    assert Path("mine.yaml").read_text() == "precious"
    assert llmkit("init", "mine.yaml", "--force", "--json").json == {
        "stage": "init",
        "file": "mine.yaml",
        "task": "language",
    }
    assert experiments.load("mine.yaml").task.name == "language"


def test_init_into_what_is_no_folder(llmkit, tmp_path):
    (tmp_path / "file").write_text("")
    ran = llmkit("init", tmp_path / "file" / "mine.yaml")
    assert ran.code == 3
    assert "was not written" in ran.error


# --- streams and imports ------------------------------------------------------------------------------------


def test_messages_go_to_stderr_and_results_to_stdout(llmkit, tiny_copy):
    ran = llmkit("generate", tiny_copy.model, "--prompt", "the", "--max-tokens", 5)
    assert ran.code == 0
    assert ran.out.startswith("the")
    assert "tokens/s" in ran.err
    assert llmkit("generate", tiny_copy.model, "--prompt", "the", "--max-tokens", 5, "--quiet").err == ""


def test_a_reader_that_goes_away_is_no_error(tiny_run):
    options = ["--prompt", "the", "--max-tokens", "20000", "--no-stop-at-document-end"]
    command = [sys.executable, "-m", "llmkit", "generate", tiny_run.model, *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.read(1) == b"t"
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(30) == 0


BAR = """
import sys
from llmkit.cli import main as cli
from llmkit.console import messages
from llmkit.errors import InputError
messages.SLOW_SECONDS = 0
messages.Console().progress("working", 1, 10)
sys.exit(cli._fail(InputError("it is broken"), as_json=False))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="terminals of POSIX")
def test_an_error_below_a_progress_bar_gives_the_cursor_back():
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", BAR], stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end, on Linux
            while piece := os.read(ours, 4096):
                shown += piece
    os.close(ours)
    assert b"error: it is broken" in shown
    assert shown.index(b"working") < shown.index(b"error: ")
    assert 0 <= shown.find(b"\x1b[?25l") < shown.rfind(b"\x1b[?25h")  # hidden, shown again


def imported(*arguments: object) -> set[str]:
    """The packages that a command imports."""
    ran = python("-X", "importtime", "-m", "llmkit", *arguments)
    assert ran.returncode == 0, ran.stderr[-2000:]
    lines = [line for line in ran.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}


def test_help_imports_nothing_heavy():
    found = imported("--help")
    assert "msgspec" in found  # the list is read as it should be
    assert {"torch", "onnx", "optuna", "onnxruntime", "tokenizers", "numpy", "matplotlib"}.isdisjoint(found)


@pytest.mark.parametrize("stage", ["generate", "evaluate"])
def test_use_of_a_model_folder_imports_no_torch(tiny_run, stage):
    found = imported(stage, tiny_run.int8, "--quiet")
    assert "onnxruntime" in found
    assert {"torch", "onnx", "optuna", "matplotlib", "rich"}.isdisjoint(found)


NOT_INSTALLED = """
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "optuna"):
            return None
        return super().find_spec(name, path, target)


sys.meta_path[sys.meta_path.index(PathFinder)] = Without
"""


@pytest.fixture
def bare(tmp_path):
    """Runs Python where torch, onnx and optuna are not installed."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NOT_INSTALLED)

    def bare(*arguments: object) -> subprocess.CompletedProcess[str]:
        return python(*arguments, before=str(folder))

    missing = bare("-c", "import torch")
    assert missing.returncode == 1
    assert "ModuleNotFoundError: No module named 'torch'" in missing.stderr
    return bare


def test_a_model_folder_is_used_where_torch_is_not_installed(bare, tiny_copy):
    written = bare("-m", "llmkit", "generate", tiny_copy.config, "--prompt", "the", "--json")
    assert written.returncode == 0, written.stderr
    assert json.loads(written.stdout)["texts"][0]["prompt"] == "the"
    scored = bare("-m", "llmkit", "evaluate", tiny_copy.model, tiny_copy.int8, "--json")
    assert scored.returncode == 0, scored.stderr
    assert [row["name"] for row in json.loads(scored.stdout)["models"]] == ["model", "int8"]
    loaded = bare(
        "-c", f"import llmkit; print(repr(llmkit.load({str(tiny_copy.int8)!r}).generate('the', max_tokens=3)))"
    )
    assert loaded.returncode == 0, loaded.stderr
    assert isinstance(eval(loaded.stdout), str)


def test_training_where_torch_is_not_installed_says_what_to_install(bare, tiny_copy):
    ran = bare("-m", "llmkit", "train", tiny_copy.config, "--force")
    assert ran.returncode == 2
    assert ran.stderr.startswith(
        "error: this stage needs torch, onnx, optuna; install them with: pip install '.[train]'"
    )
    finished = bare("-m", "llmkit", "train", tiny_copy.config, "--json")  # nothing to do, so nothing is needed
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["up_to_date"] is True


def test_a_full_standard_output_is_told_in_one_line(tiny_run):
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "llmkit", "evaluate", str(tiny_run.model), "--on", str(tiny_run.text)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1] == (
        "error: standard output cannot be written: No space left on device; what was made is kept"
    )
    assert "Traceback" not in ran.stderr and "Exception ignored" not in ran.stderr


def test_what_standard_output_cannot_encode_is_shown_as_its_number(tiny_run):
    ran = subprocess.run(
        [sys.executable, "-m", "llmkit", "generate", str(tiny_run.model), "--prompt", "漢", "--max-tokens", "1"],
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0 and ran.stdout.startswith(b"\\u6f22")


def test_memory_that_is_short_is_explained(llmkit, tiny_run, monkeypatch):
    from llmkit.stages import evaluate

    def short(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr(evaluate, "_measured", short)
    ran = llmkit("evaluate", tiny_run.config, "--on", tiny_run.text)
    assert ran.code == 2 and ran.error.startswith("there is not enough memory; close other programs, or take less")
