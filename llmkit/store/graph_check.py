"""Whether a graph from elsewhere may be run: graph.onnx is read here without onnx, before ONNX Runtime sees it.

ONNX Runtime would open files that an initializer names, and computes what it is told to. So a graph may name no file
but the weights beside it, as they are there; it is made of the operators that llmkit writes, of which none opens a
file, runs code or repeats without end (a `Scan` goes once over its input, and holds none itself); and what is made of
constants alone when it is loaded stays within the memory that `memory` allows. (What a run takes, `runtime.session`
limits.) Numbers of fields are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from llmkit.errors import InputError
from llmkit.store import memory
from llmkit.store.protobuf import fields, message, numbers, text

WEIGHTS = "model.safetensors"
CONTRIB = "com.microsoft"
SCAN = "Scan"
# A task whose graph has another one adds it here, once it is sure that it opens nothing and ends.
OPERATORS = {
    "": {
        *("Add", "Cast", "Concat", "Conv", "ConvTranspose", "Cos", "DepthToSpace", "DequantizeLinear", "Div"),
        *(
            "DynamicQuantizeLinear",
            "Flatten",
            "Gather",
            "Gemm",
            "Identity",
            "LSTM",
            "LayerNormalization",
            "LeakyRelu",
            "MatMul",
        ),
        *("MatMulInteger", "Mul", "Pad", "QLinearConv", "QuantizeLinear", "ReduceMax", "ReduceMean", "ReduceSum"),
        *(
            "Relu",
            "Reshape",
            "Round",
            SCAN,
            "Sigmoid",
            "Sin",
            "Slice",
            "Softmax",
            "Split",
            "Sqrt",
            "Squeeze",
            "Sub",
            "Tanh",
        ),
        *("Transpose", "Unsqueeze"),
    },
    CONTRIB: {"DynamicQuantizeLSTM", "GatherBlockQuantized", "MatMulNBits", "QLinearAdd"},
}
# Nodes of constants alone are computed when the graph is loaded: these make nothing larger, `Pad` as it says.
KEEP_SIZE = {"Cast", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
MOST_NODES = 10_000
WIDEST = 8  # bytes of a number
TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
}

MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_SPARSE = 1, 5, 11, 15
INPUT_NAME = 1
NODE_INPUT, NODE_OUTPUT, NODE_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 4, 5, 7
ATTRIBUTE_GRAPH = 6
ATTRIBUTE_REFUSED = {5, 10, 11, 14, 15, 22, 23}  # tensors, types, sparse tensors, several graphs
TENSOR_DIMS, TENSOR_TYPE, TENSOR_NAME, TENSOR_RAW, TENSOR_EXTERNAL, TENSOR_LOCATION = 1, 2, 8, 9, 13, 14
TENSOR_INT64 = 7
TENSOR_DATA = {4, 5, 6, TENSOR_INT64, TENSOR_RAW, 10, 11}
ENTRY_KEY, ENTRY_VALUE, NOTHING = 1, 2, memoryview(b"")
PACKED = 2  # numbers of 4 bits in a byte


class _Refused(Exception):
    """What is wrong with a graph."""


@dataclass
class _Tensor:
    """A constant of a graph."""

    name: str
    shape: list[int]
    type: int
    values: list[int]
    """Those of a small one of int64, for what `Pad` adds."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)


@dataclass
class _Node:
    type: str = ""
    domain: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    body: memoryview | None = None


def check(graph: bytes, weights: Mapping[str, np.ndarray], where: str) -> None:
    """Raise InputError, saying `where` it lies, for a graph that is not to be run with these weights."""
    try:
        _Check(weights).model(memoryview(graph))
    except (_Refused, ValueError, OverflowError) as error:
        raise InputError(
            f"{where} is refused: {error}; take a model folder that llmkit made, or make it again"
        ) from error


class _Check:
    def __init__(self, weights: Mapping[str, np.ndarray]):
        self.weights = weights
        self.constants: dict[str, _Tensor] = {}
        self.known = {""}
        self.nodes = self.made = 0

    def model(self, data: memoryview) -> None:
        graphs = []
        for number, value in fields(data):
            if number in (MODEL_TRAINING, MODEL_FUNCTIONS):
                raise _Refused("it has functions of its own")
            if number == MODEL_GRAPH:
                graphs.append(message(value))
        if len(graphs) != 1:
            raise _Refused("it is no ONNX model" if not graphs else "it has two graphs")
        self.graph(graphs[0], inside=False)

    def graph(self, data: memoryview, inside: bool) -> None:
        parts = list(fields(data))
        for number, value in parts:
            if number == GRAPH_INPUT:
                self.known |= {text(name) for part, name in fields(message(value)) if part == INPUT_NAME}
            if number == GRAPH_SPARSE or (number == GRAPH_INITIALIZER and inside):
                raise _Refused("it has constants of a kind that llmkit does not write")
            if number == GRAPH_INITIALIZER:
                tensor = self.tensor(message(value))
                self.constants[tensor.name] = tensor
                self.known.add(tensor.name)
        for number, value in parts:
            if number == GRAPH_NODE:
                self.node(_node(message(value)), inside)

    def node(self, node: _Node, inside: bool) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _Refused(f"it has more than {MOST_NODES:,} nodes")
        domain = "" if node.domain == "ai.onnx" else node.domain
        if node.type not in OPERATORS.get(domain, ()) or (inside and node.type == SCAN):
            raise _Refused(
                f"it has the operator {f'{domain}.'.lstrip('.')}{node.type[:40]!r}, which llmkit never writes there"
            )
        if not self.known.issuperset(node.inputs):
            raise _Refused("its nodes do not stand in their order")
        self.known.update(node.outputs)
        given = [self.constants.get(name) for name in node.inputs if name]
        if (node.body is not None) != (node.type == SCAN):
            raise _Refused("it has a graph inside where none belongs")
        if node.body is not None:
            if any(given):
                raise _Refused("it has a loop over constants")
            self.graph(node.body, inside=True)
        elif all(given):
            self.folded(node, [tensor for tensor in given if tensor])

    def folded(self, node: _Node, given: list[_Tensor]) -> None:
        """A node of constants alone, computed when the graph is loaded."""
        if not given or node.type not in {*KEEP_SIZE, "Pad"} or len(node.outputs) != 1:
            raise _Refused(f"it computes {node.type} of constants alone")
        shape = [given[0].size]
        if node.type == "Pad":
            added = given[1].values if len(given) > 1 else []
            if len(added) != 2 * len(given[0].shape) or min(added) < 0:
                raise _Refused("it pads a constant by what it does not say")
            sides = zip(given[0].shape, added[: len(added) // 2], added[len(added) // 2 :], strict=True)
            shape = [size + first + last for size, first, last in sides]
        self.constants[node.outputs[0]] = made = _Tensor(node.outputs[0], shape, 0, [])
        self.made += WIDEST * made.size
        if self.made > memory.most_bytes():
            raise _Refused(f"its constants would take {self.made:,} bytes of memory")

    def tensor(self, data: memoryview) -> _Tensor:
        """An initializer: the declaration of a weight, or a constant with its numbers."""
        found = _Tensor("", [], 0, [])
        location: dict[str, str] = {}
        external, held = False, 0
        for number, value in fields(data):
            if number == TENSOR_DIMS:
                found.shape += numbers(value)
            elif number == TENSOR_TYPE:
                found.type = numbers(value)[0]
            elif number == TENSOR_NAME:
                found.name = text(value)
            elif number == TENSOR_LOCATION:
                external = external or value != 0
            elif number == TENSOR_EXTERNAL:
                external = True
                entry = dict(fields(message(value)))
                location[text(entry.get(ENTRY_KEY, NOTHING))] = text(entry.get(ENTRY_VALUE, NOTHING))
            elif number in TENSOR_DATA:
                held += 1 if isinstance(value, int) else len(value)
                if number == TENSOR_INT64 and held <= 200:
                    found.values += numbers(value)
                elif number == TENSOR_RAW and held <= 200 and held % 8 == 0:
                    found.values += np.frombuffer(message(value), "<i8").tolist()
        if external:
            self.declared(found, location, held)
        elif found.size > PACKED * held:
            raise _Refused(f"its constant {found.name[:40]!r} has {found.size:,} numbers in {held:,} bytes")
        return found

    def declared(self, tensor: _Tensor, location: dict[str, str], held: int) -> None:
        array = self.weights.get(tensor.name)
        if location != {"location": WEIGHTS} or held or array is None:
            raise _Refused(f"it names a file of its own for {tensor.name[:40]!r}")
        if tensor.shape != list(array.shape) or tensor.type != TYPES.get(array.dtype.name):
            raise _Refused(f"it has {tensor.name[:40]!r} in another shape or type than {WEIGHTS}")


def _node(data: memoryview) -> _Node:
    found = _Node()
    for number, value in fields(data):
        if number == NODE_INPUT:
            found.inputs.append(text(value))
        elif number == NODE_OUTPUT:
            found.outputs.append(text(value))
        elif number == NODE_TYPE:
            found.type = text(value)
        elif number == NODE_DOMAIN:
            found.domain = text(value)
        elif number == NODE_ATTRIBUTE:
            for inner, content in fields(message(value)):
                if inner in ATTRIBUTE_REFUSED or (inner == ATTRIBUTE_GRAPH and found.body is not None):
                    raise _Refused("it has constants within its nodes")
                if inner == ATTRIBUTE_GRAPH:
                    found.body = message(content)
    return found
