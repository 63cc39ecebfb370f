"""The generator as an ONNX graph without weights, and its weights as named arrays.

Inputs `latents` (B, Z) float32 and, of a model that knows labels, `labels` (B,) int64; output `pictures` (B, H, H, C)
uint8. Matrix product, look-up and convolutions have constant weights, so compression finds them.
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.tasks.image.network import SLOPE, TINY, Generator

OPSET, IR_VERSION = 21, 10


def export(generator: Generator) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights = {name: tensor.detach().to("cpu", torch.float32).numpy() for name, tensor in _named(generator).items()}
    weights = {name: np.ascontiguousarray(array.T if name == "project" else array) for name, array in weights.items()}
    nodes: list[NodeProto] = []

    def node(kind: str, given: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, given, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    squares = node("Mul", ["latents", "latents"], "square")
    mean = node("ReduceMean", [squares, "last_axis_of_latents"], "mean_square", keepdims=1)
    length = node("Sqrt", [node("Add", [mean, "tiny"], "above_zero")], "length")
    x = node("Div", ["latents", length], "on_sphere")  # (B, Z)
    inputs = [helper.make_tensor_value_info("latents", TensorProto.FLOAT, ["B", generator.latent_size])]
    if generator.embedding is not None:
        inputs.append(helper.make_tensor_value_info("labels", TensorProto.INT64, ["B"]))
        x = node("Concat", [x, node("Gather", ["embedding", "labels"], "embed")], "given", axis=1)
    x = node("Add", [node("MatMul", [x, "project"], "multiply"), "project_bias"], "add_bias")
    x = node("Reshape", [x, "shape"], "as_picture")  # (B, 2W, H/4, H/4)
    for name in ("first", "second"):
        x = node("LeakyRelu", [x], f"{name}_activation", alpha=SLOPE)
        x = node("Resize", [x, "", "scales"], f"{name}_repeat", **REPEATED)
        x = node("Conv", [x, name, f"{name}_bias"], f"{name}_convolution", pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    x = node("Tanh", [x], "tanh")  # (B, C, H, H)
    x = node("Mul", [node("Add", [x, "one"], "from_zero"), "half_range"], "to_bytes")
    x = node("Cast", [node("Round", [x], "round")], "cast", to=TensorProto.UINT8)
    nodes.append(helper.make_node("Transpose", [x], ["pictures"], name="colours_last", perm=[0, 2, 3, 1]))
    start = [-1, 2 * generator.width, generator.edge // 4, generator.edge // 4]
    constants = [
        helper.make_tensor("last_axis_of_latents", TensorProto.INT64, [1], [1]),
        helper.make_tensor("tiny", TensorProto.FLOAT, [], [TINY]),
        helper.make_tensor("shape", TensorProto.INT64, [4], start),
        helper.make_tensor("scales", TensorProto.FLOAT, [4], [1.0, 1.0, 2.0, 2.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("half_range", TensorProto.FLOAT, [], [127.5]),
    ]
    shape = ["B", generator.edge, generator.edge, generator.colours]
    outputs = [helper.make_tensor_value_info("pictures", TensorProto.UINT8, shape)]
    made = helper.make_graph(nodes, "image", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, weights


REPEATED = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}


def from_arrays(generator: Generator, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `export` gave into a generator of the same sizes. Raises RuntimeError for other ones."""
    found = {_name(name): torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    if "project.weight" in found:
        found["project.weight"] = found["project.weight"].T
    generator.load_state_dict(found)


def _named(generator: Generator) -> dict[str, torch.Tensor]:
    """The weights by the graph's names: `first` and `first_bias` for `first.weight` and `first.bias`."""
    state = generator.state_dict()
    return {name.replace(".weight", "").replace(".bias", "_bias"): tensor for name, tensor in state.items()}


def _name(name: str) -> str:
    if name == "embedding":
        return name
    return name.replace("_bias", ".bias") if name.endswith("_bias") else f"{name}.weight"
