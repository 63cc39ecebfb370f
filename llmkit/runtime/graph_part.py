"""One part of a graph that computes several things: what some of its outputs need, and no more.

In: the bytes of graph.onnx. Out: the same with the nodes, inputs and constants that lead to the outputs asked for.
Works on the wire format, so that onnx is not needed to run a model. An encoder and a decoder that share weights lie in
one file this way, and each runs by itself.
"""

from collections.abc import Iterable

from llmkit.errors import InputError
from llmkit.store.graph_check import (
    GRAPH_INITIALIZER,
    GRAPH_INPUT,
    GRAPH_NODE,
    MODEL_GRAPH,
    NODE_INPUT,
    NODE_OUTPUT,
    TENSOR_NAME,
)
from llmkit.store.protobuf import Field, fields, message, text

GRAPH_OUTPUT, GRAPH_VALUE = 12, 13
VALUE_NAME = 1


def part(graph: bytes, outputs: Iterable[str], where: str = "the graph") -> tuple[bytes, set[str]]:
    """(the part of a graph that gives `outputs`, the names of what it reads: inputs and weights).

    Raises InputError, which says `where` the graph lies, for what is no graph or lacks an output.
    """
    try:
        return _part(graph, set(outputs))
    except (ValueError, KeyError) as error:
        raise InputError(f"{where} is damaged: {error}; make the model again, or copy it anew") from error


def _part(graph: bytes, wanted: set[str]) -> tuple[bytes, set[str]]:
    model = list(fields(memoryview(graph)))
    inner = [field for number, value in model if number == MODEL_GRAPH for field in fields(message(value))]
    there = {_name(value, VALUE_NAME) for number, value in inner if number == GRAPH_OUTPUT}
    if missing := sorted(wanted - there):
        raise ValueError(f"it has no output {missing[0]!r}")
    needed, kept = set(wanted), set()
    for place in range(len(inner) - 1, -1, -1):  # nodes stand in the order in which they are computed
        number, value = inner[place]
        if number == GRAPH_NODE:
            reads, gives = _names(value)
            if needed & gives:
                needed |= reads
                kept.add(place)
    out = bytearray()
    for place, (number, value) in enumerate(inner):
        if number == GRAPH_NODE:
            keep = place in kept
        elif number in (GRAPH_INITIALIZER, GRAPH_INPUT):
            keep = _name(value, TENSOR_NAME if number == GRAPH_INITIALIZER else VALUE_NAME) in needed
        elif number == GRAPH_OUTPUT:
            keep = _name(value, VALUE_NAME) in wanted
        else:
            keep = number != GRAPH_VALUE
        if keep:
            out += _field(number, value)
    found = bytearray()
    for number, value in model:
        found += _field(number, memoryview(bytes(out)) if number == MODEL_GRAPH else value)
    return bytes(found), needed


def _name(value: Field, field: int) -> str:
    return next((text(content) for number, content in fields(message(value)) if number == field), "")


def _names(node: Field) -> tuple[set[str], set[str]]:
    """(what a node reads, what it gives)."""
    reads, gives = set(), set()
    for number, value in fields(message(node)):
        if number == NODE_INPUT:
            reads.add(text(value))
        elif number == NODE_OUTPUT:
            gives.add(text(value))
    return reads, gives


def _field(number: int, value: Field) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + bytes(value)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
