"""What a method takes and gives: a model on its way, and what there is to work with beside it."""

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from llmkit import tasks
from llmkit.config import schema as config
from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.store import artifacts, model_folder
from llmkit.store.model_folder import ModelFolder

if TYPE_CHECKING:
    from onnx import ModelProto

CHECKPOINTS = "checkpoints"  # folder of a job's `work`


@dataclass(frozen=True)
class Model:
    """A model between two methods. `weights` are in the graph's layout, `settings` is the task's root section."""

    graph: "ModelProto"
    weights: dict[str, np.ndarray]
    settings: Any
    parameters: int
    done: tuple[dict[str, Any], ...] = ()
    """The record of each method so far: the same for the same inputs, so without seconds."""

    @property
    def trainable(self) -> bool:
        """Whether all weights are floats, to learn with."""
        return all(array.dtype == np.float32 for array in self.weights.values())

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the weights."""
        found = hashlib.sha256()
        for name in sorted(self.weights):
            array = np.ascontiguousarray(self.weights[name])
            found.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
        return found.hexdigest()

    def require_trainable(self, method: str) -> None:
        """Raise InputError where there are no float weights for `method` to work on."""
        if not self.trainable:
            raise InputError(
                f"{method} works on float weights, and these are quantized; take the original, or put {method} before "
                "quantize in a chain"
            )


@dataclass(frozen=True)
class Job:
    """What there is to compress with: the original, its data, a place for live files."""

    folder: ModelFolder
    """The original."""
    prepared: artifacts.Artifact
    seed: int
    work: Path
    """A folder of this variant's own; what it holds may be lost."""
    device: str
    ui: Console

    @cached_property
    def original(self) -> Model:
        """The original as a method takes it."""
        return read(self.folder)

    @property
    def task(self) -> ModuleType:
        """What the task offers to methods that learn, see docs/adding_a_task.md."""
        return tasks.module(self.folder.task, "compress")

    @property
    def needs_calibration(self) -> bool:
        """Whether the task has inputs to find the ranges of activations on."""
        return tasks.has(self.folder.task, "compress") and hasattr(self.task, "calibration")

    @property
    def files(self) -> dict[str, Path]:
        """The task's own files of the original, which every variant has too: name -> source."""
        own = (*model_folder.OF_THE_MAKING, model_folder.GRAPH, model_folder.WEIGHTS, model_folder.CONFIG)
        return {name: self.folder.path / name for name in self.folder.artifact.manifest["files"] if name not in own}


def read(folder: ModelFolder) -> Model:
    """A trained model folder as a method takes it; regularised from now on as it was when it was trained."""
    graph, weights = model_folder.read_graph(folder)
    settings = folder.config.settings
    if tasks.has(folder.task, "compress"):
        settings = tasks.module(folder.task, "compress").as_trained(settings, folder.result)
    return Model(graph, weights, settings, folder.result["parameters"])


def read_other(path: str, job: Job) -> ModelFolder:
    """A model folder that the settings name, beside the original. Raises InputError where it does not fit that."""
    folder = model_folder.read(path, task=job.folder.task)
    if not folder.trainable:
        raise InputError(f"{path} has no float weights; name a trained model folder")
    trained_on = folder.artifact.manifest["parents"].get("prepared") or folder.result.get("prepared")
    job.task.check_fits(folder, job.prepared.path)
    if trained_on != job.prepared.hash:
        raise InputError(
            f"{path} was trained on other data than {job.prepared.path} holds (it may have learned the validation "
            "text); train it on this data"
        )
    return folder


def write(model: Model, job: Job, place: Path) -> ModelFolder:
    """Write a model into `place`, an empty folder; it can be used at once, though it has no manifest yet."""
    model_folder.write(place, model.graph, model.weights, model.settings, job.files)
    folder = replace(job.folder, path=place, config=config.Config(place / model_folder.CONFIG, model.settings))
    if tasks.has(folder.task, "compress") and hasattr(job.task, "refit"):
        job.task.refit(folder, job.prepared.path)
    return folder


def measure(folder: ModelFolder, job: Job) -> tuple[dict[str, Any], dict[str, float]]:
    """({size_bytes, val_loss}, {load_ms, ms_per_token, …}): what a written model is, and how fast on this machine."""
    counted = [file for file in folder.path.iterdir() if file.name not in model_folder.NOT_COUNTED]
    size = sum(file.stat().st_size for file in counted)
    loss, speeds = tasks.module(folder.task, "evaluate").measure(folder, job.prepared.path, job.ui.progress)
    return {"size_bytes": size, "val_loss": loss}, speeds


def written(model: Model, job: Job, use: Callable[[ModelFolder], Any]) -> Any:
    """What `use` gives for a model that is written for that alone."""
    artifacts.make_folder(job.work)
    with tempfile.TemporaryDirectory(dir=job.work) as place, artifacts.writing(job.work):
        return use(write(model, job, Path(place)))


def validation_loss(model: Model, job: Job) -> float:
    """Loss on the validation split as `evaluate` gives it."""
    loss = tasks.module(job.folder.task, "evaluate").validation_loss
    return written(model, job, lambda folder: loss(folder, job.prepared.path, job.ui.progress))
