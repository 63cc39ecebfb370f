"""Bytes to text: decoded in pieces, checked to be text, cut into lines.

In: an open file, packed or not. Out: pieces of text of about a million characters that may end anywhere.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from llmkit.data.unpacking import unpacked
from llmkit.errors import ConfigError, InputError


def check_encoding(encoding: str) -> None:
    """Refuse an encoding that Python does not know, or that is none of text (rot13, zip). Raises ConfigError."""
    try:
        known = codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            f"prepare.encoding: no encoding is called '{encoding}'; common are utf-8, latin-1, cp1252, utf-16"
        ) from error
    if not getattr(known, "_is_text_encoding", True):
        raise ConfigError(f"prepare.encoding: '{encoding}' is no text encoding; the usual one is utf-8")


def texts(file: BinaryIO, name: str, encoding: str) -> Iterator[tuple[Iterator[str], str, str]]:
    """The text of a file, or of each file packed in it: (pieces, what messages call it, its name without .gz).

    Raises InputError for bytes that are no text in this encoding.
    """
    for blocks, label, inner in unpacked(file, name):
        yield _decode(blocks, label, encoding), label, inner


def lines(pieces: Iterable[str]) -> Iterator[str]:
    r"""Whole lines, each with its `\n`, from pieces that end anywhere."""
    parts: list[str] = []
    for piece in pieces:
        head, *rest = piece.split("\n")
        parts.append(head)
        for part in rest:
            yield "".join(parts) + "\n"
            parts = [part]
    if last := "".join(parts):
        yield last


def _decode(blocks: Iterator[bytes], name: str, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0  # of the current block in the file
    first = True
    block = b" "
    while block:
        block = next(blocks, b"")
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            if b"\0" in block:
                raise _binary(name) from error
            # The decoder puts the bytes of an unfinished character before the block.
            before = len(getattr(error, "object", block)) - len(block)
            place = offset - before + getattr(error, "start", 0)
            raise InputError(
                f"{name} is not valid {encoding} at byte {place:,}; name its encoding, "
                "e.g. prepare.encoding=latin-1 or cp1252, or mend the file"
            ) from error
        offset += len(block)
        if "\0" in text:
            raise _binary(name)
        if first and text:
            text = text.removeprefix("\ufeff")  # byte order mark
            first = False
        if text:
            yield text


def _binary(name: str) -> InputError:
    if name.lower().endswith((".xlsx", ".xls", ".ods")):
        return InputError(f"{name} is a spreadsheet; save its rows as CSV and name that file")
    return InputError(
        f"{name} looks like a binary file (it holds NUL bytes); name another file or, if it is text, its encoding, "
        "e.g. prepare.encoding=utf-16"
    )
