"""The network of a text classifier as an ONNX graph without weights, and its weights as named arrays.

Inputs `tokens` (T, B) int64, `counts` (B,) int32, `mask` (T, B, 1) float32, 1 where there is a token, and with n-grams
`ngrams` (B, N) int64 filled up with 0 and `values` (B, N) float32; output `logits` (B, C).
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.tasks.classify.network import TextNetwork

OPSET, IR_VERSION = 21, 10
TORCH_GATES, ONNX_GATES = "ifgo", "iofg"  # ONNX calls g "c"


def export(network: TextNetwork) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights = to_arrays(network)
    hidden, directions = network.hidden_size, network.directions
    nodes: list[NodeProto] = []

    def node(kind: str, given: list[str], name: str, outputs: list[str] | None = None, **attributes: Any) -> str:
        found = outputs or [f"{name}.out"]
        nodes.append(helper.make_node(kind, given, found, name=name, **attributes))
        return found[0]

    x = node("Gather", ["embedding", "tokens"], "embed")  # (T, B) -> (T, B, E)
    names = ["lstm.all", "lstm.last"]  # (T, directions, B, H), (directions, B, H)
    direction = "bidirectional" if directions == 2 else "forward"
    node("LSTM", [x, "lstm.W", "lstm.R", "lstm.B", "counts"], "lstm", names, hidden_size=hidden, direction=direction)
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
    logits = node("Add", [node("MatMul", [pooled, "output"], "output"), "output_bias"], "add_bias")
    if network.ngram_share:
        looked_up = node("Gather", ["ngram_table", "ngrams"], "ngrams")  # (B, N, C)
        value = node("Unsqueeze", ["values", "third"], "ngram_values")  # (B, N, 1)
        summed = node("ReduceSum", [node("Mul", [looked_up, value], "ngram_scale"), "second"], "ngram_sum", keepdims=0)
        linear = node("Add", [summed, "ngram_bias"], "ngram_add_bias")
        parts = [node("Mul", [linear, "ngram_share"], "ngram_part"), node("Mul", [logits, "lstm_share"], "lstm_part")]
        logits = node("Add", parts, "mix")
    nodes.append(helper.make_node("Identity", [logits], ["logits"], name="logits"))
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["T", "B"]),
        helper.make_tensor_value_info("counts", TensorProto.INT32, ["B"]),
        helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["T", "B", 1]),
    ]
    if network.ngram_share:
        inputs.append(helper.make_tensor_value_info("ngrams", TensorProto.INT64, ["B", "N"]))
        inputs.append(helper.make_tensor_value_info("values", TensorProto.FLOAT, ["B", "N"]))
    share = network.ngram_share
    constants = [
        helper.make_tensor("joined", TensorProto.INT64, [3], [0, 0, directions * hidden]),
        helper.make_tensor("joined_last", TensorProto.INT64, [2], [0, directions * hidden]),
        helper.make_tensor("first", TensorProto.INT64, [1], [0]),
        helper.make_tensor("second", TensorProto.INT64, [1], [1]),
        helper.make_tensor("third", TensorProto.INT64, [1], [2]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("large", TensorProto.FLOAT, [], [1e4]),
        helper.make_tensor("ngram_share", TensorProto.FLOAT, [], [share]),
        helper.make_tensor("lstm_share", TensorProto.FLOAT, [], [1 - share]),
    ]
    used = {name for one in nodes for name in one.input}
    graph = helper.make_graph(
        nodes,
        "text_classifier",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", network.classes])],
        [constant for constant in constants if constant.name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, weights


def to_arrays(network: TextNetwork) -> dict[str, np.ndarray]:
    """The network's weights as float32 arrays in ONNX's layout."""
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
    if network.ngram_share:
        arrays |= {"ngram_table": _array(network.ngram_table), "ngram_bias": _array(network.ngram_bias)}
    return arrays


def from_arrays(network: TextNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put embedding, LSTM and output of `to_arrays` into a network of the same sizes. Raises KeyError, RuntimeError.

    The linear part stays: it has been fitted to the network's own data.
    """
    load_lstm(network, arrays["embedding"], arrays["lstm.W"], arrays["lstm.R"], arrays["lstm.B"])
    with torch.no_grad():
        network.output.weight.copy_(torch.from_numpy(arrays["output"].T.copy()))
        network.output.bias.copy_(torch.from_numpy(arrays["output_bias"].copy()))


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
