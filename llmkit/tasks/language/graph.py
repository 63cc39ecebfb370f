"""The network as an ONNX graph without weights, and its weights as named arrays: what a model folder holds.

One graph serves both uses, a token at a time and whole windows: inputs `tokens` (T, B) int64 and the state `h0`, `c0`,
`h1`, … each (1, B, H); outputs `logits` (T, B, V) and the next state `next_h0`, … State goes in and out, so a token
costs one step. Weights lie in ONNX's layout (gates i, o, f, c), so that they are stored once and loaded as they are.
"""

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper

from llmkit.tasks.language.network import LanguageModel

OPSET, IR_VERSION = 21, 10
TORCH_GATES, ONNX_GATES = "ifgo", "iofg"  # ONNX calls g "c"


def export(network: LanguageModel) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights = to_arrays(network)
    hidden, layers = network.hidden_size, range(network.layers)
    nodes = []
    x = "embedded"
    nodes.append(helper.make_node("Gather", ["embedding", "tokens"], [x], name="embed"))  # (T, B) -> (T, B, E)
    if network.embedding_scale != 1:
        nodes.append(helper.make_node("Mul", [x, "embedding_scale"], ["scaled"], name="scale"))
        weights["embedding_scale"] = np.float32(network.embedding_scale).reshape(1)
        x = "scaled"
    for k in layers:
        inputs = [x, f"lstm{k}.W", f"lstm{k}.R", f"lstm{k}.B", "", f"h{k}", f"c{k}"]
        outputs = [f"lstm{k}.out", f"next_h{k}", f"next_c{k}"]  # (T, 1, B, H), (1, B, H), (1, B, H)
        nodes.append(helper.make_node("LSTM", inputs, outputs, name=f"lstm{k}", hidden_size=hidden))
        x = f"hidden{k}"
        nodes.append(helper.make_node("Squeeze", [f"lstm{k}.out", "direction_axis"], [x], name=f"squeeze{k}"))
    if network.projection is not None:
        nodes.append(helper.make_node("MatMul", [x, "projection"], ["projected"], name="project"))
        x = "projected"
    matrix = "output"
    if network.output is None:
        matrix = "embedding_transposed"
        nodes.append(helper.make_node("Transpose", ["embedding"], [matrix], name="tie", perm=[1, 0]))
    nodes.append(helper.make_node("MatMul", [x, matrix], ["products"], name="output"))
    nodes.append(helper.make_node("Add", ["products", "output_bias"], ["logits"], name="add_bias"))
    constants = [helper.make_tensor("direction_axis", TensorProto.INT64, [1], [1])]
    model = assemble(nodes, constants, network.layers, hidden, network.vocab_size)
    return model, weights


def assemble(
    nodes: list[onnx.NodeProto], constants: list[TensorProto], layers: int, hidden_size: int, vocab_size: int
) -> onnx.ModelProto:
    """The model of nodes that read and give what this module's head names."""
    state = [f"{part}{k}" for k in range(layers) for part in "hc"]
    shape: list[str | int | None] = [1, "B", hidden_size]
    graph = helper.make_graph(
        nodes,
        "language_model",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["T", "B"])]
        + [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in state],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["T", "B", vocab_size])]
        + [helper.make_tensor_value_info(f"next_{name}", TensorProto.FLOAT, shape) for name in state],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def to_arrays(network: LanguageModel) -> dict[str, np.ndarray]:
    """The network's weights as float32 arrays in ONNX's layout."""
    arrays = {"embedding": _array(network.embedding), "output_bias": _array(network.output_bias)}
    for k in range(network.layers):
        order = [TORCH_GATES.index(gate) for gate in ONNX_GATES]
        arrays[f"lstm{k}.W"] = _reorder(_array(network.weight_ih[k]), order)[None]  # (1, 4H, inputs)
        arrays[f"lstm{k}.R"] = _reorder(_array(network.weight_hh[k]), order)[None]  # (1, 4H, H)
        bias = _reorder(_array(network.bias[k]), order)
        arrays[f"lstm{k}.B"] = np.concatenate([bias, np.zeros_like(bias)])[None]  # (1, 8H): input and recurrent bias
    if network.projection is not None:
        arrays["projection"] = np.ascontiguousarray(_array(network.projection).T)  # (H, E)
    if network.output is not None:
        arrays["output"] = np.ascontiguousarray(_array(network.output).T)  # (H, V)
    return arrays


def from_arrays(network: LanguageModel, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `to_arrays` gave into a network of the same sizes. Raises KeyError or RuntimeError."""
    order = [ONNX_GATES.index(gate) for gate in TORCH_GATES]
    state = {"embedding": arrays["embedding"], "output_bias": arrays["output_bias"]}
    for k in range(network.layers):
        state[f"weight_ih.{k}"] = _reorder(arrays[f"lstm{k}.W"][0], order)
        state[f"weight_hh.{k}"] = _reorder(arrays[f"lstm{k}.R"][0], order)
        bias = arrays[f"lstm{k}.B"][0]
        state[f"bias.{k}"] = _reorder(bias[: len(bias) // 2] + bias[len(bias) // 2 :], order)
    for name in ("projection", "output"):
        if name in arrays:
            state[name] = arrays[name].T
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in state.items()})


def _array(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().to("cpu", torch.float32).numpy().copy()


def _reorder(array: np.ndarray, order: list[int]) -> np.ndarray:
    """Rows of four stacked gates in another order: (4H, …) -> (4H, …)."""
    return np.concatenate([np.split(array, 4)[gate] for gate in order])
