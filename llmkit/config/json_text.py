"""JSON text to plain data, stricter than Python's own reader: what llmkit writes itself passes, and no trap does.

UTF-8 alone, a key stands once in an object, numbers are finite, nothing is nested deeper than `MAX_DEPTH`. (What is
nested more than some thousand levels deep ends a program that walks it.)
"""

import json
import math
from typing import Any

MAX_DEPTH = 50


def parse(data: bytes | str) -> Any:
    """The value that a JSON text holds. Raises ValueError, whose message says what is wrong."""
    text = data if isinstance(data, str) else data.decode("utf-8")
    try:
        found = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse)
    except RecursionError as error:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from error
    check_depth(found)
    return found


def check_depth(value: object) -> None:
    """Raise ValueError for lists and objects nested more than `MAX_DEPTH` levels deep."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [item for part in level if isinstance(part, dict | list) for item in _inside(part)]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _inside(part: "dict[str, object] | list[object]") -> list[object]:
    return [item for item in (part.values() if isinstance(part, dict) else part) if isinstance(item, dict | list)]


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:60]} is too large a number")
    return number


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
