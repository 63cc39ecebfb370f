"""A language model of 4 bits a weight: float weights and some training text -> graph and packed weights.

The LSTM is written as one step (`MatMulNBits`, a kernel of ONNX Runtime) inside a `Scan`, which a single token passes
once and a window T times. Inputs and outputs are those of `graph.py`. Of each layer the weights of inputs and state
form one matrix (4H, inputs + H), rounded as one: errors in the one part are made up for in the other.

Weights: `embedding`, `lstm0`, …, `projection`, `output` (rows, bytes) uint8, with `NAME.scales` (rows, groups) and the
biases `lstm0.bias` (4H,) and `output_bias` (V,) in float16. The nodes that bring them into the kernels' form have
constant inputs, so ONNX Runtime runs them once, when it loads the graph.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.quantization import groups
from llmkit.quantization.groups import Inputs, Rounded
from llmkit.quantization.quantize import CONTRIB
from llmkit.store.files import Files
from llmkit.tasks.language import graph
from llmkit.tasks.language.settings import Config, Quantize

if TYPE_CHECKING:
    from llmkit.tasks.language.network import LanguageModel

Arrays = dict[str, np.ndarray]

# Where the settings name none. Measured on the validation text of tinyshakespeare, characters, 448 units: groups of 32
# changed the loss by -0.19 %, of 64 by +0.04 %; with an output of 4 bits, which saves 3 % of the size, by +0.45 %; with
# each weight rounded to its nearest by +0.49 and +1.20 %. 262,144 tokens are 3 % nearer to the float model than 65,536
# (Kullback-Leibler divergence).
GROUP_SIZE, OUTPUT_BITS, CALIBRATION_TOKENS = 32, 8, 65_536
STREAMS = 64  # that the calibration reads side by side, evenly spaced in the training split
WINDOW = 64  # tokens at a time
TOKENS_PER_INPUT = 4  # at least, so that the covariance of a matrix's inputs is more than noise
TABLE_GROUP = 32  # weights that share a scale outside the LSTM: an embedding is seldom a multiple of more
INT8_STEPS = 4  # accuracy_level: activations are rounded to 8 bits too, in groups like the weights'


def of_four_bits(
    variant: Quantize, settings: Config, weights: Arrays, prepared: Files
) -> tuple[onnx.ModelProto, Arrays, Json]:
    """(graph, weights, what was chosen) with weights of 4 bits, rounded by text of the training split.

    Raises InputError where that is too small.
    """
    from llmkit.tasks.language.train import build

    network = build(settings.model, len(weights["output_bias"]))
    graph.from_arrays(network, weights)
    chosen = {
        "group_size": variant.group_size or GROUP_SIZE,
        "output_bits": variant.output_bits or OUTPUT_BITS,
        "calibration_tokens": variant.calibration_tokens or CALIBRATION_TOKENS,
    }
    tokens = prepared.array("train.npy", mapped=True)
    return *quantize(network, tokens, **chosen), chosen


def quantize(
    network: "LanguageModel", tokens: np.ndarray, calibration_tokens: int, group_size: int, output_bits: int
) -> tuple[onnx.ModelProto, Arrays]:
    """(graph, weights) of a network. `tokens` (N,): the training split, of which `calibration_tokens` are read.

    The LSTM's weights get 4 bits; embedding, projection and output, which cost a small vocabulary's model little,
    `output_bits`. Raises InputError or ConfigError when there are too few tokens to calibrate with.
    """
    inputs = read_inputs(network, tokens, calibration_tokens)
    arrays = graph.to_arrays(network)
    weights: Arrays = {}
    output_bias = arrays["output_bias"].astype(np.float64)

    def store(name: str, rounded: Rounded) -> None:
        weights[name], weights[f"{name}.scales"] = groups.pack(rounded.values, rounded.bits), rounded.scales

    for k in range(network.layers):
        matrix = np.concatenate([arrays[f"lstm{k}.W"][0], arrays[f"lstm{k}.R"][0]], axis=1)  # (4H, inputs + H)
        rounded = groups.for_inputs(matrix, inputs[f"lstm{k}"], group_size, 4)
        store(f"lstm{k}", rounded)
        bias = arrays[f"lstm{k}.B"][0].reshape(2, -1).sum(axis=0)  # (8H,) -> (4H,)
        weights[f"lstm{k}.bias"] = (bias + groups.shift(matrix, rounded, inputs[f"lstm{k}"])).astype(np.float16)
    last = arrays["embedding"] if network.output is None else arrays["output"].T  # (V, H or E)
    rounded = groups.for_inputs(last, inputs["output"], TABLE_GROUP, output_bits)
    output_bias += groups.shift(last, rounded, inputs["output"])
    if network.output is None:
        store("embedding", rounded)
    else:
        store("output", rounded)
        store("embedding", groups.plain(arrays["embedding"], TABLE_GROUP, output_bits))
    if network.projection is not None:
        matrix = arrays["projection"].T  # (E, H)
        projection = groups.for_inputs(matrix, inputs["projection"], TABLE_GROUP, output_bits)
        store("projection", projection)
        output_bias += rounded.matrix() @ groups.shift(matrix, projection, inputs["projection"])
    weights["output_bias"] = output_bias.astype(np.float16)
    if network.embedding_scale != 1:
        weights["embedding_scale"] = np.float32(network.embedding_scale).reshape(1)
    return export(network, group_size, output_bits), weights


def read_inputs(network: "LanguageModel", tokens: np.ndarray, count: int) -> dict[str, Inputs]:
    """What the network's matrices are multiplied with on `count` of the tokens: `lstm0`, …, `projection`, `output`.

    Streams are read with carried state, as the model is used. Raises InputError where the tokens are too few,
    ConfigError where `count` is too low.
    """
    import torch
    from torch.nn import functional as F

    widest = network.hidden_size + max(weight.shape[1] for weight in network.weight_ih)
    needed = TOKENS_PER_INPUT * widest
    if len(tokens) < needed:
        raise InputError(
            f"4 bits: a matrix of {widest} inputs needs {needed:,} tokens to be calibrated with, and the training "
            f"split has {len(tokens):,}; prepare more text, or take bits: 8"
        )
    if count < needed:
        raise ConfigError(
            f"calibration_tokens {count:,} are too few for a matrix of {widest} inputs; set it to {needed:,} or more"
        )
    count = min(count, len(tokens))
    streams = min(STREAMS, count // WINDOW) or 1
    length = count // streams
    places = np.arange(streams) * (len(tokens) // streams) + np.arange(length)[:, None]  # (length, streams)
    sums: dict[str, list[np.ndarray]] = {}

    def add(name: str, x: torch.Tensor) -> None:
        x = x.flatten(0, 1)  # (T, B, K) -> (T * B, K)
        parts = [x.sum(dim=0), x.T @ x]
        before = sums.get(name, [0.0, 0.0])
        sums[name] = [old + part.double().numpy() for old, part in zip(before, parts, strict=True)]

    with torch.no_grad():
        h, c = network.initial_state(streams)  # (L, B, H)
        for start in range(0, length, WINDOW):
            window = torch.from_numpy(tokens[places[start : start + WINDOW]].astype(np.int64))
            x = F.embedding(window, network.embedding) * network.embedding_scale  # (T, B, E)
            for k in range(network.layers):
                weights = [network.weight_ih[k], network.weight_hh[k], network.bias[k], network.no_bias]
                state = (h[k : k + 1].clone(), c[k : k + 1].clone())
                y, h[k], c[k] = torch._VF.lstm(x, state, weights, True, 1, 0.0, False, False, False)  # (T, B, H)
                add(f"lstm{k}", torch.cat([x, torch.cat([state[0], y[:-1]])], dim=2))
                x = y
            if network.projection is not None:
                add("projection", x)
                x = F.linear(x, network.projection)  # (T, B, E)
            add("output", x)
    total = length * streams
    return {
        name: Inputs(mean / total, second / total - np.outer(mean / total, mean / total))
        for name, (mean, second) in sums.items()
    }


def export(
    network: "LanguageModel", group_size: int, output_bits: int, accuracy_level: int = INT8_STEPS
) -> onnx.ModelProto:
    """The graph. `accuracy_level` of `MatMulNBits`: 1 computes in float32, 4 with activations of 8 bits."""
    hidden, embedding, layers = network.hidden_size, network.embedding_size, range(network.layers)
    constants = [
        helper.make_tensor("first_axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("gates_and_cell", TensorProto.INT64, [2], [3 * hidden, hidden]),
    ]
    nodes: list[onnx.NodeProto] = []

    def float32(name: str) -> str:
        if f"{name}.float" not in {output for node in nodes for output in node.output}:
            nodes.append(helper.make_node("Cast", [name], [f"{name}.float"], name=f"{name}.cast", to=TensorProto.FLOAT))
        return f"{name}.float"

    def product(x: str, weight: str, sizes: tuple[int, int], bits: int, bias: str, out: str) -> onnx.NodeProto:
        """x (…, K) times a packed matrix (N, K); `sizes` are (K, N)."""
        size = group_size if weight.startswith("lstm") else TABLE_GROUP
        nodes.extend(_blocks(weight, sizes[0], size, bits, constants))
        names = [x, f"{weight}.blocks", float32(f"{weight}.scales"), "", "", float32(bias) if bias else ""]
        how: dict[str, Any] = {"bits": bits, "block_size": size, "accuracy_level": accuracy_level}
        name, how["K"], how["N"] = f"{weight}.product", *sizes
        return helper.make_node("MatMulNBits", names, [out], name=name, domain=CONTRIB, **how)

    nodes += _embed(network, output_bits, float32("embedding.scales"), constants)
    x, body = "x", []
    for k in layers:
        sizes = (embedding if k == 0 else hidden) + hidden, 4 * hidden
        body.append(helper.make_node("Concat", [x, f"h{k}.in"], [f"both{k}"], name=f"join{k}", axis=-1))
        body.append(product(f"both{k}", f"lstm{k}", sizes, 4, f"lstm{k}.bias", f"gates{k}"))
        body += _cell(k)
        x = f"h{k}.out"
    body.append(helper.make_node("Identity", [x], ["y"], name="give"))
    state = [f"{part}{k}" for k in layers for part in "hc"]
    step = helper.make_graph(
        body,
        "step",
        [helper.make_tensor_value_info(f"{name}.in", TensorProto.FLOAT, ["B", hidden]) for name in state]
        + [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", embedding])],
        [helper.make_tensor_value_info(f"{name}.out", TensorProto.FLOAT, ["B", hidden]) for name in state]
        + [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", hidden])],
    )
    for name in state:  # (1, B, H) -> (B, H)
        nodes.append(helper.make_node("Squeeze", [name, "first_axis"], [f"{name}.first"], name=f"{name}.squeeze"))
    nodes.append(
        helper.make_node(
            "Scan",
            [*(f"{name}.first" for name in state), "embedded"],
            [*(f"{name}.last" for name in state), "hidden"],  # (B, H) each, (T, B, H)
            name="steps",
            body=step,
            num_scan_inputs=1,
        )
    )
    for name in state:
        outputs = [f"next_{name}"]
        nodes.append(helper.make_node("Unsqueeze", [f"{name}.last", "first_axis"], outputs, name=f"{name}.unsqueeze"))
    x, width = "hidden", hidden
    if network.projection is not None:
        nodes.append(product(x, "projection", (hidden, embedding), output_bits, "", "projected"))
        x, width = "projected", embedding
    matrix = "embedding" if network.output is None else "output"
    nodes.append(product(x, matrix, (width, network.vocab_size), output_bits, "output_bias", "logits"))
    model = graph.assemble(nodes, constants, network.layers, hidden, network.vocab_size)
    model.opset_import.append(helper.make_opsetid(CONTRIB, 1))
    return model


def _blocks(weight: str, inputs: int, size: int, bits: int, constants: list[TensorProto]) -> list[onnx.NodeProto]:
    """Rows of bytes (N, bytes) -> (N, groups, bytes of a group), the last group filled up with zeros."""
    width, whole = -(-inputs * bits // 8), -(-inputs // size) * size * bits // 8
    name, rows, nodes = f"{weight}.blocks", weight, []
    if width < whole:
        rows, zero = f"{weight}.filled", 0x88 if bits == 4 else 0x80
        constants.append(helper.make_tensor(f"{weight}.missing", TensorProto.INT64, [4], [0, 0, 0, whole - width]))
        constants.append(helper.make_tensor(f"{weight}.zeros", TensorProto.UINT8, [], [zero]))
        nodes.append(helper.make_node("Pad", [weight, f"{weight}.missing", f"{weight}.zeros"], [rows], name=rows))
    constants.append(helper.make_tensor(f"{weight}.shape", TensorProto.INT64, [3], [0, -1, size * bits // 8]))
    return [*nodes, helper.make_node("Reshape", [rows, f"{weight}.shape"], [name], name=name)]


def _embed(network: "LanguageModel", bits: int, scales: str, constants: list[TensorProto]) -> list[onnx.NodeProto]:
    """tokens (T, B) -> embedded (T, B, E): rows of the packed table."""
    gather = {"bits": bits, "block_size": TABLE_GROUP, "gather_axis": 0, "quantize_axis": 1}
    steps: list[tuple[str, list[str], dict[str, Any]]] = [
        ("GatherBlockQuantized", ["embedding", "tokens", scales], {"domain": CONTRIB, **gather})
    ]
    if network.embedding_size * bits % 8:  # a row's last byte holds one number
        constants.append(helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1]))
        constants.append(helper.make_tensor("embedding_size", TensorProto.INT64, [1], [network.embedding_size]))
        steps.append(("Slice", ["", "first_axis", "embedding_size", "last_axis"], {}))
    if network.embedding_scale != 1:
        steps.append(("Mul", ["", "embedding_scale"], {}))
    nodes, x = [], ""
    for number, (kind, inputs, attributes) in enumerate(steps):
        out = "embedded" if number == len(steps) - 1 else f"embed{number}"
        nodes.append(helper.make_node(kind, [inputs[0] or x, *inputs[1:]], [out], name=f"embed.{kind}", **attributes))
        x = out
    return nodes


def _cell(k: int) -> list[onnx.NodeProto]:
    """gates (B, 4H) in the order i, o, f, c and the cell's state -> the next h and c (B, H) of layer k."""
    steps: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("Split", ["gates", "gates_and_cell"], ["iof", "z"], {"axis": -1}),
        ("Sigmoid", ["iof"], ["open"], {}),
        ("Split", ["open"], ["i", "o", "f"], {"axis": -1, "num_outputs": 3}),
        ("Tanh", ["z"], ["new"], {}),
        ("Mul", ["f", "c.in"], ["old"], {}),
        ("Mul", ["i", "new"], ["added"], {}),
        ("Add", ["old", "added"], ["c.out"], {}),
        ("Tanh", ["c.out"], ["shown"], {}),
        ("Mul", ["o", "shown"], ["h.out"], {}),
    ]

    def named(name: str) -> str:
        """`c.in` -> `c0.in`, `gates` -> `gates0`; what all layers share keeps its name."""
        first, dot, rest = name.partition(".")
        return name if name == "gates_and_cell" else f"{first}{k}{dot}{rest}"

    return [
        helper.make_node(
            kind, [named(x) for x in inputs], [named(x) for x in outputs], name=f"cell{k}.{number}", **attributes
        )
        for number, (kind, inputs, outputs, attributes) in enumerate(steps)
    ]
