"""A model folder from a stranger, wherever one may be named: exit code 3, one sentence, nothing read or written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from hostile_folders import forge, with_arrays, with_graph

import llmkit as package
from llmkit.errors import InputError
from llmkit.store import artifacts


@pytest.fixture
def everywhere(llmkit: Any, tiny_copy: Any, tmp_path: Path) -> Callable[..., None]:
    """Asserts that a folder is refused with words of `says` by all that read one and have to look at its graph."""
    scored = tmp_path / "scored.txt"
    scored.write_text("the quick brown fox\n")

    def refused(folder: Path, says: str) -> None:
        with pytest.raises(InputError, match=says):
            package.load(folder)
        students = {
            "teacher": f"{{method: distil, teacher: {folder}, steps: 1}}",
            "members": f"{{method: fuse, how: distil, members: [{tiny_copy.model}, {folder}], steps: 1}}",
            "soup": f"{{method: fuse, members: [{tiny_copy.model}, {folder}]}}",
        }
        commands: list[tuple[object, ...]] = [
            ("generate", folder, "--prompt", "the"),
            ("evaluate", folder, "--on", scored),
        ]
        commands += [("compress", tiny_copy.config, name, f"compress.{name}={how}") for name, how in students.items()]
        for command in commands:
            ran = llmkit(*command)
            assert (ran.code, ran.out) == (3, ""), (command, ran)
            assert says in ran.error and "\n" not in ran.error
            assert "internal error" not in ran.error

    return refused


def stranger(run: Any, tmp_path: Path) -> Path:
    """A copy of the run's model that passes for one made from it, on the same data."""
    original = artifacts.read(run.model)
    parents = original.manifest["parents"] | {"original": original.hash}
    return forge(Path(shutil.copytree(run.model, tmp_path / "stranger")), parents=parents)


def test_a_graph_that_names_a_file_of_its_own(everywhere: Callable[..., None], tiny_copy: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"0123")

    def add(model: onnx.ModelProto) -> None:
        tensor = onnx.TensorProto(
            name="secret", data_type=onnx.TensorProto.UINT8, dims=[4], data_location=onnx.TensorProto.EXTERNAL
        )
        tensor.external_data.add(key="location", value=str(secret))
        model.graph.initializer.append(tensor)

    everywhere(with_graph(stranger(tiny_copy, tmp_path), add), "it names a file of its own for 'secret'")


def test_a_loop_without_end(everywhere: Callable[..., None], tiny_copy: Any, tmp_path: Path) -> None:
    def add(model: onnx.ModelProto) -> None:
        model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], ["endless"]))

    everywhere(with_graph(stranger(tiny_copy, tmp_path), add), "the operator 'Loop', which llmkit never writes there")


def with_config(folder: Path, **changes: Any) -> Path:
    """The folder with a config in which sections have other keys, or are other values."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    for section, keys in changes.items():
        config[section] = config.get(section, {}) | keys if isinstance(keys, dict) else keys
    return forge(folder, {"config.yaml": yaml.safe_dump(config).encode()})


def test_a_folder_does_not_say_what_is_read(llmkit: Any, tiny_copy: Any, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the lazy dog\n")
    keys = {"prompt_file": str(secret), "prompt": "-", "max_tokens": 4}
    folder = with_config(stranger(tiny_copy, tmp_path), generate=keys, run_dir=str(tiny_copy.run_dir))
    ran = llmkit("generate", folder, "--json")
    assert ran.code == 0
    [text] = ran.json["texts"]
    assert (text["prompt"], text["tokens"]) == ("", 4)  # what is no place counts as before
    ran = llmkit("evaluate", folder)  # RUN_DIR is where the folder lies, not where its config says
    assert ran.code == 3
    assert ran.error == f"{tmp_path}/prepared is missing; name the config, or score other data with --on FILE"


def test_a_folder_in_a_run_directory_is_scored_on_its_data_alone(
    llmkit: Any, tiny_copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = llmkit("evaluate", tiny_copy.model, "--json").json["loss"]
    with_config(tiny_copy.model, prepare={"files": "/usr/**"})

    def walked(settings: Any) -> None:
        raise AssertionError("raw files were looked for")

    monkeypatch.setattr("llmkit.tasks.language.prepare.inputs", walked)
    for place in (tiny_copy.model, tiny_copy.int8):
        assert llmkit("evaluate", place, "--json").json["loss"] == pytest.approx(before, rel=0.02)


def test_model_folders_hold_no_place(tiny_run: Any) -> None:
    for folder in (tiny_run.model, tiny_run.int8):
        data = b"".join(path.read_bytes() for path in folder.iterdir() if path.name in ("config.yaml", "graph.onnx"))
        assert str(tiny_run.run_dir).encode() not in data
        assert b"run_dir" not in data and b"files" not in data


def test_a_vocabulary_whose_ids_go_beyond_it(everywhere: Callable[..., None], tiny_copy: Any, tmp_path: Path) -> None:
    folder = stranger(tiny_copy, tmp_path)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["q"] = 10**6
    forge(folder, {"tokenizer.json": json.dumps(tokenizer).encode()})
    with pytest.raises(InputError, match="the ids of its tokens do not go from 0 on, each once"):
        package.load(folder)


def test_a_graph_for_another_vocabulary(llmkit: Any, tiny_copy: Any, tmp_path: Path) -> None:
    def cut(arrays: dict[str, np.ndarray]) -> None:
        arrays["output"], arrays["output_bias"] = arrays["output"][:, :-1], arrays["output_bias"][:-1]

    def declare(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.name in ("output", "output_bias"):
                tensor.dims[-1] -= 1
        model.graph.output[0].type.tensor_type.shape.ClearField("dim")

    folder = with_graph(with_arrays(stranger(tiny_copy, tmp_path), cut), declare)
    ran = llmkit("generate", folder, "--prompt", "the")
    assert (ran.code, ran.out) == (3, "") and "logits for another vocabulary" in ran.error


@pytest.mark.parametrize("keys", [{"max_tokens": 10**12}, {"samples": 10**6}])
def test_a_folder_does_not_ask_for_endless_texts(llmkit: Any, tiny_copy: Any, tmp_path: Path, keys: Any) -> None:
    ran = llmkit("generate", with_config(stranger(tiny_copy, tmp_path), generate=keys))
    assert ran.code == 3 and "does not fit llmkit" in ran.error


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"encoding": "rot13"}, "'rot13' is no text encoding"),
        ({"encoding": "xyz"}, "no encoding is called 'xyz'"),
        ({"clean": "shiny"}, "there is no step 'shiny'"),
    ],
)
def test_how_texts_are_read_is_checked(llmkit: Any, tiny_copy: Any, tmp_path: Path, keys: Any, says: str) -> None:
    ran = llmkit("generate", with_config(stranger(tiny_copy, tmp_path), prepare=keys))
    assert ran.code == 3 and says in ran.error


def test_a_folder_that_lists_nothing(everywhere: Callable[..., None], tiny_copy: Any, tmp_path: Path) -> None:
    everywhere(forge(stranger(tiny_copy, tmp_path), files={}), "has no config.yaml in its manifest")


@pytest.mark.parametrize("size", [17, 8, 65_536])
def test_a_teacher_whose_config_says_other_sizes(llmkit: Any, tiny_copy: Any, tmp_path: Path, size: int) -> None:
    folder = with_config(stranger(tiny_copy, tmp_path), model={"hidden_size": size})
    distil = f"{{method: distil, teacher: {folder}, steps: 1, model: {{hidden_size: 16, embedding_size: 8}}}}"
    fuse = f"{{method: fuse, how: distil, members: [{tiny_copy.model}, {folder}], steps: 1}}"
    for how in (distil, fuse):
        ran = llmkit("compress", tiny_copy.config, "student", f"compress.student={how}")
        assert ran.code == 3
        assert "config says" in ran.error or "config asks for" in ran.error


def test_weights_that_are_no_numbers(everywhere: Callable[..., None], tiny_copy: Any, tmp_path: Path) -> None:
    def spoil(arrays: dict[str, np.ndarray]) -> None:
        arrays["output_bias"] = arrays["output_bias"] * np.nan

    folder = with_arrays(stranger(tiny_copy, tmp_path), spoil)
    everywhere(folder, "'output_bias' holds what are no finite numbers")


def test_a_dry_run_checks_a_folder_and_runs_nothing(
    llmkit: Any, tiny_copy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmkit.stages.generate.generate", None)
    assert llmkit("generate", tiny_copy.model, "--dry-run").code == 0
    data = (tiny_copy.model / "model.safetensors").read_bytes()
    (tiny_copy.model / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    ran = llmkit("generate", tiny_copy.model, "--dry-run")
    assert ran.code == 3 and "model.safetensors is damaged" in ran.error
