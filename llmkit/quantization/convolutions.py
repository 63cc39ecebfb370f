"""A transposed convolution that doubles height and width, in integers: by a kernel that is there for another one.

Each of the four places that a pixel becomes takes a 2×2 window of the input. One convolution of 2×2 computes all four
as channels, `DepthToSpace` lays them out, and a row and a column on each side, which belong to no pixel, are cut off.
Activations are rounded to 8 bits in ranges found beforehand on a few inputs (static), since only so `QLinearConv` can
be used; measured on the digits' generator, `ConvInteger` with ranges as they come (dynamic) is slower than floats.
"""

from typing import Any

import numpy as np
import onnx
from onnx import helper

from llmkit.errors import InputError

LEVELS = 255  # of an activation
LARGEST_BIAS = 2**31 - 1  # in whole numbers
CALIBRATION_BATCH = 100
SHAPE = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1]}


def doubles(node: onnx.NodeProto, weights: dict[str, np.ndarray]) -> bool:
    """Whether a node is what this module does: a ConvTranspose of 4×4 with constant weights, stride 2, 1 cut off."""
    if node.op_type != "ConvTranspose" or node.input[1] not in weights:
        return False
    found = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {key: list(found.get(key, [])) for key in SHAPE} == SHAPE and found.get("group", 1) == 1


def windows(weight: np.ndarray) -> np.ndarray:
    """Weights (in, out, 4, 4) as those of the convolution of 2×2: (4·out, in, 2, 2)."""
    inputs, outputs = weight.shape[:2]
    found = np.empty((2, 2, outputs, inputs, 2, 2), weight.dtype)
    for row in range(2):  # whether the place is the lower one; that one's window starts one pixel further on, so it
        for column in range(2):  # comes first where the outputs of one window position lie together
            taps = weight[:, :, 3 - row :: -2, 3 - column :: -2]  # (in, out, 2, 2)
            found[1 - row, 1 - column] = taps.transpose(1, 0, 2, 3)
    return found.reshape(4 * outputs, inputs, 2, 2)


def ranges(
    model: onnx.ModelProto, weights: dict[str, np.ndarray], names: list[str], feeds: dict[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """(lowest, highest) of tensors of a float graph on the inputs `feeds`, whose first axis is the batch."""
    from llmkit.runtime.session import Session
    from llmkit.store.model_folder import declare_weights

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names)
    session = Session(declare_weights(watched, weights), weights)
    found = dict.fromkeys(names, (np.inf, -np.inf))
    for start in range(0, len(next(iter(feeds.values()))), CALIBRATION_BATCH):
        part = {name: array[start : start + CALIBRATION_BATCH] for name, array in feeds.items()}
        for name, array in zip(names, session.run(names, part), strict=True):
            low, high = found[name]
            found[name] = min(low, float(array.min())), max(high, float(array.max()))
    return found


def integer(
    node: onnx.NodeProto,
    values: np.ndarray,
    scales: np.ndarray,
    bias: np.ndarray | None,
    bounds: tuple[tuple[float, float], tuple[float, float]],
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto], dict[str, np.ndarray]]:
    """(nodes, the graph's own constants, arrays by name) in place of a ConvTranspose.

    `values` (4·out, in, 2, 2) int8 with their `scales` (4·out,), `bias` (out,), `bounds` of input and output.
    """
    name, x, out = node.name, node.input[0], node.output[0]
    weight = node.input[1]
    arrays: dict[str, np.ndarray] = {
        weight: values,
        f"{weight}.scale": scales,
        f"{weight}.zero": np.zeros(len(scales), np.int8),
    }
    constants, steps = [], {}
    for part, (low, high) in zip(("x", "y"), bounds, strict=True):
        steps[part], zero = scale_of(low, high)
        constants.append(helper.make_tensor(f"{name}.{part}_scale", onnx.TensorProto.FLOAT, [], [steps[part]]))
        constants.append(helper.make_tensor(f"{name}.{part}_zero", onnx.TensorProto.UINT8, [], [zero]))
    given = [f"{name}.x", f"{name}.x_scale", f"{name}.x_zero", weight, f"{weight}.scale", f"{weight}.zero"]
    given += [f"{name}.y_scale", f"{name}.y_zero"]
    if bias is not None:  # in units of the products, as QLinearConv wants it
        units = np.tile(bias, 4) / (steps["x"] * scales.astype(np.float64))
        arrays[f"{name}.bias"] = np.clip(np.rint(units), -LARGEST_BIAS, LARGEST_BIAS).astype(np.int32)
        given.append(f"{name}.bias")
    quantized = [f"{name}.y_scale", f"{name}.y_zero"]

    def make(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], name=f"{output}.node", **attributes)

    nodes = [
        make("QuantizeLinear", [x, f"{name}.x_scale", f"{name}.x_zero"], f"{name}.x"),
        make("QLinearConv", given, f"{name}.windows", kernel_shape=[2, 2], pads=[1, 1, 1, 1]),
        make("DepthToSpace", [f"{name}.windows"], f"{name}.wide", blocksize=2, mode="DCR"),
        make("Slice", [f"{name}.wide", "cut_first", "cut_last", "cut_axes"], f"{name}.y"),
        make("DequantizeLinear", [f"{name}.y", *quantized], out),
    ]
    return nodes, constants, arrays


def shared_constants() -> list[onnx.TensorProto]:
    """What the nodes of all name."""
    made = {"cut_first": [1, 1], "cut_last": [-1, -1], "cut_axes": [2, 3]}
    return [helper.make_tensor(name, onnx.TensorProto.INT64, [2], values) for name, values in made.items()]


def scale_of(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point of uint8 for a range, widened to hold 0. Raises InputError for one that is no numbers."""
    low, high = min(low, 0.0), max(high, 0.0)
    if not np.isfinite(high - low):
        raise InputError("the model's activations are no finite numbers; train it again")
    scale = max(high - low, 1e-6) / LEVELS
    return scale, int(np.clip(round(-low / scale), 0, LEVELS))
