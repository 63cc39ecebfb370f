"""A model folder from somebody else: files changed as one likes, the manifest made to fit them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from safetensors.numpy import load, save

from llmkit.store import manifests


def forge(folder: Path, written: dict[str, bytes] | None = None, **changes: Any) -> Path:
    """Write files into a finished folder and its manifest anew, with all hashes right; `changes` are of its keys."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["manifest_sha256"]
    for name, data in (written or {}).items():
        (folder / name).write_bytes(data)
        about = manifest["files"].get(name, {})
        manifest["files"][name] = about | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest |= changes
    manifest["manifest_sha256"] = manifests.checksum(manifest)
    (folder / "manifest.json").write_bytes(manifests.json_bytes(manifest))
    return folder


def with_graph(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """The folder with a graph that `change` has been at."""
    model = onnx.load_model_from_string((folder / "graph.onnx").read_bytes())
    change(model)
    return forge(folder, {"graph.onnx": model.SerializeToString()})


def with_arrays(folder: Path, change: Callable[[dict[str, np.ndarray]], None], name: str = "model.safetensors") -> Path:
    """The folder with weights, or other arrays, that `change` has been at."""
    arrays = load((folder / name).read_bytes())
    change(arrays)
    return forge(folder, {name: save({key: np.ascontiguousarray(array) for key, array in arrays.items()})})
