"""What a method takes and gives: a model on its way, and what there is to work with beside it."""

import hashlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from llmkit.config.root import Root
from llmkit.console.messages import Console
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.store import artifacts, model_folder
from llmkit.store.artifacts import Artifact
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import experiment
from llmkit.tasks.contract import Compress, Task

if TYPE_CHECKING:
    from onnx import ModelProto

T = TypeVar("T")
Record = Json
"""What a method did, for the manifest: `method`, its settings that count, `steps` of learning and what came out. The
same for the same inputs, so without seconds."""
CHECKPOINTS = "checkpoints"  # folder of a job's `work`


@dataclass(frozen=True)
class Model:
    """A model between two methods. `weights` are in the graph's layout, `settings` is the root section."""

    graph: "ModelProto"
    weights: dict[str, np.ndarray]
    settings: Root
    parameters: int
    done: tuple[Record, ...] = ()
    """Those of the methods so far."""

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

    task: Task
    folder: ModelFolder
    """The original."""
    prepared: Artifact
    seed: int
    work: Path
    """A folder of this variant's own; what it holds may be lost."""
    device: str
    ui: Console

    @cached_property
    def original(self) -> Model:
        """The original as a method takes it."""
        return read(self.folder, self.task)

    @property
    def learning(self) -> Compress:
        """What the task offers to methods that learn; its settings offer no such method where it has nothing."""
        assert self.task.compress is not None
        return self.task.compress


def read(folder: ModelFolder, task: Task) -> Model:
    """A trained model folder as a method takes it; regularised from now on as it was when it was trained."""
    graph, weights = model_folder.read_graph(folder)
    settings = task.compress.as_trained(folder.settings, folder.result) if task.compress else folder.settings
    return Model(graph, weights, settings, folder.parameters)


def read_other(path: str, job: Job) -> ModelFolder:
    """A model folder that the settings name, beside the original. Raises InputError where it does not fit that."""
    folder = experiment.read_model(path, task=job.task)
    if not folder.trainable:
        raise InputError(f"{path} has no float weights; name a trained model folder")
    trained_on = folder.artifact.manifest["parents"].get("prepared") or folder.result.get("prepared")
    job.learning.check_fits(folder, job.prepared)
    if trained_on != job.prepared.hash:
        raise InputError(
            f"{path} was trained on other data than {job.prepared.path} holds (it may have learned the validation "
            "text); train it on this data"
        )
    return folder


def write(model: Model, job: Job, place: Path) -> ModelFolder:
    """Write a model into `place`, an empty folder; it can be used at once, though it has no manifest yet.

    What the folder says of itself (`result`) is still what the original says.
    """
    roles = model_folder.write(place, model.graph, model.weights, model.settings, job.folder.own_files)
    folder = replace(job.folder, path=place, settings=model.settings, roles=roles)
    if job.task.compress:
        job.task.compress.refit(folder, job.prepared)
    return folder


def measure(folder: ModelFolder, job: Job) -> tuple[dict[str, float], dict[str, float]]:
    """({size_bytes, val_loss}, {load_ms, ms_per_token, …}): what a written model is, and how fast on this machine."""
    loss, speeds = job.task.evaluate.measure(folder, job.prepared, job.ui.progress)
    return {"size_bytes": folder.size_bytes, "val_loss": loss}, speeds


def written(model: Model, job: Job, use: Callable[[ModelFolder], T]) -> T:
    """What `use` makes of a model that is written for that alone."""
    artifacts.make_folder(job.work)
    with tempfile.TemporaryDirectory(dir=job.work) as place, artifacts.writing(job.work):
        return use(write(model, job, Path(place)))


def validation_loss(model: Model, job: Job) -> float:
    """Loss on the validation split as `evaluate` has it."""
    loss = job.task.evaluate.validation_loss
    return written(model, job, lambda folder: loss(folder, job.prepared, job.ui.progress))


def increase_percent(loss: float, first: float) -> float:
    """How much higher a loss is than the first one, in percent of that one's size; below 0 where it is lower.

    A loss may be 0 or below (a likelihood may): of 0 any change is infinite.
    """
    if first > 0:
        return 100 * (loss / first - 1)
    if first < 0:
        return 100 * (loss - first) / -first
    return 0.0 if loss == first else math.copysign(math.inf, loss - first)
