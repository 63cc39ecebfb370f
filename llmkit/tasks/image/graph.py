"""The generator as an ONNX graph without weights, and its weights as named arrays.

Inputs `latents` (B, Z) float32 and, of a model that knows labels, `labels` (B,) int64; output `pictures` (B, H, H, C)
uint8. Matrix product, look-up and convolutions have constant weights, so compression finds them. The convolutions are
transposed ones of 4×4, which ONNX Runtime computes more than twice as fast as repeated pixels and 3×3.
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.tasks.image.network import SLOPE, TINY, Generator, contracted, expanded

OPSET, IR_VERSION = 21, 10
CONVOLUTIONS = ("first", "second")


def export(generator: Generator) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights = {}
    for name, tensor in generator.state_dict().items():
        name = name.replace(".weight", "").replace(".bias", "_bias")
        tensor = tensor.detach().to("cpu", torch.float32)
        tensor = expanded(tensor) if name in CONVOLUTIONS else tensor.T if name == "project" else tensor
        weights[name] = np.ascontiguousarray(tensor.numpy())
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
    for name in CONVOLUTIONS:
        x = node("LeakyRelu", [x], f"{name}_activation", alpha=SLOPE)
        given = [x, name, f"{name}_bias"]
        x = node("ConvTranspose", given, f"{name}_convolution", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
    x = node("Tanh", [x], "tanh")  # (B, C, H, H)
    x = node("Mul", [node("Add", [x, "one"], "from_zero"), "half_range"], "to_bytes")
    x = node("Cast", [node("Round", [x], "round")], "cast", to=TensorProto.UINT8)
    nodes.append(helper.make_node("Transpose", [x], ["pictures"], name="colours_last", perm=[0, 2, 3, 1]))
    start = [-1, 2 * generator.width, generator.edge // 4, generator.edge // 4]
    constants = [
        helper.make_tensor("last_axis_of_latents", TensorProto.INT64, [1], [1]),
        helper.make_tensor("tiny", TensorProto.FLOAT, [], [TINY]),
        helper.make_tensor("shape", TensorProto.INT64, [4], start),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("half_range", TensorProto.FLOAT, [], [127.5]),
    ]
    shape: list[str | int | None] = ["B", generator.edge, generator.edge, generator.colours]
    outputs = [helper.make_tensor_value_info("pictures", TensorProto.UINT8, shape)]
    made = helper.make_graph(nodes, "image", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, weights


def from_arrays(generator: Generator, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `export` gave into a generator of the same sizes. Raises RuntimeError for other ones."""
    found = {}
    for name, array in arrays.items():
        tensor = torch.from_numpy(np.array(array))
        if name in CONVOLUTIONS:
            tensor = contracted(tensor)
        elif name == "project":
            tensor = tensor.T
        if name != "embedding":
            name = name.replace("_bias", ".bias") if name.endswith("_bias") else f"{name}.weight"
        found[name] = tensor
    generator.load_state_dict(found)
