"""Texts to token ids and back: one vocabulary for sources and targets, or one for each, side by side.

In: tokenizer.json or symbols.json (and target_…) of a prepared folder or a model folder. Ids: 0 is the boundary, at
which a text ends and writing begins; then come the tokens of the sources and, unless these are shared, of the targets.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from llmkit.data import tokenizer as tokenizers
from llmkit.data.plain_text import normal
from llmkit.store import new_files
from llmkit.store.files import Files

BOUNDARY = 0
SYMBOLS = "symbols.json"
TARGET = "target_"
FILES = (tokenizers.FILE, SYMBOLS, TARGET + tokenizers.FILE, TARGET + SYMBOLS)
MOST_SYMBOLS = 1_000_000


def clean(text: str) -> str:
    """A text in its one spelling, on one line, runs of white space being one space."""
    return " ".join(normal(text).split())


class Side(Protocol):
    """A vocabulary by itself, its ids from 0."""

    size: int
    unknown_id: int | None

    def encode(self, text: str) -> np.ndarray:
        """The ids (T,) of a text."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""

    def silent(self) -> list[int]:
        """Ids that are never written: unknown, and what stands for nothing."""

    def parts(self, text: str) -> list[str]:
        """What the error rates count: symbols, or else characters."""


class TextSide:
    """Tokens of text by a tokenizer.json."""

    def __init__(self, folder: Files, prefix: str):
        name = prefix + tokenizers.FILE
        self.tokenizer = tokenizers.from_bytes(folder.read_bytes(name), folder.path / name)
        self.encoder = tokenizers.Encoder(self.tokenizer)
        self.table = tokenizers.token_bytes(self.tokenizer)
        self.size, self.unknown_id = self.encoder.vocab_size, self.encoder.unknown_id

    def encode(self, text: str) -> np.ndarray:
        return self.encoder.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        return tokenizers.decode(self.table, ids)

    def silent(self) -> list[int]:
        return [self.encoder.boundary_id, *([] if self.unknown_id is None else [self.unknown_id])]

    def parts(self, text: str) -> list[str]:
        return list(text)


class SymbolSide:
    """Symbols that blanks part; id 0 is that of unknown ones."""

    def __init__(self, symbols: list[str]):
        self.symbols = symbols
        self.ids = {symbol: number for number, symbol in enumerate(symbols, 1)}
        self.size = len(symbols) + 1
        self.unknown_id: int | None = 0

    def encode(self, text: str) -> np.ndarray:
        return np.array([self.ids.get(symbol, 0) for symbol in text.split()], np.int32)

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.symbols[number - 1] for number in ids if number)

    def silent(self) -> list[int]:
        return [0]

    def parts(self, text: str) -> list[str]:
        return text.split()


class Vocabulary:
    """Both sides. `size` ids in all; `written` (size,) bool says which may be written."""

    def __init__(self, source: Side, target: Side | None = None):
        """`target`: None where the two share one vocabulary."""
        self.source, self.target = source, target or source
        self.offset = 1 if target is None else 1 + source.size  # of a target's ids
        self.size = self.offset + self.target.size
        self.written = np.zeros(self.size, bool)
        self.written[BOUNDARY] = True
        self.written[self.offset :] = True
        self.written[[self.offset + silent for silent in self.target.silent()]] = False

    def of_source(self, text: str) -> np.ndarray:
        """The ids (S,) int32 of a source, without a boundary."""
        return self.source.encode(text).astype(np.int32) + 1

    def of_target(self, text: str) -> np.ndarray:
        """The ids (T,) int32 of a target, without a boundary."""
        return self.target.encode(text).astype(np.int32) + self.offset

    def text(self, ids: Iterable[int]) -> str:
        """The target that ids, without a boundary, stand for."""
        return self.target.decode([number - self.offset for number in ids])

    def unknown(self, ids: np.ndarray) -> int:
        """How many ids of a source stand for what the vocabulary lacks."""
        return 0 if self.source.unknown_id is None else int(np.count_nonzero(ids == 1 + self.source.unknown_id))


def of_folder(folder: Files) -> Vocabulary:
    """The vocabulary of a prepared folder or a model folder. Raises InputError."""
    return Vocabulary(_side(folder, ""), _side(folder, TARGET) if has_target(folder) else None)


def alike(one: Files, other: Files) -> bool:
    """Whether two folders have the same vocabulary."""
    there = [name for name in FILES if name in one]
    return there == [name for name in FILES if name in other] and all(
        one.read_bytes(name) == other.read_bytes(name) for name in there
    )


def has_target(folder: Files) -> bool:
    """Whether targets have a vocabulary of their own."""
    return any(TARGET + name in folder for name in (tokenizers.FILE, SYMBOLS))


def _side(folder: Files, prefix: str) -> Side:
    if prefix + SYMBOLS not in folder:
        return TextSide(folder, prefix)
    symbols = folder.read_as(prefix + SYMBOLS, list[str])
    if not symbols or len(set(symbols)) < len(symbols) or any(symbol.split() != [symbol] for symbol in symbols):
        raise folder.damaged(prefix + SYMBOLS, "no list of different symbols")
    return SymbolSide(symbols)


def learn(kind: str, vocab_size: int | None, texts: Sequence[str], out: Path, prefix: str) -> None:
    """Write the vocabulary of training texts into a folder; bpe has `vocab_size` tokens at most."""
    if kind == "symbols":
        symbols = sorted({symbol for text in texts for symbol in text.split()})
        new_files.write_text(out / (prefix + SYMBOLS), json.dumps(symbols, ensure_ascii=False) + "\n")
        return
    size = vocab_size or usual_size(sum(map(len, texts)))
    tokenizers.save(tokenizers.train(kind, size, texts), out / (prefix + tokenizers.FILE))


def usual_size(characters: int) -> int:
    """Tokens of bpe for so many characters: 4 times their square root, from 300 to 8,000."""
    return min(8000, max(300, round(4 * characters**0.5)))
