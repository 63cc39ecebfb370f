"""A generator that is learnt in a second."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_pictures import squares, write_pictures
from small_runs import Run, finish


@dataclass(frozen=True)
class ImageRun(Run):
    """A run of `task: image`."""

    pictures: Path


def write_config(path: Path, pictures: Path, run_dir: Path) -> None:
    path.write_text(
        f"""\
task: image
run_dir: {run_dir}
prepare: {{files: {pictures}}}
model: {{latent_size: 8, width: 8, discriminator_width: 8}}
train: {{steps: 30, batch_size: 16, validation_steps: 10, warmup_steps: 5, number_type: float32}}
generate: {{count: 6}}
"""
    )


@pytest.fixture(scope="session", autouse=True)
def quick_features() -> Iterator[None]:
    """Features learnt in a few steps: what they are is all the same here."""
    from llmkit.tasks.image import feature_network

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_network, "STEPS", 40)
        yield


@pytest.fixture(scope="session")
def image_run(tmp_path_factory: pytest.TempPathFactory) -> ImageRun:
    """A finished run to read from."""
    folder = tmp_path_factory.mktemp("image")
    run = ImageRun(folder / "image.yaml", folder / "run", folder / "pictures")
    write_pictures(run.pictures, *squares())
    write_config(run.config, run.pictures, run.run_dir)
    finish(run)
    return run


@pytest.fixture
def image_fresh(tmp_path: Path) -> ImageRun:
    """A run of which nothing has been made, and a folder without pictures."""
    run = ImageRun(tmp_path / "image.yaml", tmp_path / "run", tmp_path / "pictures")
    run.pictures.mkdir()
    write_config(run.config, run.pictures, run.run_dir)
    return run
