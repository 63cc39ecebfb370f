"""A part of a graph against the whole, by ONNX Runtime."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from llmkit.errors import InputError
from llmkit.runtime.graph_part import part
from llmkit.runtime.session import Session


def graph() -> onnx.ModelProto:
    """one = x * two, other = y * two + three: the weight two serves both."""
    nodes = [
        helper.make_node("Mul", ["x", "two"], ["one"], name="a"),
        helper.make_node("Mul", ["y", "two"], ["doubled"], name="b"),
        helper.make_node("Add", ["doubled", "three"], ["other"], name="c"),
    ]
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y", "one", "other")}
    numbers = {"two": 2, "three": 3}
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in numbers.items()]
    made = helper.make_graph(nodes, "g", [values["x"], values["y"]], [values["one"], values["other"]], constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_each_part_has_what_it_needs_and_no_more() -> None:
    data = graph().SerializeToString()
    first, names = part(data, ["one"])
    assert names == {"one", "x", "two"}
    inner = onnx.load_from_string(first).graph
    assert [node.name for node in inner.node] == ["a"] and [tensor.name for tensor in inner.initializer] == ["two"]
    session = Session(first, {}, 1)
    assert list(session.inputs) == ["x"] and session.outputs == ["one"]
    assert session.run(None, {"x": np.array([5], np.float32)})[0] == [10]
    assert Session(part(data, ["other"])[0], {}, 1).run(None, {"y": np.array([5], np.float32)})[0] == [13]
    onnx.checker.check_model(onnx.load_from_string(part(data, ["other"])[0]))


def test_all_of_it_is_the_whole() -> None:
    made = graph()
    assert onnx.load_from_string(part(made.SerializeToString(), ["one", "other"])[0]) == made


@pytest.mark.parametrize("data", [b"", b"\xff\xff", graph().SerializeToString()[:-9]])
def test_what_is_no_graph_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"here is damaged"):
        part(data, ["one"], "here")


def test_an_output_that_is_not_there() -> None:
    with pytest.raises(InputError, match="it has no output 'two'"):
        part(graph().SerializeToString(), ["two"])
