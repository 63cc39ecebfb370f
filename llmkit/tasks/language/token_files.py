"""Text to token ids in an .npy file, in one process or several.

In: the parts of a split, a tokenizer. Out: one array of ids, each part preceded by the boundary token; the same bytes
for any number of processes.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict

import numpy as np

from llmkit.console.callbacks import Progress
from llmkit.data import encoding_workers, tokenizer as tokenizers
from llmkit.runtime.processors import usable_processors
from llmkit.store import new_files
from llmkit.tasks.language.spool import Parts, texts_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_CHARACTERS = 1 << 20  # encoded and written at once
WORKERS_FROM = 16 << 20  # bytes of a split from which starting workers pays where nobody asks for them


class Figures(TypedDict):
    """What is counted of a stream of tokens; each document has one boundary among the tokens."""

    documents: int
    characters: int
    bytes: int
    tokens: int
    unknown_tokens: int


def write_tokens(
    tokenizer: "Tokenizer", spool: BinaryIO, parts: Parts, path: Path, workers: int | None, progress: Progress
) -> tuple[Figures, np.ndarray]:
    """Encode the parts into one .npy file; returns figures and how often each token occurs, (vocab_size,)."""
    encoder = tokenizers.Encoder(tokenizer)
    boundary = np.array([encoder.boundary_id], encoder.dtype)
    size = int((parts.end - parts.start).sum())
    counts = np.zeros(encoder.vocab_size, dtype=np.int64)
    tokens = done = 0
    with new_files.opened(path) as file:
        _write_header(file, encoder.dtype, 0)
        for batch, ids in _encoded(tokenizer, encoder, _batches(spool, parts, encoder.kind), workers, size):
            pieces = [piece for text, array in zip(batch, ids, strict=True) for piece in _with(boundary, text, array)]
            written = np.concatenate([*pieces, boundary[:0]])
            file.write(written.tobytes())
            counts += np.bincount(written, minlength=encoder.vocab_size)
            tokens += len(written)
            done += sum(len(text) for text in batch if text is not None)
            progress(f"encoding {path.stem}", done, parts.characters)
        progress(f"encoding {path.stem}", parts.characters, parts.characters)
        file.seek(0)
        _write_header(file, encoder.dtype, tokens)
    unknown = 0 if encoder.unknown_id is None else int(counts[encoder.unknown_id])
    return {
        "documents": len(parts.start),
        "characters": parts.characters,
        "bytes": size,
        "tokens": tokens,
        "unknown_tokens": unknown,
    }, counts


def _batches(spool: BinaryIO, parts: Parts, kind: str) -> Iterator[list[str | None]]:
    """The parts in runs of about BATCH_CHARACTERS; None stands where a part begins."""
    batch: list[str | None] = []
    waiting = 0
    for blocks in texts_of(spool, parts, any_cut=kind in ("char", "byte")):
        batch.append(None)
        for text in blocks:
            batch.append(text)
            waiting += len(text)
            if waiting >= BATCH_CHARACTERS:
                yield batch
                batch, waiting = [], 0
    if batch:
        yield batch


def _encoded(
    tokenizer: "Tokenizer",
    encoder: tokenizers.Encoder,
    batches: Iterator[list[str | None]],
    workers: int | None,
    size: int,
) -> Iterator[tuple[list[str | None], list[np.ndarray]]]:
    """Each batch with the ids of its texts, an empty array for None; `size` in bytes decides whether workers pay."""
    count = workers or usable_processors()
    if count == 1 or encoder.kind in ("char", "byte") or (workers is None and size < WORKERS_FROM):
        for batch in batches:
            yield batch, [encoder.encode(text or "") for text in batch]
        return
    kept: deque[list[str | None]] = deque()

    def texts() -> Iterator[list[str]]:
        for batch in batches:
            kept.append(batch)
            yield [text or "" for text in batch]

    for ids in encoding_workers.encoded(texts(), tokenizer, encoder.dtype, count):
        yield kept.popleft(), ids


def _with(boundary: np.ndarray, text: str | None, ids: np.ndarray) -> tuple[np.ndarray, ...]:
    return (boundary,) if text is None else (ids,)


def _write_header(file: BinaryIO, dtype: np.dtype, tokens: int) -> None:
    """The header of a one-dimensional .npy file; numpy leaves room for any length, so it can be rewritten."""
    description = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": description, "fortran_order": False, "shape": (tokens,)})
