"""The wire format of protocol buffers, as far as the check of a graph reads it.

In: bytes. Out: the fields of one message, by number: whole numbers, or bytes that may hold a message of their own.
(https://protobuf.dev/programming-guides/encoding)
"""

from collections.abc import Iterator

Field = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Field]]:
    """(number, value) of each field of a message. Raises ValueError for what is no message."""
    place, end = 0, len(message)
    while place < end:
        key, place = _varint(message, place)
        if key >> 32:
            raise ValueError("the number of a field is too large")
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"field {number} is of an unknown kind, {kind}")
        if place + length > end:
            raise ValueError(f"field {number} is cut off")
        yield number, message[place : place + length]
        place += length


def numbers(value: Field) -> list[int]:
    """The whole numbers of a repeated field, one by itself or many packed."""
    if isinstance(value, int):
        return [value]
    found, place = [], 0
    while place < len(value):
        number, place = _varint(value, place)
        found.append(number)
    return found


def text(value: Field) -> str:
    """A field of text. Raises ValueError."""
    if isinstance(value, int):
        raise ValueError("a number where text is wanted")
    return str(value, "utf-8")


def message(value: Field) -> memoryview:
    """A field that is a message of its own. Raises ValueError."""
    if isinstance(value, int):
        raise ValueError("a number where a message is wanted")
    return value


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """(number, the place after it): seven bits a byte, the lowest first."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value & (1 << 64) - 1, place
    raise ValueError("a number is cut off")
