"""A small run of any task: where it lies, how it is made, and a process in which torch cannot be imported."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llmkit


@dataclass(frozen=True)
class Run:
    """A finished run: prepared, model and compressed/int8, with absolute paths."""

    config: Path
    run_dir: Path

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.run_dir / "model"

    @property
    def int8(self) -> Path:
        """The folder of its compressed form."""
        return self.run_dir / "compressed" / "int8"


def finish(run: Run) -> None:
    """Prepare, train and compress what the run's config says."""
    from llmkit.stages.compress import compress
    from llmkit.stages.prepare import prepare
    from llmkit.stages.train import train
    from llmkit.tasks import experiment as experiments

    loaded = experiments.load(run.config)
    prepare(loaded)
    train(loaded)
    compress(loaded)


def setup_of(run: Any, *overrides: str) -> Any:
    """A training of a run's config on its prepared data, not begun."""
    from llmkit.fitting.setup import Setup
    from llmkit.store import artifacts
    from llmkit.tasks import experiment as experiments

    settings = experiments.load(run.config, overrides).settings
    return Setup(settings, artifacts.read(run.run_dir / "prepared"), "cpu")


def job_of(run: Any, work: Path) -> Any:
    """A compression job on a finished run's model and data, with live files in `work`."""
    from llmkit.compression.model import Job
    from llmkit.console.messages import Console
    from llmkit.store import artifacts
    from llmkit.tasks import TASKS, experiment as experiments

    prepared = artifacts.read(run.run_dir / "prepared")
    folder = experiments.read_model(run.model)
    return Job(TASKS[folder.task], folder, prepared, 1, work, "cpu", Console(0))


def without_torch(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """How a process ends that runs `code` and fails where that imports torch or onnx; `folder` is for a file of it."""
    (folder / "torch.py").write_text("raise ImportError('torch is not to be imported')")
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\n{code}\nassert 'onnx' not in sys.modules"
    source = Path(llmkit.__file__).parents[1]
    return subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
