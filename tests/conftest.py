"""Shared by all tests: one thread for each process, a model small enough to be trained at once, the command line."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: pytest-xdist already takes every processor
os.environ["GPUS_OF_TESTS"] = os.environ.get("GPUS_OF_TESTS", os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # tests are about the CPU, and some fork; those about CUDA: gpus.py

import io
import json
import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import Run, finish

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "it", "sleeps", "until", "noon"]


@dataclass(frozen=True)
class TinyRun(Run):
    """A run of `task: language`."""

    text: Path


def tiny_text(characters: int = 4000, seed: int = 0) -> str:
    """Lines of words of lower-case letters: 27 different characters and the line end."""
    words = np.random.default_rng(seed).choice(WORDS, characters)
    lines = [" ".join(words[start : start + 8]) for start in range(0, len(words), 8)]
    return "\n".join(lines)[: characters - 1] + "\n"


def write_tiny_config(path: Path, text: Path, run_dir: Path) -> None:
    """A config that is trained in a fraction of a second."""
    path.write_text(
        f"""\
task: language
run_dir: {run_dir}
seed: 1
prepare: {{files: {text}, split: {{val: 0.1, test: 0.1}}}}
model: {{embedding_size: 8, hidden_size: 16, dropout: 0.0}}
train: {{steps: 5, batch_size: 4, sequence_length: 16, learning_rate: 0.01, number_type: float32}}
compress:
  int8: {{method: quantize, bits: 8}}
generate: {{max_tokens: 20}}
evaluate: {{split: test}}
""",
        encoding="utf-8",
    )


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """A finished run to read from; tests that write to one take `tiny_copy`."""
    folder = tmp_path_factory.mktemp("tiny")
    run = TinyRun(folder / "tiny.yaml", folder / "run", folder / "text.txt")
    run.text.write_text(tiny_text(), encoding="utf-8")
    write_tiny_config(run.config, run.text, run.run_dir)
    finish(run)
    return run


@pytest.fixture
def tiny_copy(tiny_run: TinyRun, tmp_path: Path) -> TinyRun:
    """The finished run again, to change: its own config and folders, up to date; the text is shared."""
    run = TinyRun(tmp_path / "tiny.yaml", tmp_path / "run", tiny_run.text)
    shutil.copytree(tiny_run.run_dir, run.run_dir)
    write_tiny_config(run.config, run.text, run.run_dir)
    return run


@pytest.fixture
def tiny_fresh(tmp_path: Path) -> TinyRun:
    """A run of which nothing has been made, with a text of its own."""
    run = TinyRun(tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "text.txt")
    run.text.write_text(tiny_text(), encoding="utf-8")
    write_tiny_config(run.config, run.text, run.run_dir)
    return run


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser that all tests of pages share; they are skipped where there is none."""
    import browser

    if browser.found() is None:
        pytest.skip("no Chromium with its chromedriver: tests of pages are skipped")
    driver = browser.start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(params=["phone", "desk"])
def visit(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Any]]:
    """Opens an address at the size of a phone, or of a desk; at the end of the test what it did is looked at."""
    import browser

    pages: list[Any] = []

    def open_page(address: str) -> Any:
        pages.append(browser.Page(chromium, address, request.param))
        return pages[-1]

    yield open_page
    if pages:
        pages[-1].check()


@pytest.fixture
def read_report(chromium: Any) -> Callable[[Path], Any]:
    """Opens a report at both sizes, looks at what it did, and gives the last of them."""
    import browser

    def read(file: Path) -> Any:
        for size in browser.SIZES:
            page = browser.Page(chromium, file.as_uri(), size)
            assert page.all("table")
            page.check()
        return page

    return read


@pytest.fixture
def job(tiny_run: TinyRun, tmp_path: Path) -> Any:
    """A compression job on the finished run's model and data, live files in a folder of the test's own."""
    from small_runs import job_of

    return job_of(tiny_run, tmp_path / "work")


@dataclass(frozen=True)
class Ran:
    """A command line that has ended: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be exactly one JSON object."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def error(self) -> str:
        """The message of a command that failed, its last words on standard error."""
        _, *messages = re.split(r"^error: ", self.err, flags=re.MULTILINE)
        [message] = messages
        assert "Traceback" not in self.err
        return message.removesuffix("\n")


class NotToBeRead(io.RawIOBase):
    """Standard input of commands that must not read it."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the command read standard input")


@pytest.fixture
def llmkit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs `llmkit ARGUMENTS` in this process. `stdin`: the bytes of standard input, which is else not to be read."""
    from llmkit.cli import main as cli

    def run(*arguments: object, stdin: bytes | None = None) -> Ran:
        raw = NotToBeRead() if stdin is None else io.BytesIO(stdin)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(raw)))  # type: ignore[type-var]
        monkeypatch.setattr(sys, "argv", ["llmkit", *map(str, arguments)])
        capsys.readouterr()
        handler = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        code = ended.value.code
        assert isinstance(code, int)
        return Ran(code, *capsys.readouterr())

    return run
