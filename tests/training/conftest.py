"""A training run to be made to fail."""

import os
from types import SimpleNamespace

import pytest
from conftest import tiny_text, write_tiny_config
from faulty_runs import Run

from llmkit.console import charts
from llmkit.stages.prepare import prepare
from llmkit.training import loop


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("faults")
    (folder / "text.txt").write_text(tiny_text(1500), encoding="utf-8")
    write_tiny_config(folder / "tiny.yaml", folder / "text.txt", folder / "run")
    run = Run(folder / "tiny.yaml", folder / "run")
    prepare(run.load())
    return run


@pytest.fixture
def run(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The clock stands still, so that the same crash leaves the same bytes; nothing loses power or is drawn."""
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(charts, "loss_curve", lambda metrics, picture: False)
    prepared.end()
    prepared.clear()
    return prepared
