"""A classifier of pictures that is learnt in a second or two."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from small_pictures import squares, write_pictures
from small_runs import Run, finish


@dataclass(frozen=True)
class VisionRun(Run):
    """A run of `task: vision`."""

    pictures: Path


def write_config(path: Path, pictures: Path, run_dir: Path, more: str = "") -> None:
    path.write_text(
        f"""\
task: vision
run_dir: {run_dir}
prepare: {{files: {pictures}}}
model: {{width: 8}}
train: {{steps: 40, batch_size: 16, learning_rate: 0.02, warmup_steps: 5, average: 0.8, number_type: float32}}
{more}"""
    )


@pytest.fixture(scope="session")
def vision_run(tmp_path_factory: pytest.TempPathFactory) -> VisionRun:
    """A finished run to read from: bright squares, left or right of the middle."""
    folder = tmp_path_factory.mktemp("vision")
    run = VisionRun(folder / "vision.yaml", folder / "run", folder / "pictures")
    write_pictures(run.pictures, *squares(160, edge=28))
    write_config(run.config, run.pictures, run.run_dir)
    finish(run)
    return run


@pytest.fixture
def vision_fresh(tmp_path: Path) -> VisionRun:
    """A run of which nothing has been made, with pictures of its own."""
    run = VisionRun(tmp_path / "vision.yaml", tmp_path / "run", tmp_path / "pictures")
    write_pictures(run.pictures, *squares(40))
    write_config(run.config, run.pictures, run.run_dir)
    return run
