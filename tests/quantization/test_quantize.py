"""Int8: rounding against its bound, the whole graph against the float one, tied weights shared."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from llmkit.errors import InputError
from llmkit.predicting import ensemble_graph
from llmkit.predicting.ensemble_network import EnsembleNetwork
from llmkit.quantization.quantize import LARGEST, SMALL, quantize, round_weights
from llmkit.runtime.session import Session
from llmkit.store.model_folder import declare_weights
from llmkit.tasks.language import graph
from llmkit.tasks.language.network import LanguageModel


def test_rounding_of_an_even_grid_is_exact():
    weight = np.array([[-63.0, 1.0, 63.0], [-0.5, 0.0, 0.5]], np.float32)
    values, scale = round_weights(weight, 0)
    assert scale.tolist() == pytest.approx([1.0, 0.5 / 63])
    assert values.tolist() == [[-63, 1, 63], [-63, 0, 63]]


def test_rounding_error_is_below_that_of_the_largest_weight_as_scale():
    weight = np.random.default_rng(0).standard_normal((16, 400)).astype(np.float32)
    weight[:, 0] = 12.0  # an outlier that a plain scale would pay for in all the others
    values, scale = round_weights(weight, 0)
    assert np.abs(values).max() <= LARGEST
    plain = np.abs(weight).max(axis=1, keepdims=True) / LARGEST
    plain_error = np.square(np.rint(weight / plain) * plain - weight).sum()
    assert np.square(values * scale[:, None] - weight).sum() <= plain_error
    assert np.square(values * scale[:, None] - weight).mean() < (plain.mean() / 2) ** 2


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (9, 4)])
def test_quantized_graph_stays_near_the_float_one(tie, layers, length, batch):
    torch.manual_seed(0)
    network = LanguageModel(50, 32, 64, layers, tie_weights=tie).eval()
    exported, weights = graph.export(network)
    small, small_weights = quantize(exported, weights)
    tokens = np.random.default_rng(0).integers(0, 50, (length, batch))
    outs = []
    for model, arrays in ((exported, weights), (small, small_weights)):
        session = Session(declare_weights(model, arrays), arrays, threads=1)
        feeds = {name: np.zeros((1, batch, 64), np.float32) for name in session.inputs if name != "tokens"}
        outs.append(session.run(None, {"tokens": tokens, **feeds})[0])
    assert np.abs(outs[0] - outs[1]).max() < 0.15 * outs[0].std()
    assert np.abs(outs[0] - outs[1]).max() > 0
    matrices = [name for name in weights if weights[name].ndim > 1 and not name.endswith(".B")]
    assert all(small_weights[name].dtype == np.int8 for name in matrices)
    assert {name for name in small_weights if name.endswith("embedding")} == {"embedding"}  # shared when tied


def test_a_matrix_beside_the_input_keeps_11_bits():
    torch.manual_seed(0)
    network = EnsembleNetwork(40, 0, 0, 30, hidden_size=48, layers=1, members=2, embedding_size=1, dropout=0.0).eval()
    exported, weights = ensemble_graph.export(network)
    weights["linear"] = np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32)
    small, small_weights = quantize(exported, weights)
    assert small_weights["linear"].dtype == np.float16 and small_weights["matrices.0"].dtype == np.int8
    silent = {name: np.zeros_like(array) for name, array in small_weights.items()} | {
        name: small_weights[name] for name in small_weights if name == "linear"
    }  # the linear part alone
    numbers = np.random.default_rng(1).standard_normal((5, 40)).astype(np.float32)
    session = Session(declare_weights(small, silent), silent, threads=1)
    np.testing.assert_allclose(session.run(None, {"numbers": numbers})[0], numbers @ weights["linear"], atol=0.03)


def test_quantizing_twice_is_refused():
    exported, weights = graph.export(LanguageModel(20, 8, 16, 1))
    small = quantize(exported, weights)
    with pytest.raises(InputError, match="compressed already"):
        quantize(*small)


@pytest.mark.parametrize(("width", "scales"), [(3, 3), (40, 200)])
def test_short_rows_of_a_look_up_share_the_scales_of_their_columns(width, scales):
    """A scale for each row of two numbers would be most of its size."""
    table = np.random.default_rng(0).standard_normal((200, width)).astype(np.float32)
    node = helper.make_node("Gather", ["table", "ids"], ["rows"], name="look_up")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["N"])
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["N", width])
    made = helper.make_graph([node], "look_up", [ids], [rows])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    small, arrays = quantize(model, {"table": table})
    assert arrays["table.scale"].shape == (scales,)
    session = Session(declare_weights(small, arrays), arrays, threads=1)
    chosen = np.array([5, 0, 199, 5])
    [found] = session.run(["rows"], {"ids": chosen})
    scale = arrays["table.scale"][:, None] if scales == 200 else arrays["table.scale"]
    np.testing.assert_allclose(found, (arrays["table"] * scale)[chosen], rtol=1e-6)
    assert np.abs(found - table[chosen]).mean() < scale.max()


@pytest.mark.parametrize("width", [3, 40])
def test_rows_that_are_weighed_and_summed_are_scaled_by_their_weights_or_their_sum(width):
    """A pass over all rows, which are many for a long text, is saved."""
    generator = np.random.default_rng(0)
    table = generator.standard_normal((200, width)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], name="look_up"),
        helper.make_node("MatMul", ["weights", "rows"], ["sums"], name="sum"),
    ]
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["B", "N"])
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["B", 1, "N"])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["B", 1, width])
    made = helper.make_graph(nodes, "sum_of_rows", [ids, weights], [sums])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    small, arrays = quantize(model, {"table": table})
    session = Session(declare_weights(small, arrays), arrays, threads=1)
    chosen, weighing = generator.integers(0, 200, (4, 7)), generator.standard_normal((4, 1, 7)).astype(np.float32)
    [found] = session.run(["sums"], {"ids": chosen, "weights": weighing})
    scale = arrays["table.scale"][:, None] if width == 40 else arrays["table.scale"]
    np.testing.assert_allclose(found, weighing @ (arrays["table"] * scale)[chosen], rtol=1e-4, atol=1e-5)
    products = [node for node in small.graph.node if node.op_type == "Mul"]
    assert len(products) == 1 and not set(products[0].input) & {"look_up.values", "rows"}


def test_a_small_matrix_stays_float_beside_a_large_one():
    exported, weights = graph.export(LanguageModel(20, 8, 64, 1))
    assert weights["embedding"].size < SMALL <= weights["lstm0.R"].size
    _, small = quantize(exported, weights)
    assert small["embedding"].dtype == np.float32 and small["lstm0.R"].dtype == np.int8
    network = EnsembleNetwork(4, 0, 0, 2, hidden_size=64, layers=1, members=16, embedding_size=4)
    exported, weights = ensemble_graph.export(network)
    assert max(weights[name].size for name in ("linear", "matrices.0", "matrices.1")) < SMALL
    _, small = quantize(exported, weights)
    assert small["matrices.0"].dtype == np.int8  # else nothing would be rounded
