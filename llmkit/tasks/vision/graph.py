"""The network of pictures as an ONNX graph without weights, and its weights as named arrays.

Input `pictures` (B, H, H, C) uint8; output `logits` (B, labels). Normalization is part of the convolutions' weights and
biases. Convolutions and the last matrix product have constant weights, so compression finds them.
"""

from typing import Any

import numpy as np
import onnx
import torch
from onnx import NodeProto, TensorProto, helper

from llmkit.tasks.vision.network import Convolution, VisionNetwork

OPSET, IR_VERSION = 21, 10


def export(network: VisionNetwork) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights): the ONNX model, and the arrays its initializers name."""
    weights: dict[str, np.ndarray] = {}
    nodes: list[NodeProto] = []

    def node(kind: str, given: list[str], name: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, given, [f"{name}.out"], name=name, **attributes))
        return f"{name}.out"

    def convolved(x: str, name: str, layer: Convolution) -> str:
        weights[name], weights[f"{name}.bias"] = folded(layer)
        size, stride, pad = layer.weight.shape[-1], layer.stride, layer.padding
        shape = {"kernel_shape": [size, size], "strides": [stride, stride], "pads": [pad] * 4}
        return node("Conv", [x, name, f"{name}.bias"], f"{name}.convolve", **shape)

    x = node("Cast", ["pictures"], "as_floats", to=TensorProto.FLOAT)
    x = node("Transpose", [x], "colours_first", perm=[0, 3, 1, 2])
    x = node("Div", [node("Sub", [x, "mean"], "centre"), "deviation"], "scale")  # planes: quick whatever C is
    x = node("Relu", [convolved(x, "stem", network.stem)], "stem.relu")
    for number, block in enumerate(network.residual()):
        part = f"body.{number}"
        inner = node("Relu", [convolved(x, f"{part}.first", block.first)], f"{part}.relu")
        inner = convolved(inner, f"{part}.second", block.second)
        around = convolved(x, f"{part}.around", block.around) if block.around is not None else x
        x = node("Relu", [node("Add", [inner, around], f"{part}.add")], f"{part}.last_relu")
    x = node("ReduceMean", [x, "places"], "mean_of_places", keepdims=0)  # (B, 4 · width)
    weights["last"], weights["last.bias"] = _array(network.last.weight.T), _array(network.last.bias)
    x = node("MatMul", [x, "last"], "multiply")
    nodes.append(helper.make_node("Add", [x, "last.bias"], ["logits"], name="logits"))
    colours = len(network.mean)
    constants = [
        helper.make_tensor("mean", TensorProto.FLOAT, [colours, 1, 1], network.mean.tolist()),
        helper.make_tensor("deviation", TensorProto.FLOAT, [colours, 1, 1], network.deviation.tolist()),
        helper.make_tensor("places", TensorProto.INT64, [2], [2, 3]),
    ]
    shape: list[str | int | None] = ["B", network.edge, network.edge, colours]
    graph = helper.make_graph(
        nodes,
        "vision",
        [helper.make_tensor_value_info("pictures", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", network.output_count])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return model, weights


def folded(layer: Convolution) -> tuple[np.ndarray, np.ndarray]:
    """(weights, bias) of the convolution that does what a convolution and its normalization do together."""
    norm = layer.norm
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return _array(layer.weight * factor[:, None, None, None]), _array(norm.bias - norm.running_mean * factor)


@torch.no_grad()
def from_arrays(network: VisionNetwork, arrays: dict[str, np.ndarray]) -> None:
    """Put the arrays that `export` gave into a network of the same sizes; the normalization then changes nothing.

    Before such a network learns, `normalized_by` is to be called. Raises RuntimeError or KeyError.
    """
    expected = {name for part, _ in network.convolutions() for name in (part, f"{part}.bias")} | {"last", "last.bias"}
    if set(arrays) != expected:
        raise KeyError(f"other layers: {', '.join(sorted(expected ^ set(arrays))[:3])}")
    for name, layer in network.convolutions():
        norm = layer.norm
        layer.weight.copy_(_tensor(arrays[name], layer.weight))
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
        norm.weight.fill_(1.0)
        norm.bias.copy_(_tensor(arrays[f"{name}.bias"], norm.bias))
    network.last.weight.copy_(_tensor(arrays["last"].T, network.last.weight))
    network.last.bias.copy_(_tensor(arrays["last.bias"], network.last.bias))


@torch.no_grad()
def normalized_by(network: VisionNetwork, pictures: torch.Tensor) -> None:
    """Let the normalization have mean and variance of what it sees of pictures, and undo that by its weights.

    The network computes what it did, and goes on learning where one that was never folded would.
    """
    seen: dict[str, torch.Tensor] = {}
    layers = dict(network.convolutions())
    hooks = [
        layer.norm.register_forward_pre_hook(lambda norm, given, name=name: seen.__setitem__(name, given[0]))
        for name, layer in layers.items()
    ]
    network.eval()
    network(pictures)
    for hook in hooks:
        hook.remove()
    for name, layer in layers.items():
        norm, given = layer.norm, seen[name].float()
        assert norm.running_mean is not None and norm.running_var is not None
        mean, variance = given.mean(dim=(0, 2, 3)), given.var(dim=(0, 2, 3))
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        norm.bias.add_((mean - norm.running_mean) * factor)
        norm.weight.copy_(factor * torch.sqrt(variance + norm.eps))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _tensor(array: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    found = torch.from_numpy(np.array(array))
    if found.shape != like.shape:
        raise RuntimeError(f"{tuple(found.shape)} in place of {tuple(like.shape)}")
    return found


def _array(tensor: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.detach().to("cpu", torch.float32).numpy().copy())
