"""Other models of the tiny run's data, to be fused with its own."""

import shutil
from pathlib import Path

import pytest
from conftest import TinyRun

from llmkit.stages.train import train
from llmkit.tasks import experiment as experiments


def _trained(run: TinyRun, place: Path, *overrides: str) -> Path:
    """A model trained on the tiny run's data, in a run directory of its own."""
    (place / "prepared").parent.mkdir(parents=True)
    shutil.copytree(run.run_dir / "prepared", place / "prepared")
    train(experiments.load(run.config, [f"run_dir={place}", *overrides]))
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
