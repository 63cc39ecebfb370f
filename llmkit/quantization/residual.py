"""Convolutions and the sums between them in integers, from the first to the last without a float in between.

`QLinearConv` with activations in ranges found beforehand on a few inputs (static): weights of 7 bits with a scale for
each output channel, activations of 8. A Relu behind a convolution or a sum is their range, which begins at 0. What
else there is gets floats; so do convolutions of a picture's few colours, which are slower in integers (measured: a
first convolution of 28×28 grey pixels to 16 channels 29 µs a picture, in floats 5 and 14 for rounding what it gives).
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper

from llmkit.quantization.convolutions import LARGEST_BIAS, scale_of

CONTRIB = "com.microsoft"
FEWEST = 8  # channels that a convolution in integers reads


def is_plain(node: onnx.NodeProto, weights: dict[str, np.ndarray]) -> bool:
    """Whether a node is a convolution of some channels, with constant float weights."""
    weight = weights.get(node.input[1]) if node.op_type == "Conv" else None
    if weight is None or weight.dtype != np.float32 or weight.shape[1] < FEWEST:
        return False
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return found.get("group", 1) == 1 and not found.get("auto_pad")


class Chain:
    """What of a graph's nodes is computed in integers, and the nodes that do so."""

    def __init__(self, model: onnx.ModelProto, weights: dict[str, np.ndarray]):
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._relu: dict[str, str] = {}  # output of a node -> that of the Relu behind it, which nothing else reads
        self._whole: set[str] = set()  # outputs that are integers, Relu and all
        self._floats: set[str] = set()  # of these, the ones that are floats too
        self._given: set[str] = set()  # inputs from elsewhere that were made integers
        self._find(model)

    def _find(self, model: onnx.ModelProto) -> None:
        readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        read = {node.input[0] for node in model.graph.node if is_plain(node, self.weights)}
        for node in model.graph.node:
            # A sum of an integer and of what is made one anyway, for a convolution to read.
            summed = node.op_type == "Add" and self._whole & set(node.input) and set(node.input) <= self._whole | read
            if is_plain(node, self.weights) or summed:
                out = node.output[0]
                behind = readers.get(out, [])
                if len(behind) == 1 and behind[0].op_type == "Relu":
                    self._relu[out] = behind[0].output[0]
                self._whole.add(self._relu.get(out, out))

    def __bool__(self) -> bool:
        return bool(self._whole)

    def watched(self, model: onnx.ModelProto) -> list[str]:
        """The tensors whose ranges are needed."""
        given = [node.input[0] for node in model.graph.node if is_plain(node, self.weights)]
        return list(dict.fromkeys([*given, *sorted(self._whole)]))

    def take(
        self,
        node: onnx.NodeProto,
        bounds: dict[str, tuple[float, float]],
        rounded: tuple[np.ndarray, np.ndarray] | None,
    ) -> bool:
        """Add the nodes that stand for one of the graph, and say so; others get floats where they read integers.

        `rounded`: values int8 and scales of the weights of a convolution.
        """
        out = node.output[0]
        if node.op_type == "Relu" and node.input[0] in self._relu:
            return True
        if rounded is not None:
            self._convolution(node, bounds, rounded)
            return True
        if self._relu.get(out, out) in self._whole:
            one, other = node.input
            self._rounded(one, bounds)
            self._rounded(other, bounds)
            y = self._parameters(self._relu.get(out, out), bounds)
            given = [f"{one}.q", *self._names(one), f"{other}.q", *self._names(other), *y]
            self._make("QLinearAdd", given, f"{self._relu.get(out, out)}.q", domain=CONTRIB)
            return True
        for name in node.input:
            if name in self._whole and name not in self._floats:
                self._floats.add(name)
                self._make("DequantizeLinear", [f"{name}.q", *self._names(name)], name)
        return False

    def _convolution(
        self, node: onnx.NodeProto, bounds: dict[str, tuple[float, float]], rounded: tuple[np.ndarray, np.ndarray]
    ) -> None:
        x, weight = node.input[:2]
        self._rounded(x, bounds)
        out = self._relu.get(node.output[0], node.output[0])
        values, scales = rounded
        self.arrays |= {weight: values, f"{weight}.scale": scales, f"{weight}.zero": np.zeros(len(scales), np.int8)}
        given = [f"{x}.q", *self._names(x), weight, f"{weight}.scale", f"{weight}.zero", *self._parameters(out, bounds)]
        if len(node.input) > 2:  # in units of the products
            units = self.weights[node.input[2]] / (scale_of(*bounds[x])[0] * scales.astype(np.float64))
            self.arrays[node.input[2]] = np.clip(np.rint(units), -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
            given.append(node.input[2])
        attributes = {part.name: helper.get_attribute_value(part) for part in node.attribute}
        self._make("QLinearConv", given, f"{out}.q", **attributes)

    def _rounded(self, tensor: str, bounds: dict[str, tuple[float, float]]) -> None:
        """Have a tensor as integers, whose floats come from elsewhere."""
        if tensor not in self._whole and tensor not in self._given:
            self._given.add(tensor)
            self._make("QuantizeLinear", [tensor, *self._parameters(tensor, bounds)], f"{tensor}.q")

    def _names(self, tensor: str) -> tuple[str, str]:
        return f"{tensor}.q_scale", f"{tensor}.q_zero"

    def _parameters(self, tensor: str, bounds: dict[str, tuple[float, float]]) -> tuple[str, str]:
        """Names of scale and zero point of a tensor, which become constants of the graph."""
        scale, zero = scale_of(*bounds[tensor])
        for name, kind, value in zip(
            self._names(tensor), (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8), (scale, zero), strict=True
        ):
            self.constants.append(helper.make_tensor(name, kind, [], [value]))
        return self._names(tensor)

    def _make(self, kind: str, given: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(kind, given, [output], name=f"{output}.{kind}", **attributes))
