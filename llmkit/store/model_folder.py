"""A model folder: all that is needed to run a model, the same for every task and every method.

    graph.onnx (no weights)  model.safetensors (the only copy of the weights)  config.yaml
    tokenizer.json (or the task's own files)  metrics.jsonl  card.md  manifest.json

`train`, `tune` and `compress` write one; `generate`, `evaluate` and `llmkit.load` read any. Imports neither torch
nor onnx.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from llmkit.config import schema as config, yaml_text
from llmkit.errors import ConfigError, InputError
from llmkit.store import artifacts, sparse_weights

if TYPE_CHECKING:
    from onnx import ModelProto

GRAPH, WEIGHTS, CONFIG = "graph.onnx", "model.safetensors", "config.yaml"
OF_THE_MAKING = ("metrics.jsonl", "card.md", "best.yaml", "trials.jsonl", "samples.png")  # of this one model
FOR_EVALUATION = ("features.onnx",)  # not read to run a model, but to score it and those made of it
NOT_COUNTED = (*OF_THE_MAKING, *FOR_EVALUATION)
STAGES = ("train", "tune", "compress")


@dataclass(frozen=True)
class ModelFolder:
    """A verified model folder."""

    path: Path
    artifact: artifacts.Artifact
    config: config.Config

    @property
    def task(self) -> str:
        return self.config.task

    @property
    def name(self) -> str:
        """What tables call it: the folder's name."""
        return self.path.resolve().name

    @property
    def result(self) -> dict[str, Any]:
        """Figures stored when it was made: parameters, trainable, …"""
        return self.artifact.manifest["result"]

    @property
    def trainable(self) -> bool:
        """Whether it has float weights to train on with."""
        return bool(self.result.get("trainable"))

    @property
    def size_bytes(self) -> int:
        """Bytes that ship: graph, weights, config and the task's own files (tokenizer)."""
        files = self.artifact.manifest["files"]
        return artifacts.size_bytes(self.artifact, [name for name in files if name not in NOT_COUNTED])

    def weights(self) -> dict[str, np.ndarray]:
        """Name -> array, read from disk. Raises InputError when sparse ones are damaged."""
        from safetensors.numpy import load_file

        return sparse_weights.unpack(load_file(self.path / WEIGHTS), str(self.path / WEIGHTS))


def read(path: str | Path, made_by: str | None = None, task: str | None = None) -> ModelFolder:
    """Open and verify a model folder. Raises InputError when it is missing, damaged, no model or of another task."""
    path = Path(path)
    if made_by is None and not (path / artifacts.MANIFEST).exists() and (path / "model").is_dir():
        raise InputError(f"{path} is no model folder; did you mean {path / 'model'}?")
    artifact = artifacts.read(path, made_by=made_by, stage=STAGES)
    data = yaml.load((path / CONFIG).read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        found = ModelFolder(path, artifact, config.from_data(data, path / CONFIG))
    except ConfigError as error:  # a task or key that this version does not know
        raise InputError(f"{path} does not fit llmkit {artifacts.LLMKIT_VERSION}: {error}") from error
    if task is not None and found.task != task:
        raise InputError(f"{path} is a model of task {found.task}, not {task}; name a model of task {task}")
    return found


def write(
    folder: Path,
    graph: "ModelProto",
    weights: dict[str, np.ndarray],
    settings: config.Section,
    files: dict[str, Path],
) -> None:
    """Write graph, weights, config and the task's own `files` (name -> source) into a folder being built."""
    from safetensors.numpy import save_file

    (folder / GRAPH).write_bytes(declare_weights(graph, weights))
    stored = sparse_weights.pack(weights)
    save_file({name: np.ascontiguousarray(array) for name, array in stored.items()}, folder / WEIGHTS)
    (folder / CONFIG).write_text(yaml_text.dump(config.to_data(settings)), encoding="utf-8")
    for name, source in files.items():
        shutil.copyfile(source, folder / name)


def declare_weights(graph: "ModelProto", weights: dict[str, np.ndarray]) -> bytes:
    """The serialized graph with each weight declared as an external initializer: name, type, shape, no data."""
    import onnx

    declared = onnx.ModelProto()
    declared.CopyFrom(graph)
    for name in sorted(weights):
        kind = onnx.helper.np_dtype_to_tensor_dtype(weights[name].dtype)
        tensor = onnx.TensorProto(
            name=name, data_type=kind, dims=weights[name].shape, data_location=onnx.TensorProto.EXTERNAL
        )
        location = tensor.external_data.add()
        location.key, location.value = "location", WEIGHTS
        declared.graph.initializer.append(tensor)
    return declared.SerializeToString(deterministic=True)


def read_graph(folder: ModelFolder) -> tuple["ModelProto", dict[str, np.ndarray]]:
    """(graph, weights) as `write` took them: the graph without its declarations of weights. Needs onnx."""
    import onnx

    weights = folder.weights()
    graph = onnx.load(folder.path / GRAPH, load_external_data=False)
    kept = [tensor for tensor in graph.graph.initializer if tensor.name not in weights]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    return graph, weights
