"""A model folder: all that is needed to run a model, the same for every task and every method.

    graph.onnx (no weights)  model.safetensors (the only copy of the weights)  config.yaml
    tokenizer.json (or the task's own files)  metrics.jsonl  card.md  manifest.json

`train`, `tune` and `compress` write one; `generate`, `evaluate` and `llmkit.load` read any. The manifest says of each
file what it is for (`Role`): sizes and copies follow from that. Imports neither torch nor, to read, onnx. What the
settings in config.yaml may say is the affair of whoever reads a folder, who hands a check of them in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmkit.config import places, yaml_text
from llmkit.config.root import Root
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import artifacts, encryption, graph_check, manifests, memory, new_files, sparse_weights
from llmkit.store.artifacts import Artifact
from llmkit.store.files import Files
from llmkit.store.graph_check import WEIGHTS

if TYPE_CHECKING:
    from onnx import ModelProto

GRAPH, CONFIG, METRICS, CARD = "graph.onnx", "config.yaml", "metrics.jsonl", "card.md"
STAGES = ("train", "tune", "compress")
MOST_CONFIG = 1 << 20  # characters


class Role(StrEnum):
    """What a file of a model folder is for."""

    RUN = "run"
    """Needed to run the model: counted in its size, copied to what is made of it."""
    EVALUATE = "evaluate"
    """Read only to score the model, and those made of it."""
    RECORD = "record"
    """How this one model was made; read by people."""


# Of the first model folders, whose manifests say nothing of roles.
ROLES_BY_NAME = {
    **dict.fromkeys((METRICS, CARD, "best.yaml", "trials.jsonl", "samples.png"), Role.RECORD),
    "features.onnx": Role.EVALUATE,
}


@dataclass(frozen=True)
class ModelFile:
    """A task's own file of a model folder."""

    data: bytes
    role: Role = Role.RUN


@dataclass(frozen=True)
class ModelFolder(Files):
    """A model folder, verified or just written."""

    artifact: Artifact
    settings: Root
    """The config that it was made with, but for what names a place (`config.places`)."""
    roles: Mapping[str, Role]
    """Of each file but the manifest."""

    def __contains__(self, name: str) -> bool:
        return self.listed(name)

    def listed(self, name: str) -> bool:
        """Whether the folder says what it is for."""
        return name in self.roles

    @property
    def task(self) -> str:
        """Name of its task."""
        return self.settings.task

    @property
    def name(self) -> str:
        """What tables call it: the folder's name."""
        return self.path.resolve().name

    @property
    def result(self) -> Json:
        """What is known of it since it was made: parameters, trainable, val_loss, …"""
        return self.artifact.manifest["result"]

    @property
    def parameters(self) -> int:
        """How many numbers it has learnt. Raises InputError where the manifest does not say it."""
        found = self.result.get("parameters")
        if type(found) is not int:
            raise self.damaged(manifests.MANIFEST, "its result does not say how many parameters there are")
        return found

    @property
    def trainable(self) -> bool:
        """Whether it has float weights to train on with."""
        return bool(self.result.get("trainable"))

    @property
    def size_bytes(self) -> int:
        """Bytes of what is needed to run it: graph, weights, config and the task's own files (tokenizer)."""
        return sum(self.bytes_of(name) for name, role in self.roles.items() if role is Role.RUN)

    @property
    def own_files(self) -> dict[str, ModelFile]:
        """The task's own files, which every model made of this one has too, by name."""
        common = (GRAPH, WEIGHTS, CONFIG)
        kept = {name: role for name, role in self.roles.items() if role is not Role.RECORD and name not in common}
        return {name: ModelFile(self.read_bytes(name), role) for name, role in kept.items()}

    def weights(self) -> dict[str, np.ndarray]:
        """Name -> array, read from disk. Raises InputError when sparse ones are damaged, and for NaN and infinity."""
        arrays = sparse_weights.unpack(self.tensors(WEIGHTS), str(self.path / WEIGHTS))
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise self.damaged(WEIGHTS, f"{name[:60]!r} holds what are no finite numbers")
        return arrays


def read(path: str | Path, check: Callable[[Json, Path], Root], made_by: str | None = None) -> ModelFolder:
    """Open and verify a model folder; `check(data, path)` makes settings of its config.yaml, or raises ConfigError.

    Raises InputError when it is missing, damaged, no model, or made by a version whose settings `check` refuses.
    """
    path = Path(path)
    if made_by is None and not (path / manifests.MANIFEST).exists() and (path / "model").is_dir():
        raise InputError(f"{path} is no model folder; did you mean {path / 'model'}?")
    artifact = artifacts.read(path, made_by=made_by, stage=STAGES, most_bytes=memory.most_bytes())
    text = artifact.read_text(CONFIG)
    if len(text) > MOST_CONFIG:
        raise InputError(f"{path / CONFIG} is damaged: {len(text):,} characters; make the model again")
    try:
        data, _ = yaml_text.parse(text, str(path / CONFIG))
        if not isinstance(data, dict):
            raise ConfigError(f"{path / CONFIG}:1: not a mapping of sections")
        settings = check(data, path / CONFIG)
    except ConfigError as error:  # damage, or a task or key that this version does not know
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        raise InputError(f"{path} does not fit llmkit {artifacts.LLMKIT_VERSION}: {first}{more}") from error
    return ModelFolder(path, artifact, places.without_places(settings), _roles(artifact))


def _roles(artifact: Artifact) -> dict[str, Role]:
    roles = {}
    for name, entry in artifact.manifest["files"].items():
        role = entry.get("role", ROLES_BY_NAME.get(name, Role.RUN))
        if role not in list(Role):
            raise InputError(f"{artifact.path / manifests.MANIFEST} is damaged: {name} has no known role; copy it anew")
        roles[name] = Role(role)
    return roles


def write(
    folder: Path,
    graph: "ModelProto",
    weights: dict[str, np.ndarray],
    settings: Root,
    files: Mapping[str, ModelFile],
) -> dict[str, Role]:
    """Write graph, weights, config and the task's own `files` into a folder being built; returns the roles of all."""
    from safetensors.numpy import save, save_file

    new_files.write_bytes(folder / GRAPH, declare_weights(graph, weights))
    stored = sparse_weights.pack(weights)
    arrays = {name: np.ascontiguousarray(array) for name, array in stored.items()}
    if encryption.recipients_of(folder):
        new_files.write_bytes(folder / WEIGHTS, save(arrays))
    else:
        save_file(arrays, folder / WEIGHTS)
    new_files.write_text(folder / CONFIG, yaml_text.dump(places.data_without_places(settings)))
    for name, file in files.items():
        new_files.write_bytes(folder / name, file.data)
    return dict.fromkeys((GRAPH, WEIGHTS, CONFIG), Role.RUN) | {name: file.role for name, file in files.items()}


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

    weights, data = folder.weights(), folder.read_bytes(GRAPH)
    graph_check.check(data, weights, str(folder.path / GRAPH))
    try:
        graph = onnx.load_model_from_string(data)
    except Exception as error:  # of protobuf, which has several readers
        raise folder.damaged(GRAPH, f"no ONNX model ({error})") from error
    kept = [tensor for tensor in graph.graph.initializer if tensor.name not in weights]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(kept)
    return graph, weights
