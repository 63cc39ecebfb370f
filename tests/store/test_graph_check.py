"""Graphs from elsewhere: each kind of what one must not do is refused, those of llmkit pass."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, strategies
from onnx import TensorProto, helper

from llmkit.errors import InputError
from llmkit.store import graph_check, memory
from llmkit.store.model_folder import declare_weights

WEIGHTS = {"w": np.ones((2, 3), np.float32)}
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
value = helper.make_tensor_value_info


def model(
    *nodes: onnx.NodeProto, constants: list[TensorProto] | None = None, inputs: tuple[str, ...] = ("x",)
) -> onnx.ModelProto:
    """x times w, and the nodes."""
    constants = list(constants or [])
    if all(constant.name != "w" for constant in constants):
        constants.append(external("w", "model.safetensors"))
    product = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph(
        [product, *nodes],
        "toy",
        [value(name, FLOAT, ["N", 2]) for name in inputs],
        [value("y", FLOAT, ["N", 3])],
        constants,
    )
    return helper.make_model(graph)


def external(name: str, location: str, shape: tuple[int, ...] = (2, 3), kind: int = FLOAT, **more: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=text)
    return tensor


def check(made: onnx.ModelProto | bytes) -> None:
    data = made if isinstance(made, bytes) else made.SerializeToString()
    graph_check.check(data, WEIGHTS, "m/graph.onnx")


def refused(made: onnx.ModelProto | bytes, problem: str) -> None:
    with pytest.raises(InputError, match=rf"^m/graph.onnx is refused: .*{problem}.*; take a model folder"):
        check(made)


def test_what_model_folders_declare_is_let_through() -> None:
    graph_check.check(declare_weights(model(), WEIGHTS), WEIGHTS, "")


@pytest.mark.parametrize(
    ("tensor", "problem"),
    [
        (external("secret", "../../etc/passwd"), "a file of its own for 'secret'"),
        (external("w", "/etc/passwd"), "a file of its own for 'w'"),
        (external("w", "model.safetensors", offset="8"), "a file of its own for 'w'"),
        (external("secret", "model.safetensors"), "a file of its own for 'secret'"),
        (external("w", "model.safetensors", (3, 2)), "'w' in another shape or type than model.safetensors"),
        (external("w", "model.safetensors", kind=INT64), "'w' in another shape or type"),
        (external("w", "model.safetensors", (1 << 40,)), "'w' in another shape or type"),
    ],
)
def test_no_file_but_the_weights_as_they_are(tensor: TensorProto, problem: str) -> None:
    refused(model(constants=[tensor]), problem)


def test_external_data_without_saying_that_it_is_external() -> None:
    tensor = external("w", "/etc/passwd")
    tensor.ClearField("data_location")
    refused(model(constants=[tensor]), "a file of its own")


def test_external_data_within_a_node() -> None:
    node = helper.make_node("Identity", ["x"], ["z"], value=external("secret", "/etc/passwd"))
    refused(model(node), "constants within its nodes")


@pytest.mark.parametrize(
    ("kind", "domain"),
    [
        ("Loop", ""),
        ("If", ""),
        ("ConstantOfShape", ""),
        ("Tile", ""),
        ("Range", ""),
        ("MatMulNBits", ""),
        ("Add", "evil"),
    ],
)
def test_operators_that_llmkit_never_writes(kind: str, domain: str) -> None:
    refused(model(helper.make_node(kind, ["x"], ["z"], domain=domain)), f"{kind}', which llmkit never writes")


def scan(*body: onnx.NodeProto, given: str = "y", constants: list[TensorProto] | None = None) -> onnx.NodeProto:
    step = helper.make_graph(
        list(body), "step", [value("a", FLOAT, [3])], [value("b", FLOAT, [3])], constants, value_info=[]
    )
    return helper.make_node("Scan", [given], ["z"], body=step, num_scan_inputs=1)


def test_a_scan_goes_once_over_its_input() -> None:
    step = helper.make_node("Identity", ["a"], ["b"])
    check(model(scan(step)))
    refused(model(scan(scan(step, given="a"), step)), "Scan', which llmkit never writes there")
    refused(model(scan(step, given="w")), "a loop over constants")
    refused(model(scan(step, constants=[external("s", "/etc/passwd")])), "constants of a kind")
    refused(model(scan(helper.make_node("Loop", ["a"], ["b"]))), "Loop', which llmkit never writes there")


def test_functions_and_two_graphs() -> None:
    made = model()
    made.functions.add(name="f")
    refused(made, "functions of its own")
    refused(model().SerializeToString() * 2, "two graphs")
    refused(b"", "no ONNX model")
    refused(b"<html>", "")


def test_constants_have_their_numbers() -> None:
    constant = helper.make_tensor("c", FLOAT, [2], [1.0, 2.0])
    check(model(constants=[constant]))
    constant.dims[0] = 1 << 40
    refused(model(constants=[constant]), "'c' has 1,099,511,627,776 numbers in 8 bytes")
    constant.dims[0] = -1
    refused(model(constants=[constant]), "'c' has ")


def padded(*added: int) -> onnx.ModelProto:
    constants = [
        helper.make_tensor("c", FLOAT, [1, 4], [0.0] * 4),
        helper.make_tensor("by", INT64, [len(added)], added),
    ]
    return model(helper.make_node("Pad", ["c", "by"], ["p"]), constants=constants)


def test_what_is_computed_of_constants_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "most_bytes", lambda: 8 * 40)
    check(padded(0, 0, 0, 36))
    refused(padded(0, 0, 0, 37), "its constants would take 328 bytes of memory")
    refused(padded(0, 0), "by what it does not say")
    refused(padded(0, 0, 0, -1), "its constants would take")
    twice = helper.make_node("Concat", ["c", "c"], ["t"], axis=0)
    refused(model(twice, constants=[helper.make_tensor("c", FLOAT, [1], [0.0])]), "computes Concat of constants alone")
    casts = [helper.make_node("Cast", ["c"], [f"c{k}"], to=FLOAT) for k in range(41)]
    refused(model(*casts, constants=[helper.make_tensor("c", FLOAT, [1], [0.0])]), "would take 328 bytes")


def test_nodes_out_of_their_order_could_hide_constants() -> None:
    nodes = [helper.make_node("Identity", ["later"], ["z"]), helper.make_node("Identity", ["c"], ["later"])]
    refused(model(*nodes, constants=[helper.make_tensor("c", FLOAT, [1], [0.0])]), "do not stand in their order")


def test_so_many_nodes() -> None:
    nodes = [helper.make_node("Relu", ["x"], [f"r{k}"]) for k in range(graph_check.MOST_NODES)]
    refused(model(*nodes), "more than 10,000 nodes")


@given(strategies.data())
def test_damaged_bytes_are_refused_or_a_graph(data: strategies.DataObject) -> None:
    sound = bytearray(declare_weights(model(), WEIGHTS))
    place = data.draw(strategies.integers(0, len(sound) - 1))
    sound[place] = data.draw(strategies.integers(0, 255))
    try:
        check(bytes(sound[: data.draw(strategies.integers(0, len(sound)))]))
    except InputError:
        return


def test_operators_are_those_that_are_written() -> None:
    """An operator that no code of llmkit names has no business in the list."""
    sources = "".join(path.read_text() for path in Path(graph_check.__file__).parents[1].rglob("*.py"))
    for kinds in graph_check.OPERATORS.values():
        for kind in kinds:
            assert sources.count(f'"{kind}"') > 1, kind
