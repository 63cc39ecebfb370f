"""Convolutions in integers, with sums and a Relu or none behind them, against the same in floats."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from llmkit.quantization.quantize import quantize
from llmkit.quantization.residual import Chain, is_plain
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights

GENERATOR = np.random.default_rng(0)
WEIGHTS = {
    "a": GENERATOR.normal(size=(16, 8, 3, 3)).astype(np.float32) / 5,
    "a.bias": GENERATOR.normal(size=16).astype(np.float32),
    "b": GENERATOR.normal(size=(16, 16, 3, 3)).astype(np.float32) / 12,
    "b.bias": GENERATOR.normal(size=16).astype(np.float32),
    "c": GENERATOR.normal(size=(16, 16, 1, 1)).astype(np.float32) / 4,
}
X = GENERATOR.normal(size=(6, 8, 8, 8)).astype(np.float32)


def convolve(given, out, size=3):
    return helper.make_node("Conv", given, [out], name=out, kernel_shape=[size] * 2, pads=[size // 2] * 4)


def graph(relu=True):
    """x -> a -> (b, c) -> sum -> mean: a block with a way around it, and a reader of floats amid it."""
    first = "a.relu" if relu else "a.out"
    nodes = [
        convolve(["x", "a", "a.bias"], "a.out"),
        *([helper.make_node("Relu", ["a.out"], ["a.relu"], name="r")] if relu else []),
        convolve([first, "b", "b.bias"], "b.out"),
        convolve([first, "c"], "c.out", 1),
        helper.make_node("Add", ["b.out", "c.out"], ["sum"], name="s"),
        helper.make_node("Relu", ["sum"], ["y"], name="q"),
        helper.make_node("ReduceMean", ["y", "axes"], ["mean"], name="m", keepdims=0),
        helper.make_node("ReduceMean", [first, "axes"], ["early"], name="e", keepdims=0),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 16]) for name in ("mean", "early")]
    start = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 8, 8, 8])]
    constants = [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])]
    made = helper.make_graph(nodes, "g", start, ends, constants)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(model, weights):
    return Session(declare_weights(model, weights), weights, 1).run(["mean", "early"], {"x": X})


@pytest.mark.parametrize("relu", [True, False])
def test_integers_give_nearly_what_floats_do(relu):
    model = graph(relu)
    quantized, fewer = quantize(model, WEIGHTS, {"x": X})
    kinds = [node.op_type for node in quantized.graph.node]
    assert kinds.count("QLinearConv") == 3 and kinds.count("QLinearAdd") == 1 and "Conv" not in kinds
    assert "Relu" not in kinds and kinds.count("QuantizeLinear") == 1 and kinds.count("DequantizeLinear") == 2
    assert fewer["b"].dtype == np.int8 and fewer["b.bias"].dtype == np.int32 and WEIGHTS["b"].dtype == np.float32
    for found, expected in zip(run(quantized, fewer), run(model, WEIGHTS), strict=True):
        assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


def test_without_inputs_convolutions_stay_and_grouped_ones_do_so_always():
    model = graph()
    assert is_plain(model.graph.node[0], WEIGHTS)
    model.graph.node[0].attribute.append(helper.make_attribute("group", 8))
    assert not is_plain(model.graph.node[0], WEIGHTS) and not is_plain(model.graph.node[1], WEIGHTS)
    assert not is_plain(graph().graph.node[0], {"a": WEIGHTS["a"].astype(np.int8)})
    assert not is_plain(graph().graph.node[0], {"a": WEIGHTS["a"][:, :3]})  # the colours of a picture
    assert not Chain(graph(), {}) and Chain(graph(), WEIGHTS)


def test_a_sum_of_which_one_part_is_no_integer_stays_a_sum_of_floats():
    model = graph()
    node = next(node for node in model.graph.node if node.op_type == "Add")
    node.input[1] = "x16"
    model.graph.input.append(helper.make_tensor_value_info("x16", TensorProto.FLOAT, ["B", 16, 8, 8]))
    feeds = {"x": X, "x16": np.ones((6, 16, 8, 8), np.float32)}
    quantized, fewer = quantize(model, WEIGHTS, feeds)
    assert "Add" in [node.op_type for node in quantized.graph.node]
    results = [
        Session(declare_weights(graph, weights), weights, 1).run(["mean"], feeds)[0]
        for graph, weights in ((quantized, fewer), (model, WEIGHTS))
    ]
    assert np.abs(results[0] - results[1]).max() < 0.05 * np.ptp(results[1])


def test_a_way_around_from_what_a_convolution_reads_is_summed_in_integers():
    """Also where it comes from a node in floats: it is rounded once, for both."""
    nodes = [
        helper.make_node("Relu", ["x"], ["given"], name="r"),
        convolve(["given", "b", "b.bias"], "b.out"),
        helper.make_node("Add", ["given", "b.out"], ["sum"], name="s"),
        helper.make_node("ReduceMean", ["sum", "axes"], ["mean"], name="m", keepdims=0),
    ]
    start = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 16, 8, 8])]
    ends = [helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["B", 16])]
    constants = [helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])]
    made = helper.make_graph(nodes, "g", start, ends, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = GENERATOR.normal(size=(6, 16, 8, 8)).astype(np.float32)
    weights = {name: WEIGHTS[name] for name in ("b", "b.bias")}
    quantized, fewer = quantize(model, weights, {"x": x})
    kinds = [node.op_type for node in quantized.graph.node]
    assert kinds.count("QuantizeLinear") == kinds.count("QLinearAdd") == 1 and "Add" not in kinds
    found, expected = (
        Session(declare_weights(one, arrays), arrays, 1).run(["mean"], {"x": x})[0]
        for one, arrays in ((quantized, fewer), (model, weights))
    )
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)
