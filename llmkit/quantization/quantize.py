"""Weights of 8 bits: an ONNX graph and its weights -> the same with integer kernels of ONNX Runtime.

Dynamic quantization: weights are rounded once, per output channel and symmetric; activations as they come, per
tensor. LSTM becomes `DynamicQuantizeLSTM`, MatMul `MatMulInteger`, an embedding's rows are stored as integers and
scaled after the look-up. What is shared (a tied embedding) stays shared. Transposed convolutions that double a picture
have activations in ranges found beforehand (static), see `convolutions.py`, and so do plain ones, see `residual.py`.
A matrix that multiplies what comes into the graph becomes float16 alone: a forecast is a sum of hundreds of past values
with weights of both signs, in which errors of 8 bits add up (on the hourly series of M4 they cost 10 % of MASE).

Written here because `onnxruntime.quantization.quantize_dynamic` (1.32) corrupts a matrix that an embedding and the
output share, and gives an embedding one scale for all rows. Left out: everything about files and settings.
"""

import numpy as np
import onnx
from onnx import helper

from llmkit.errors import InputError
from llmkit.quantization import convolutions
from llmkit.quantization.residual import Chain, is_plain

# 7 of the 8 bits: with all 8, AVX2 processors without VNNI add two products into 16 bits and saturate, silently
# (ONNX Runtime documentation, "Quantize ONNX models", reduce_range). A model must give the same text everywhere.
LARGEST = 63
CONTRIB = "com.microsoft"
SMALL = 1024  # numbers: the nodes that a smaller matrix would need take more room and time than its bytes save
SHORT_ROW = 16  # numbers: a scale of 4 bytes for each shorter row of a look-up would be much of its size
CLIPS = np.linspace(1.0, 0.7, 16)  # shares of the largest weight tried as the end of the range


def quantize(
    model: onnx.ModelProto, weights: dict[str, np.ndarray], feeds: dict[str, np.ndarray] | None = None
) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """(graph, weights) with every LSTM, MatMul and embedding of constant weights in int8, or float16 where a matrix
    multiplies an input of the graph. The inputs are not changed.

    A small matrix stays float, where there are larger ones.

    So are convolutions, and transposed ones that double a picture, where there are `feeds`: inputs to find ranges on.
    `graph` declares no weights, as `tasks/*/graph.py` exports it; biases and what else is small stay float32.
    Raises InputError when nothing is left to quantize.
    """
    quantized = dict(weights)
    nodes: list[onnx.NodeProto] = []
    every = {name for name, array in weights.items() if array.dtype == np.float32 and array.ndim > 1}
    transposed = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Transpose"}
    looked_up = {node.input[0] for node in model.graph.node if node.op_type == "Gather"} & every
    multiplied = {node.input[1] for node in model.graph.node if node.op_type in ("MatMul", "LSTM")}
    turned = {source for output, source in transposed.items() if output in multiplied} & every
    rounded = looked_up | turned | multiplied & every
    chain = Chain(model, weights) if feeds else None
    matrices = {name for name in rounded if weights[name].size >= SMALL} or (set() if chain else rounded)
    given = {value.name for value in model.graph.input}
    half = {node.input[1] for node in model.graph.node if node.op_type == "MatMul" and node.input[0] in given}
    short = {name for name in looked_up - turned if weights[name].shape[-1] < SHORT_ROW}
    weighed = _weighed(model, matrices)
    done: set[str] = set()

    def once(name: str, axis: int) -> None:
        """Replace a float weight by `name` (int8), `name.scale` and `name.zero`, one scale per index of `axis`."""
        if name not in done:
            done.add(name)
            quantized[name], quantized[f"{name}.scale"] = round_weights(weights[name], axis)

    doubling = [node for node in model.graph.node if feeds and convolutions.doubles(node, weights)]
    watched = [name for node in doubling for name in (node.input[0], node.output[0])]
    own = convolutions.shared_constants() if doubling else []
    watched += chain.watched(model) if chain else []
    bounds = convolutions.ranges(model, weights, watched, feeds) if feeds and watched else {}

    for node in model.graph.node:
        if chain:
            constant = is_plain(node, weights)
            taken = chain.take(node, bounds, round_weights(weights[node.input[1]], 0) if constant else None)
            nodes += chain.nodes
            chain.nodes.clear()
            done |= {node.input[1]} if constant else set()
            if taken:
                continue
        if node in doubling:
            name, bias = node.input[1], node.input[2] if len(node.input) > 2 else ""
            values, scales = round_weights(convolutions.windows(weights[name]), 0)
            made, constants, arrays = convolutions.integer(
                node, values, scales, weights.get(bias), (bounds[node.input[0]], bounds[node.output[0]])
            )
            done.add(name)
            nodes += made
            quantized.pop(bias, None)
            quantized |= arrays
            own += constants
        elif node.op_type == "LSTM" and node.input[1] in every:
            nodes.append(_lstm(node, weights, quantized, done))
        elif node.op_type == "Gather" and node.input[0] in matrices:
            by_row = node.input[0] not in short
            once(node.input[0], 0 if by_row else 1)
            nodes += _rows(node, by_row) if node.output[0] in weighed else _embedding(node, by_row)
        elif node.op_type == "MatMul" and node.input[1] in weighed:
            looked_up = weighed[node.input[1]]
            nodes += _sum_of_rows(node, looked_up, looked_up.input[0] not in short)
        elif node.op_type == "MatMul" and node.input[1] in matrices & half:
            done.add(node.input[1])
            quantized[node.input[1]] = weights[node.input[1]].astype(np.float16)
            nodes += _in_float16(node)
        elif node.op_type == "MatMul" and node.input[1] in matrices:
            once(node.input[1], 1)
            nodes += _matmul(node, f"{node.input[1]}.scale", quantized)
        elif node.op_type == "MatMul" and transposed.get(node.input[1]) in matrices:
            name = transposed[node.input[1]]
            once(name, 0)
            nodes += _matmul(node, f"{name}.scale", quantized)
        else:
            nodes.append(node)
    if chain:
        quantized |= chain.arrays
        own += chain.constants
    if not done:
        raise InputError("the model has no float weights to quantize; is it compressed already? Take the original")
    result = onnx.ModelProto()
    result.CopyFrom(model)
    del result.graph.node[:]
    result.graph.node.extend(nodes)
    result.graph.initializer.append(helper.make_tensor("last_axis", onnx.TensorProto.INT64, [1], [-1]))
    if weighed:
        result.graph.initializer.append(helper.make_tensor("row_axis", onnx.TensorProto.INT64, [1], [-2]))
    result.graph.initializer.extend(own)
    result.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return result, quantized


def round_weights(weight: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """(int8 values, float32 scales): symmetric rounding with one scale per index of `axis`, of least squared error.

    The end of the range is searched a little below the largest weight, which costs the outliers and serves the rest.
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    largest = np.maximum(np.abs(rows).max(axis=1), 1e-12)
    best_scale, least = largest / LARGEST, np.full(len(rows), np.inf)
    for clip in CLIPS:
        scale = (clip * largest / LARGEST)[:, None]
        error = (np.square(np.clip(np.rint(rows / scale), -LARGEST, LARGEST) * scale - rows)).sum(axis=1)
        better = error < least
        least[better], best_scale[better] = error[better], scale[better, 0]
    shape = [1] * weight.ndim
    shape[axis] = -1
    values = np.clip(np.rint(weight / best_scale.reshape(shape)), -LARGEST, LARGEST).astype(np.int8)
    return values, best_scale.astype(np.float32)


def _lstm(
    node: onnx.NodeProto, weights: dict[str, np.ndarray], quantized: dict[str, np.ndarray], done: set[str]
) -> onnx.NodeProto:
    """LSTM -> DynamicQuantizeLSTM, which wants W and R as (directions, inputs, 4H) and scales (directions, 4H)."""
    extra = []
    for name in node.input[1:3]:
        done.add(name)
        pairs = [round_weights(direction, 0) for direction in weights[name]]  # (4H, inputs) each
        quantized[name] = np.stack([values.T for values, _ in pairs]).copy()
        quantized[f"{name}.scale"] = np.stack([scale for _, scale in pairs])
        quantized[f"{name}.zero"] = np.zeros(quantized[f"{name}.scale"].shape, np.int8)
        extra += [f"{name}.scale", f"{name}.zero"]
    inputs = [*node.input, *[""] * (8 - len(node.input)), *extra]
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return helper.make_node(
        "DynamicQuantizeLSTM", inputs, list(node.output), name=node.name, domain=CONTRIB, **attributes
    )


def _embedding(node: onnx.NodeProto, by_row: bool) -> list[onnx.NodeProto]:
    """Gather of float rows -> Gather of int8 rows and of their scales, which are the columns' where not `by_row`."""
    table, ids = node.input
    name, out = node.name, node.output[0]
    nodes = [
        helper.make_node("Gather", [table, ids], [f"{name}.rows"], name=name),
        helper.make_node("Cast", [f"{name}.rows"], [f"{name}.values"], name=f"{name}.cast", to=onnx.TensorProto.FLOAT),
    ]
    if not by_row:
        return [*nodes, helper.make_node("Mul", [f"{name}.values", f"{table}.scale"], [out], name=f"{name}.scale")]
    return [
        *nodes,
        helper.make_node("Gather", [f"{table}.scale", ids], [f"{name}.scales"], name=f"{name}.look_up_scale"),
        helper.make_node("Unsqueeze", [f"{name}.scales", "last_axis"], [f"{name}.column"], name=f"{name}.unsqueeze"),
        helper.make_node("Mul", [f"{name}.values", f"{name}.column"], [out], name=f"{name}.scale"),
    ]


def _weighed(model: onnx.ModelProto, tables: set[str]) -> dict[str, onnx.NodeProto]:
    """By their outputs, look-ups in `tables` that nothing but a MatMul reads, which weighs their rows and sums them."""
    read = [name for node in model.graph.node for name in node.input] + [value.name for value in model.graph.output]
    summed = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    gathers = [node for node in model.graph.node if node.op_type == "Gather" and node.input[0] in tables]
    return {node.output[0]: node for node in gathers if node.output[0] in summed and read.count(node.output[0]) == 1}


def _rows(node: onnx.NodeProto, by_row: bool) -> list[onnx.NodeProto]:
    """Gather of float rows (…, N, C) -> their integers as floats and, `by_row`, their scales (…, 1, N)."""
    table, ids = node.input
    name = node.name
    nodes = [
        helper.make_node("Gather", [table, ids], [f"{name}.rows"], name=name),
        helper.make_node("Cast", [f"{name}.rows"], list(node.output), name=f"{name}.cast", to=onnx.TensorProto.FLOAT),
    ]
    if not by_row:
        return nodes
    return [
        *nodes,
        helper.make_node("Gather", [f"{table}.scale", ids], [f"{name}.scales"], name=f"{name}.look_up_scale"),
        helper.make_node("Unsqueeze", [f"{name}.scales", "row_axis"], [f"{name}.row"], name=f"{name}.unsqueeze"),
    ]


def _sum_of_rows(node: onnx.NodeProto, looked_up: onnx.NodeProto, by_row: bool) -> list[onnx.NodeProto]:
    """MatMul of weights (…, M, N) with rows (…, N, C) -> scales on the weights or the sums, fewer numbers than rows."""
    weights, rows = node.input
    name, scale = looked_up.name, f"{looked_up.input[0]}.scale"
    if by_row:
        scaled = f"{name}.weights"
        return [
            helper.make_node("Mul", [weights, f"{name}.row"], [scaled], name=f"{name}.scale"),
            helper.make_node("MatMul", [scaled, rows], list(node.output), name=node.name),
        ]
    return [
        helper.make_node("MatMul", [weights, rows], [f"{name}.sums"], name=node.name),
        helper.make_node("Mul", [f"{name}.sums", scale], list(node.output), name=f"{name}.scale"),
    ]


def _in_float16(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """MatMul of a matrix stored as float16, computed as before."""
    x, matrix = node.input
    wide = f"{node.name}.wide"
    return [
        helper.make_node("Cast", [matrix], [wide], name=wide, to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", [x, wide], list(node.output), name=node.name),
    ]


def _matmul(node: onnx.NodeProto, scale: str, quantized: dict[str, np.ndarray]) -> list[onnx.NodeProto]:
    """MatMul -> integers in, integer product, scaled back; ONNX Runtime fuses the four nodes into one kernel."""
    x, matrix = node.input
    name, out = node.name, node.output[0]
    return [
        helper.make_node(
            "DynamicQuantizeLinear", [x], [f"{name}.x", f"{name}.x_scale", f"{name}.x_zero"], name=f"{name}.round"
        ),
        helper.make_node("MatMulInteger", [f"{name}.x", matrix, f"{name}.x_zero"], [f"{name}.sums"], name=name),
        helper.make_node("Cast", [f"{name}.sums"], [f"{name}.values"], name=f"{name}.cast", to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}.x_scale", scale], [f"{name}.scales"], name=f"{name}.scales"),
        helper.make_node("Mul", [f"{name}.values", f"{name}.scales"], [out], name=f"{name}.rescale"),
    ]
