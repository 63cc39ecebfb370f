"""Every file of a model folder, damaged in every way that its kind allows, with the hashes of the manifest made to fit.

`damages(folder)` names them; what a damaged folder gives must be an answer or an InputError, never another exception.
"""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from hostile_folders import forge
from safetensors.numpy import load, save

from llmkit.errors import InputError

Damage = tuple[str, str, bytes]
"""(file, what was done to it, what it holds now)."""

RECORDS = ("metrics.jsonl", "card.md", "samples.png", "manifest.json")  # read by people alone
VALUES: dict[str, Any] = {
    "null": None,
    "text": "x",
    "below zero": -1,
    "a fraction": 0.5,
    "large": 10**12,
    "a list": [],
    "a list of lists": [[["x"]]],
    "an object": {},
}


def damages(folder: Path) -> list[Damage]:
    """All of them."""
    found: list[Damage] = []
    for path in sorted(folder.iterdir()):
        if path.name not in RECORDS:
            data = path.read_bytes()
            by_kind = {".json": of_json, ".yaml": of_yaml, ".safetensors": of_arrays, ".npy": of_npy, ".onnx": of_graph}
            parts = [*of_bytes(data), *by_kind[path.suffix](data)]
            found += [(path.name, what, damaged) for what, damaged in parts if damaged != data]
    return found


def try_each(folder: Path, work: Path, use: Callable[[Path], object], every: int) -> int:
    """Use copies of a folder, each damaged in one way; every n-th of all ways. How many were refused with InputError.

    Whatever else is raised is raised here, with what was damaged.
    """
    refused = 0
    for number, (name, what, data) in enumerate(damages(folder)[::every]):
        place = Path(shutil.copytree(folder, work / f"{number}"))
        forge(place, {name: data})
        try:
            use(place)
        except InputError:
            refused += 1
        except Exception as error:
            raise AssertionError(f"{name}, {what}: {type(error).__name__}: {error}") from error
        shutil.rmtree(place)
    return refused


def of_bytes(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What may happen to any file."""
    yield "empty", b""
    yield "one byte", data[:1]
    yield "half of it", data[: len(data) // 2]
    yield "all but the last byte", data[:-1]
    yield "more than it", data + b"\0x"
    yield "not UTF-8", b"\xff\xfe\0x" + data
    yield "zeros", bytes(len(data))
    generator = np.random.default_rng(0)
    for place in generator.integers(len(data), size=12).tolist():
        yield (
            f"bit of byte {place}",
            data[:place] + bytes([data[place] ^ 1 << int(generator.integers(8))]) + data[place + 1 :],
        )


def of_json(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each value of a JSON file as another one, or not there."""
    for what, changed in _changed(json.loads(data)):
        yield what, json.dumps(changed).encode()
    yield "NaN", b"NaN"
    yield "deep", b"[" * 100_000
    yield "a list of numbers", b"[1, 2]"


def of_yaml(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The same of a config, and YAML that is none."""
    for what, changed in _changed(yaml.safe_load(data), depth=2):
        yield what, yaml.safe_dump(changed).encode()
    yield "a tag", b"!!python/object/apply:os.system ['true']"
    yield "deep", b"[" * 100_000
    yield "an alias of itself", b"prepare: &a [*a]"
    yield "control characters", b"task: \x1b[31m"


def _changed(data: Any, depth: int = 4, where: str = "") -> Iterator[tuple[str, Any]]:
    """(what was done, the whole) for each value within: taken out, or made another. Of a list its first and last."""
    for name, value in VALUES.items():
        if value != data:
            yield f"{where or 'all'} is {name}", value
    if depth == 0 or not isinstance(data, dict | list) or not data:
        return
    keys: list[Any] = list(data) if isinstance(data, dict) else [0, len(data) - 1]
    for key in keys[:12]:
        rest = {k: v for k, v in data.items() if k != key} if isinstance(data, dict) else data[:key] + data[key + 1 :]
        yield f"{where}.{str(key)[:20]} is gone", rest
        for what, value in _changed(data[key], depth - 1, f"{where}.{str(key)[:20]}"):
            if isinstance(data, dict):
                yield what, data | {key: value}
            else:
                yield what, [*data[:key], value, *data[key + 1 :]]


def of_arrays(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each array of a safetensors file changed, renamed or not there."""
    arrays = load(data)
    for name, array in arrays.items():
        others = {key: value for key, value in arrays.items() if key != name}
        yield f"{name} is gone", save(others)
        yield f"{name} has another name", save(others | {"x": array})
        for what, changed in _arrays(array):
            yield f"{name}: {what}", save(others | {name: np.ascontiguousarray(changed)})
    yield "no arrays", save({})
    yield "a mask of nothing", save(arrays | {"x.sparse.mask": np.ones(3, np.uint8)})


def of_npy(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The array of a .npy file changed."""
    array = np.load(io.BytesIO(data))
    for what, changed in _arrays(array):
        yield what, _npy(changed)
    yield "objects", _npy(np.array([{}], object))
    yield "a longer shape", data.replace(b"(%d,)" % len(array), b"(%d,)" % (len(array) + 10**9))


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _arrays(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "flat", array.reshape(-1)[:, None]
    yield "shorter", array[:-1] if array.ndim else array.reshape(1)
    yield "longer", np.concatenate([array, array]) if array.ndim else np.stack([array, array])
    yield "empty", np.zeros(0, array.dtype)
    yield "float64", array.astype(np.float64)
    yield "int8", array.astype(np.int8)
    yield "int64", array.astype(np.int64)
    yield (
        "largest",
        np.full_like(array, np.finfo(array.dtype).max if array.dtype.kind == "f" else np.iinfo(array.dtype).max),
    )
    yield "zeros", np.zeros_like(array)
    if array.dtype.kind == "f":
        yield "NaN", np.full_like(array, np.nan)
        yield "infinity", np.full_like(array, -np.inf)


def of_graph(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Each node of a graph gone, renamed or of another kind; each input and output of the graph another."""

    def changed(change: Callable[[onnx.ModelProto], object]) -> bytes:
        model = onnx.load_model_from_string(data)
        change(model)
        return model.SerializeToString()

    def at(side: str, k: int, change: Callable[[Any], object]) -> bytes:
        return changed(lambda model: change(getattr(model.graph, side)[k]))

    sound = onnx.load_model_from_string(data).graph
    for k, node in enumerate(sound.node):
        yield f"node {node.name} is gone", changed(lambda model, k=k: model.graph.node.pop(k))
        yield f"node {node.name} is another", at("node", k, lambda node: setattr(node, "op_type", "Identity"))
        yield f"node {node.name} reads x", at("node", k, lambda node: node.input.__setitem__(0, "x"))
        yield f"node {node.name} has no attributes", at("node", k, lambda node: node.ClearField("attribute"))
    for k, constant in enumerate(sound.initializer):
        yield f"constant {constant.name} is gone", changed(lambda model, k=k: model.graph.initializer.pop(k))
        yield f"constant {constant.name} is larger", at("initializer", k, lambda constant: constant.dims.append(2))
    for side in ("input", "output"):
        for k, value in enumerate(getattr(sound, side)):
            name = f"{side} {value.name}"
            yield f"{name} is gone", changed(lambda model, k=k, side=side: getattr(model.graph, side).pop(k))
            yield f"{name} has another name", at(side, k, lambda value: setattr(value, "name", "x"))
            yield f"{name} has no shape", at(side, k, lambda value: value.type.tensor_type.ClearField("shape"))
            sizes = at(side, k, lambda value: setattr(value.type.tensor_type.shape.dim[-1], "dim_value", 3))
            yield f"{name} has other sizes", sizes
    yield "another operator set", changed(lambda model: setattr(model.opset_import[0], "version", 999))
    yield "no operator set", changed(lambda model: model.ClearField("opset_import"))
