"""An `EnsembleNetwork` as an ONNX graph without weights, and its weights as named arrays.

Inputs `numbers` (B, F) float32 and `categories` (B, M) int64, each only where there are such columns; output `logits`
(B, C). Matrix products and look-ups have constant weights, so compression finds them.
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.predicting.ensemble_network import EnsembleNetwork

OPSET, IR_VERSION = 21, 10


def export(network: EnsembleNetwork) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights = {name: _array(tensor) for name, tensor in network.state_dict().items()}
    nodes: list[NodeProto] = []
    inputs, totals, parts = [], ["bias"], []

    def node(kind: str, given: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, given, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    if network.width:
        inputs.append(helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["B", network.width]))
        totals.append(node("MatMul", ["numbers", "linear"], "linear_numbers"))
        parts.append("numbers")
    if network.columns:
        inputs.append(helper.make_tensor_value_info("categories", TensorProto.INT64, ["B", network.columns]))
        looked_up = node("Gather", ["linear_table", "categories"], "linear_look_up")  # (B, M, C)
        totals.append(node("ReduceSum", [looked_up, "axis"], "linear_categories", keepdims=0))
        if network.layers:
            embedded = node("Gather", ["embedding", "categories"], "embed")  # (B, M, E)
            parts.append(node("Flatten", [embedded], "flatten"))
    total = totals[0]
    for number, part in enumerate(totals[1:]):
        total = node("Add", [total, part], f"total{number}")  # (B, C)
    constants = [helper.make_tensor("axis", TensorProto.INT64, [1], [1])]
    if network.layers:
        x = node("Concat", parts, "inputs", axis=1) if len(parts) > 1 else parts[0]
        x = node("Unsqueeze", [x, "axis"], "members")  # (B, 1, F + M·E)
        last = len(network.matrices) - 1
        for k in range(len(network.matrices)):
            x = node("Mul", [x, f"scales_in.{k}"], f"scale_in{k}")  # (B, K, …)
            x = node("MatMul", [x, f"matrices.{k}"], f"layer{k}")
            x = node("Mul", [x, f"scales_out.{k}"], f"scale_out{k}")
            x = node("Add", [x, f"biases.{k}"], f"add_bias{k}")
            if k < last:
                x = node("Relu", [x], f"relu{k}")
        mean = node("ReduceMean", [x, "axis"], "mean", keepdims=0)  # (B, K, C) -> (B, C)
        total = node("Add", [total, mean], "sum")
    nodes.append(helper.make_node("Identity", [total], ["logits"], name="logits"))
    graph = helper.make_graph(
        nodes,
        "table",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", network.output_count])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, weights


def from_arrays(network: EnsembleNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `export` gave into a network of the same sizes. Raises RuntimeError."""
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().to("cpu", torch.float32).numpy().copy()
