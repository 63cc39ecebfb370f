"""Configs written to c.yaml in a folder of the test's own."""

from pathlib import Path

import pytest

from llmkit.errors import ConfigError
from llmkit.tasks import experiment as experiments


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Loads the text of a config, written to c.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def load(text: str, *overrides: str, values: dict | None = None) -> experiments.Experiment:
        Path("c.yaml").write_text(text, encoding="utf-8")
        return experiments.load("c.yaml", overrides, values)

    return load


@pytest.fixture
def mistakes(load):
    """The lines of the message that a config is refused with."""

    def mistakes(text: str, *overrides: str, values: dict | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(text, *overrides, values=values)
        return str(caught.value).split("\n")

    return mistakes
