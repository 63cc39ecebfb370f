"""A model folder: what a file is for decides sizes and copies, in manifests of the first format too; the graph."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from artifact_folders import edit
from hostile_folders import forge
from onnx import TensorProto, helper

from llmkit.config.places import data_without_places
from llmkit.config.root import Root
from llmkit.errors import ConfigError, InputError
from llmkit.store import artifacts, model_folder
from llmkit.store.model_folder import ModelFile, ModelFolder, Role

WEIGHTS = {"w": np.array([[1.0, 2.0]], np.float32), "b": np.array([3], np.int8)}
OWN = {
    "labels.json": ModelFile(b"[1]"),
    "features.onnx": ModelFile(b"scores", Role.EVALUATE),
    "trials.jsonl": ModelFile(b"how it was made", Role.RECORD),
}
SETTINGS = Root(task="toy", seed=7)


def graph() -> onnx.ModelProto:
    """x + constant, which is no weight."""
    value = helper.make_tensor_value_info
    constant = helper.make_tensor("constant", TensorProto.FLOAT, [1], [5.0])
    add = helper.make_node("Add", ["x", "constant"], ["y"])
    sides = [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])]
    return helper.make_model(helper.make_graph([add], "toy", *sides, [constant]))


def check(data: Any, path: Path) -> Root:
    return Root(**{key: data[key] for key in ("task", "seed")})


@pytest.fixture
def place(run: Path) -> Path:
    """A model folder with a file of each role."""
    with artifacts.building(run / "model") as folder:
        roles = model_folder.write(folder.path, graph(), WEIGHTS, SETTINGS, OWN)
        folder.finish(stage="train", settings={}, result={"trainable": True, "val_loss": 1.5}, roles=roles)
    return run / "model"


@pytest.fixture
def folder(place: Path) -> ModelFolder:
    return model_folder.read(place, check)


def listed(place: Path) -> dict[str, Any]:
    """The files of the manifest, by name."""
    return json.loads((place / "manifest.json").read_text())["files"]


RUN = ("graph.onnx", "model.safetensors", "config.yaml", "labels.json")


@pytest.mark.parametrize("first_format", [False, True])
def test_sizes_and_copies_follow_from_roles_and_in_the_first_format_from_names(place: Path, first_format: bool) -> None:
    if first_format:
        edit(place, files={n: {"bytes": of["bytes"], "sha256": of["sha256"]} for n, of in listed(place).items()})
    folder = model_folder.read(place, check)
    assert folder.roles == dict.fromkeys(RUN, "run") | {"features.onnx": "evaluate", "trials.jsonl": "record"}
    assert folder.size_bytes == sum((place / name).stat().st_size for name in RUN)
    assert folder.own_files == {name: OWN[name] for name in ("labels.json", "features.onnx")}


def test_a_role_of_the_manifest_goes_before_the_name(place: Path) -> None:
    files = listed(place)
    files["features.onnx"]["role"], files["labels.json"]["role"] = "run", "record"
    edit(place, files=files)
    folder = model_folder.read(place, check)
    assert folder.size_bytes == sum(folder.bytes_of(name) for name in (*RUN[:3], "features.onnx"))
    assert list(folder.own_files) == ["features.onnx"]


@pytest.mark.parametrize("role", ["ornament", "Run", None, 1, ["run"]])
def test_an_unknown_role_is_damage(place: Path, role: object) -> None:
    files = listed(place)
    files["labels.json"]["role"] = role
    edit(place, files=files)
    with pytest.raises(InputError, match=r"manifest.json is damaged: labels.json has no known role; copy it anew$"):
        model_folder.read(place, check)


def test_what_is_known_of_a_model(folder: ModelFolder, place: Path) -> None:
    assert (folder.task, folder.name, folder.trainable, folder.result["val_loss"]) == ("toy", "model", True, 1.5)
    assert folder.settings == SETTINGS
    assert (place / "config.yaml").read_text().startswith("task: toy\n")
    edit(place, result={})
    assert not model_folder.read(place, check).trainable


def test_graph_and_weights_come_back_as_they_were(folder: ModelFolder) -> None:
    found, weights = model_folder.read_graph(folder)
    assert found == graph()
    assert {name: (array.dtype, array.tolist()) for name, array in weights.items()} == {
        "w": (np.float32, [[1.0, 2.0]]),
        "b": (np.int8, [3]),
    }


def test_the_graph_on_disk_declares_the_weights_without_their_numbers(folder: ModelFolder) -> None:
    data = folder.read_bytes("graph.onnx")
    constant, *declared = onnx.load_model_from_string(data).graph.initializer
    assert constant.name == "constant"
    assert [(one.name, one.data_type, list(one.dims)) for one in declared] == [
        ("b", TensorProto.INT8, [1]),
        ("w", TensorProto.FLOAT, [1, 2]),
    ]
    for one in declared:
        assert not one.raw_data and not one.float_data
        assert [(place.key, place.value) for place in one.external_data] == [("location", "model.safetensors")]
    assert data == model_folder.declare_weights(graph(), dict(reversed(WEIGHTS.items())))  # whatever their order


def test_settings_that_this_version_does_not_know_are_named_with_the_folder(place: Path) -> None:
    def refuse(data: Any, path: Path) -> Root:
        assert data == data_without_places(SETTINGS) and path == place / "config.yaml"
        raise ConfigError("c.yaml: sede: unknown key")

    with pytest.raises(InputError, match=rf"^{place} does not fit llmkit {artifacts.LLMKIT_VERSION}: c.yaml: sede"):
        model_folder.read(place, refuse)


def test_a_run_directory_in_place_of_its_model(place: Path) -> None:
    with pytest.raises(InputError, match=rf"^{place.parent} is no model folder; did you mean {place}\?$"):
        model_folder.read(place.parent, check)
    with pytest.raises(InputError, match="has no manifest.json; run: llmkit train x.yaml$"):
        model_folder.read(place.parent, check, made_by="llmkit train x.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "config.yaml: nested more than 50 levels deep"),
        ("a: " * 100, "config.yaml:1: not valid YAML"),
        ("", "config.yaml:1: not a mapping"),
        ("- 1", "config.yaml:1: not a mapping"),
        ("!!python/object/apply:os.system ['true']", "config.yaml:1: the tag !!python/object/apply:os.system"),
        ("a: &a [1]\nb: [*a, *a]\nc: *d\n", "config.yaml:3: not valid YAML"),
        ("task: toy\ntask: toy\n", "config.yaml:2: duplicate key 'task'"),
        ("#" * (1 << 20) + "#", "is damaged: 1,048,577 characters"),
    ],
)
def test_a_config_that_is_none(place: Path, text: str, says: str) -> None:
    forge(place, {"config.yaml": text.encode()})
    with pytest.raises(InputError, match=says):
        model_folder.read(place, check)


def test_what_names_a_place_is_not_taken_from_a_config(place: Path) -> None:
    def told(data: Any, path: Path) -> Root:
        return Root(task="toy", run_dir="/home", seed=7)

    assert model_folder.read(place, told).settings == SETTINGS
