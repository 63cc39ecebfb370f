"""The network of a text classifier as an ONNX graph without weights, and its weights as named arrays.

With the LSTM inputs `tokens` (T, B) int64, `counts` (B,) int32 and `mask` (T, B, 1) float32, 1 where there is a token;
with n-grams `ngrams` (B, N) int64 filled up with 0 and `values` (B, N) float32; output `logits` (B, C).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.tasks.classify.network import TextNetwork

OPSET, IR_VERSION = 21, 10
TORCH_GATES, ONNX_GATES = "ifgo", "iofg"  # ONNX calls g "c"


Node = Callable[..., str]


def export(network: TextNetwork) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name; no LSTM where it counts nothing."""
    nodes: list[NodeProto] = []

    def node(kind: str, given: list[str], name: str, outputs: list[str] | None = None, **attributes: Any) -> str:
        found = outputs or [f"{name}.out"]
        nodes.append(helper.make_node(kind, given, found, name=name, **attributes))
        return found[0]

    logits, inputs = [], []
    if network.with_linear:
        logits.append(node("Mul", [_linear(node), "linear_share"], "linear_part"))
        inputs.append(helper.make_tensor_value_info("ngrams", TensorProto.INT64, ["B", "N"]))
        inputs.append(helper.make_tensor_value_info("values", TensorProto.FLOAT, ["B", "N"]))
    if network.with_lstm:
        said = _lstm(node, network)
        logits.append(node("Mul", [said, "lstm_share"], "lstm_part") if network.with_linear else said)
        inputs.append(helper.make_tensor_value_info("tokens", TensorProto.INT64, ["T", "B"]))
        inputs.append(helper.make_tensor_value_info("counts", TensorProto.INT32, ["B"]))
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["T", "B", 1]))
    mixed = node("Add", logits, "mix") if len(logits) == 2 else logits[0]
    nodes.append(helper.make_node("Identity", [mixed], ["logits"], name="logits"))
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", network.classes])
    graph = helper.make_graph(nodes, "text_classifier", inputs, [output], _constants(network, nodes))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, to_arrays(network)


def _linear(node: Node) -> str:
    """The logits (B, C) of the linear part: the rows of its features, weighed and summed."""
    looked_up = node("Gather", ["ngram_table", "ngrams"], "ngrams")  # (B, N, C)
    value = node("Unsqueeze", ["values", "second"], "ngram_values")  # (B, 1, N)
    summed = node("MatMul", [value, looked_up], "ngram_products")  # (B, 1, C)
    return node("Add", [node("Squeeze", [summed, "second"], "ngram_sum"), "ngram_bias"], "ngram_add_bias")


def _lstm(node: Node, network: TextNetwork) -> str:
    """The logits (B, C) of the LSTM."""
    x = node("Gather", ["embedding", "tokens"], "embed")  # (T, B) -> (T, B, E)
    names = ["lstm.all", "lstm.last"]  # (T, directions, B, H), (directions, B, H)
    direction = "bidirectional" if network.directions == 2 else "forward"
    given = [x, "lstm.W", "lstm.R", "lstm.B", "counts"]
    node("LSTM", given, "lstm", names, hidden_size=network.hidden_size, direction=direction)
    y = node("Transpose", ["lstm.all"], "by_text", perm=[0, 2, 1, 3])
    y = node("Reshape", [y, "joined"], "join")  # (T, B, directions · H)
    total = node("ReduceSum", [node("Mul", [y, "mask"], "masked"), "first"], "total", keepdims=0)
    lengths = node("Unsqueeze", [node("Cast", ["counts"], "float_counts", to=TensorProto.FLOAT), "second"], "lengths")
    mean = node("Div", [total, lengths], "mean")
    hole = node("Mul", [node("Sub", ["mask", "one"], "outside"), "large"], "hole")  # 0 inside, -10000 outside
    largest = node("ReduceMax", [node("Add", [y, hole], "shown"), "first"], "largest", keepdims=0)
    last = node("Transpose", ["lstm.last"], "last_by_text", perm=[1, 0, 2])
    last = node("Reshape", [last, "joined_last"], "join_last")
    pooled = node("Concat", [mean, largest, last], "pool", axis=1)
    return node("Add", [node("MatMul", [pooled, "output"], "output"), "output_bias"], "add_bias")


def _constants(network: TextNetwork, nodes: list[NodeProto]) -> list[TensorProto]:
    """The constants that the nodes name."""
    width = network.directions * network.hidden_size
    constants = [
        helper.make_tensor("joined", TensorProto.INT64, [3], [0, 0, width]),
        helper.make_tensor("joined_last", TensorProto.INT64, [2], [0, width]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("second", TensorProto.INT64, [1], [1]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("large", TensorProto.FLOAT, [], [1e4]),
    ]
    used = {name for one in nodes for name in one.input}
    return [constant for constant in constants if constant.name in used]


def to_arrays(network: TextNetwork) -> dict[str, np.ndarray]:
    """The network's weights as float32 arrays in ONNX's layout; without the LSTM's where it counts nothing."""
    arrays = _lstm_arrays(network) if network.with_lstm else {}
    if network.with_linear:
        arrays |= {"ngram_table": _array(network.ngram_table), "ngram_bias": _array(network.ngram_bias)}
        arrays["linear_share"] = _array(network.mixture[0])
    if network.with_linear and network.with_lstm:
        arrays["lstm_share"] = _array(network.mixture[1])
    return arrays


def _lstm_arrays(network: TextNetwork) -> dict[str, np.ndarray]:
    order = [TORCH_GATES.index(gate) for gate in ONNX_GATES]
    arrays = {"embedding": _array(network.embedding)}
    layers: list[Any] = list(network.lstm)
    parts = [
        (
            _reorder(_array(lstm.weight_ih_l0), order),
            _reorder(_array(lstm.weight_hh_l0), order),
            _reorder(_array(lstm.bias_ih_l0 + lstm.bias_hh_l0), order),
        )
        for lstm in layers
    ]
    arrays["lstm.W"] = np.stack([w for w, _, _ in parts])  # (directions, 4H, E)
    arrays["lstm.R"] = np.stack([r for _, r, _ in parts])  # (directions, 4H, H)
    arrays["lstm.B"] = np.stack([np.concatenate([b, np.zeros_like(b)]) for _, _, b in parts])  # (directions, 8H)
    arrays["output"] = np.ascontiguousarray(_array(network.output.weight).T)
    arrays["output_bias"] = _array(network.output.bias)
    return arrays


def from_arrays(network: TextNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put embedding, LSTM and output of `to_arrays` into a network of the same sizes. Raises KeyError, RuntimeError.

    The linear part stays: it has been fitted to the network's own data.
    """
    load_lstm(network, arrays["embedding"], arrays["lstm.W"], arrays["lstm.R"], arrays["lstm.B"])
    with torch.no_grad():
        network.output.weight.copy_(torch.from_numpy(arrays["output"].T.copy()))
        network.output.bias.copy_(torch.from_numpy(arrays["output_bias"].copy()))


def linear_from_arrays(network: TextNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put the linear part of `to_arrays`, and how much either part counts, into a network. Raises KeyError,
    RuntimeError."""
    with torch.no_grad():
        network.ngram_table.copy_(torch.from_numpy(np.array(arrays["ngram_table"])))
        network.ngram_bias.copy_(torch.from_numpy(np.array(arrays["ngram_bias"])))
        shares = [arrays["linear_share"], arrays.get("lstm_share", np.zeros_like(arrays["linear_share"]))]
        network.mixture.copy_(torch.from_numpy(np.stack(shares)))


def load_lstm(network: TextNetwork, embedding: np.ndarray, w: np.ndarray, r: np.ndarray, b: np.ndarray) -> None:
    """Put an embedding and the LSTM of one or both directions into the network. Raises RuntimeError for other sizes."""
    order = [ONNX_GATES.index(gate) for gate in TORCH_GATES]
    state = {"embedding": embedding}
    for k in range(min(len(w), network.directions)):
        bias = b[k][: len(b[k]) // 2] + b[k][len(b[k]) // 2 :]
        state |= {f"lstm.{k}.weight_ih_l0": _reorder(w[k], order), f"lstm.{k}.weight_hh_l0": _reorder(r[k], order)}
        state |= {f"lstm.{k}.bias_ih_l0": _reorder(bias, order), f"lstm.{k}.bias_hh_l0": np.zeros_like(bias)}
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()}, strict=False)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).numpy().copy()


def _reorder(array: np.ndarray, order: list[int]) -> np.ndarray:
    """Rows of four stacked gates in another order: (4H, …) -> (4H, …)."""
    return np.concatenate([np.split(array, 4)[gate] for gate in order])
