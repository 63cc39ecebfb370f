"""A model folder from a stranger, wherever one may be named: exit code 3, one sentence, nothing read or written."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from hostile_folders import forge, with_graph

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
