"""A session of a graph from elsewhere: what it may not do, how much memory a run may take, who says so."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import llmkit
from llmkit.errors import InputError
from llmkit.runtime.session import Session, Stepper

FLOAT = TensorProto.FLOAT
value = helper.make_tensor_value_info


def serialized(*nodes: onnx.NodeProto, inputs: tuple[str, ...] = ("x",), name: str = "toy") -> bytes:
    graph = helper.make_graph(
        list(nodes), name, [value(one, FLOAT, ["N"]) for one in inputs], [value("y", FLOAT, ["N"])]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()


ADD = helper.make_node("Add", ["x", "z"], ["y"], name="add \x1b[31m")


def test_a_graph_is_checked_before_onnx_runtime_sees_it() -> None:
    loop = helper.make_node("Tile", ["x", "x"], ["y"])
    with pytest.raises(InputError, match=r"^m/graph.onnx is refused: it has the operator 'Tile'"):
        Session(serialized(loop), {}, where="m/graph.onnx")


def test_the_other_format_of_onnx_runtime_is_not_read() -> None:
    """Bytes that are a model of ONNX and say at their fifth byte that they are one of ONNX Runtime's own format."""
    data = b"\x12\x10\0\0ORTM" + b"\0" * 10 + serialized(helper.make_node("Identity", ["x"], ["y"]))
    assert Session(data, {}).run(None, {"x": np.ones(1, np.float32)})[0] == [1.0]


def test_what_does_not_load_or_run_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"^the graph does not load: .*; make the model again$"):
        Session(serialized(helper.make_node("Concat", ["x"], ["y"])), {})
    session = Session(serialized(ADD, inputs=("x", "z")), {}, where="m/graph.onnx")
    two, three = np.ones(2, np.float32), np.ones(3, np.float32)
    assert session.run(None, {"x": two, "z": two})[0].tolist() == [2.0, 2.0]
    with pytest.raises(InputError, match=r"^m/graph.onnx does not run: .*; make the model again$"):
        session.run(None, {"x": two, "z": three})
    assert capfd.readouterr() == ("", "")  # ONNX Runtime logs in colours, and the names of nodes as they are


def test_a_step_that_does_not_run() -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["tokens"], ["logits"]), helper.make_node("Identity", ["h0"], ["next_h0"])],
        "toy",
        [value("tokens", TensorProto.INT64, ["T", "B"]), value("h0", FLOAT, [1, "B", 2])],
        [value("logits", TensorProto.INT64, ["T", "B"]), value("next_h0", FLOAT, [1, "B", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    stepper = Stepper(Session(model.SerializeToString(), {}), {"h0": np.zeros((1, 1, 2), np.float32)}, 9)
    with pytest.raises(InputError, match="the graph does not run: "):
        stepper.step([3])


def test_a_run_takes_no_more_memory_than_is_allowed(tmp_path: Path) -> None:
    """In a process of its own, whose sessions may take 64 MiB together: 16 doublings of 1,024 numbers are 256 MiB."""
    nodes = [helper.make_node("Concat", [f"x{k}", f"x{k}"], [f"x{k + 1}"], axis=0) for k in range(16)]
    nodes = [helper.make_node("Identity", ["x"], ["x0"]), *nodes, helper.make_node("Identity", ["x16"], ["y"])]
    (tmp_path / "graph").write_bytes(serialized(*nodes))
    code = """\
import numpy, sys
from llmkit.store import memory
memory.most_bytes = lambda: 64 << 20
from llmkit.runtime.session import Session
session = Session(open(sys.argv[1], "rb").read(), {}, 1)
print(len(session.run(None, {"x": numpy.ones(4, numpy.float32)})[0]))
session.run(None, {"x": numpy.ones(1024, numpy.float32)})
"""
    command = [sys.executable, "-c", code, str(tmp_path / "graph")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.stdout == "262144\n"
    assert "InputError: the graph does not run: " in ran.stderr and "smaller than requested" in ran.stderr


def test_onnx_runtime_tells_nobody_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Of a version that tells its makers of its use the folders where it writes that down stay empty."""
    (tmp_path / "home").mkdir()
    code = "from llmkit.runtime.session import open_session"
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR"):
        environment[name] = str(tmp_path / "home")
    source = Path(llmkit.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=source, check=True)
    assert list((tmp_path / "home").rglob("*")) == []
