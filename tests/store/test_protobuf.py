"""The wire format, against messages that protobuf itself has written."""

import onnx
import pytest
from hypothesis import given, strategies

from llmkit.store import protobuf


def test_fields_of_what_protobuf_wrote() -> None:
    node = onnx.helper.make_node("Scan", ["a", "b"], ["c"], name="n", domain="d")
    found = [(number, protobuf.text(value)) for number, value in protobuf.fields(memoryview(node.SerializeToString()))]
    assert found == [(1, "a"), (1, "b"), (2, "c"), (3, "n"), (4, "Scan"), (7, "d")]


@given(strategies.lists(strategies.integers(0, 2**63 - 1), min_size=1))
def test_whole_numbers_packed_or_not(values: list[int]) -> None:
    tensor = onnx.TensorProto(dims=values, int64_data=values)
    found: dict[int, list[int]] = {}
    for number, value in protobuf.fields(memoryview(tensor.SerializeToString())):
        found.setdefault(number, []).extend(protobuf.numbers(value))
    assert found == {1: values, 7: values}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"\x0a\x05ab", "field 1 is cut off"),
        (b"\x0b", "field 1 is of an unknown kind, 3"),
        (b"\x08\xff\xff", "a number is cut off"),
        (b"\x08" + b"\xff" * 10, "a number is cut off"),
        (b"\x8a\x80\x80\x80\x70\x01a", "the number of a field is too large"),  # protobuf itself would read field 1
    ],
)
def test_what_is_no_message(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{problem}$"):
        list(protobuf.fields(memoryview(data)))


@given(strategies.binary(max_size=60))
def test_any_bytes_are_fields_or_refused(data: bytes) -> None:
    try:
        found = list(protobuf.fields(memoryview(data)))
    except ValueError:
        return
    assert sum(len(value) for _, value in found if not isinstance(value, int)) <= len(data)


def test_a_number_is_no_text_and_no_message() -> None:
    with pytest.raises(ValueError, match="text"):
        protobuf.text(3)
    with pytest.raises(ValueError, match="message"):
        protobuf.message(3)
