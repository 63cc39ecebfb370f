"""A job to compress in: the tiny run's model and data, live files in a folder of the test's own."""

import shutil
from pathlib import Path

import pytest
from conftest import TinyRun

from llmkit import artifacts, config as configs, model_folder
from llmkit.compression.model import Job
from llmkit.console import Console
from llmkit.stages.train import train


@pytest.fixture
def job(tiny_run: TinyRun, tmp_path: Path) -> Job:
    folder = model_folder.read(tiny_run.model)
    return Job(folder, artifacts.read(tiny_run.run_dir / "prepared"), 1, tmp_path / "work", "cpu", Console(0))


def _trained(run: TinyRun, place: Path, *overrides: str) -> Path:
    """A model trained on the tiny run's data, in a run directory of its own."""
    (place / "prepared").parent.mkdir(parents=True)
    shutil.copytree(run.run_dir / "prepared", place / "prepared")
    train(configs.load(run.config, [f"run_dir={place}", *overrides]))
    return place / "model"


@pytest.fixture(scope="session")
def other_sizes(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of other sizes on the same data."""
    return _trained(tiny_run, tmp_path_factory.mktemp("sizes") / "run", "model.hidden_size=12", "train.steps=1")


@pytest.fixture(scope="session")
def started(tiny_run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that start from the tiny run's model."""
    start = [f"train.start_from={tiny_run.model}", "train.steps=4"]
    place = tmp_path_factory.mktemp("started")
    return [_trained(tiny_run, place / str(seed), f"seed={seed}", *start) for seed in (2, 3)]
