"""A run directory on a disk that needs no flushing."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory; nothing here loses power, so nothing is flushed."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    return tmp_path / "run"
