"""Strict JSON: what is refused, and that what Python writes is read back."""

import json

import pytest
from hypothesis import given, strategies

from llmkit.config import json_text

plain = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.text()
    | strategies.floats(allow_nan=False, allow_infinity=False),
    lambda inner: strategies.lists(inner) | strategies.dictionaries(strategies.text(), inner),
    max_leaves=20,
)


@given(plain)
def test_what_was_written_is_read(data: object) -> None:
    assert json_text.parse(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff\xfe[\x001\x00]\x00", "can't decode byte 0xff"),  # UTF-16, which Python's own reader takes
        ('{"a": {"b": 1, "c": 2, "b": 3}}', "the key 'b' stands twice"),
        ("[1e999]", "1e999 is too large a number"),
        ("[NaN]", "NaN is no number of JSON"),
        ("-Infinity", "-Infinity is no number of JSON"),
        ("[" * 51 + "]" * 51, None),
        ("[" * 52 + "]" * 52, "nested more than 50 levels deep"),
        ('{"a":' * 52 + "1" + "}" * 52, "nested more than 50 levels deep"),
        ("[" * 100_000, "nested more than 50 levels deep"),
        ("[" * 100_000 + "]" * 100_000, "nested more than 50 levels deep"),
        ("9" * 5000, "4300"),
        ("{", "Expecting property name"),
    ],
)
def test_what_is_refused(data: bytes | str, says: str | None) -> None:
    if says is None:
        json_text.parse(data)
        return
    with pytest.raises(ValueError, match=says):
        json_text.parse(data)


def test_any_bytes_are_read_or_a_value_error() -> None:
    for data in (b"", b"\0", b"[1", b'"\\ud800"', b"nul", b"[1,]", b"'a'"):
        try:
            json_text.parse(data)
        except ValueError:
            continue
        assert data == b'"\\ud800"'
