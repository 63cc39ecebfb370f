"""The cleaned text of all documents in one file, and where each document or part of one is in it.

In: files and the section prepare. Out: an open file and `Documents`; the texts of `Parts`, in blocks that can be
encoded one by one. So no file has to fit into memory: what grows with the corpus are a few numbers for each document.
"""

import codecs
import hashlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import tokenizer as tokenizers
from llmkit.data.cleaning import build_cleaner
from llmkit.data.documents import read_documents
from llmkit.data.files import open_file
from llmkit.data.splits import number_groups
from llmkit.errors import InputError
from llmkit.store import new_files
from llmkit.tasks.language.settings import Prepare

BLOCK_BYTES = 1 << 16  # of cleaned text encoded at once: small enough for the processor's cache
LONGEST_BLOCK = 1 << 20  # characters; where no cut is safe for so long, the text is cut anyhow
REPORT_CHARACTERS = 4 << 20  # between two calls of progress


@dataclass
class Documents:
    """Where each document is in the spooled text; arrays, for there may be millions."""

    start: np.ndarray  # (documents,) int64, byte
    end: np.ndarray  # (documents,) int64, byte
    characters: np.ndarray  # (documents,) int64
    digest: np.ndarray  # (documents, 2) uint64, BLAKE2b of the text
    masked: dict[str, int] = field(default_factory=dict)  # how often the cleaning masked what, in all that was read

    def take(self, chosen: np.ndarray) -> "Documents":
        """These documents only."""
        return Documents(self.start[chosen], self.end[chosen], self.characters[chosen], self.digest[chosen])


@contextmanager
def spooled(
    paths: list[Path], settings: Prepare, work: Path, progress: Progress, warn: Warn
) -> Iterator[tuple[BinaryIO, Documents]]:
    """The cleaned text of all documents in one file, which is gone afterwards."""
    work.mkdir(parents=True, exist_ok=True)
    with new_files.scratch(work / "documents.txt") as spool:
        documents = _spool(paths, settings, spool, progress, warn)
        spool.flush()
        yield spool, documents


def _spool(paths: list[Path], settings: Prepare, spool: BinaryIO, progress: Progress, warn: Warn) -> Documents:
    masked: dict[str, int] = {}
    clean = build_cleaner(settings.clean, masked)
    ends, lengths, digests = array("q"), array("q"), bytearray()
    total = sum(path.stat().st_size for path in paths)
    read = 0  # bytes of the files before this one
    written = reported = 0
    for path in paths:
        before = len(ends)
        with open_file(path) as file:
            for document in read_documents(
                file, str(path), format=settings.format, field=settings.field, encoding=settings.encoding
            ):
                digest = hashlib.blake2b(digest_size=16)
                characters = 0
                for piece in clean(document):
                    data = piece.encode("utf-8", "replace")  # JSON may hold half of a surrogate pair
                    spool.write(data)
                    digest.update(data)
                    characters += len(piece)
                    written += len(data)
                    if written >= reported:
                        progress("reading", read + min(file.tell(), total), total)
                        reported = written + REPORT_CHARACTERS
                if characters:
                    ends.append(written)
                    lengths.append(characters)
                    digests += digest.digest()
            read += file.seek(0, 2)
        if len(ends) == before and len(paths) > 1:
            warn(f"{path} holds no text and is skipped")
    if not ends:
        raise InputError(f"there is no text in {_few(paths)}; name other files in prepare.files, or clean less")
    progress("reading", total, total)
    end = np.array(ends, dtype=np.int64)
    start = np.concatenate([[0], end[:-1]])
    return Documents(
        start, end, np.array(lengths, dtype=np.int64), np.frombuffer(digests, "<u8").reshape(-1, 2), masked
    )


def _few(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def without_copies(documents: Documents) -> tuple[Documents, int]:
    """(each different text once, how many copies there were)."""
    first, number = number_groups(documents.digest)
    return documents.take(first), len(number) - len(first)


@dataclass
class Parts:
    """What a split consists of: documents or parts of them, in the order of the corpus."""

    start: np.ndarray  # (parts,) int64, byte in the spooled text
    end: np.ndarray  # (parts,) int64
    characters: int


def whole(documents: Documents) -> Parts:
    return Parts(documents.start, documents.end, int(documents.characters.sum()))


def texts_of(spool: BinaryIO, parts: Parts, any_cut: bool = False) -> Iterator[Iterator[str]]:
    """For each part its text in blocks that can be encoded one by one."""
    for start, end in zip(parts.start.tolist(), parts.end.tolist(), strict=True):
        if end - start <= BLOCK_BYTES:
            spool.seek(start)
            yield iter((spool.read(end - start).decode(),))
        else:
            yield _blocks(spool, start, end, any_cut)


def _blocks(spool: BinaryIO, start: int, end: int, any_cut: bool) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    held = ""
    spool.seek(start)
    while start < end:
        data = spool.read(min(max(BLOCK_BYTES, len(held)), end - start))
        start += len(data)
        text = held + decoder.decode(data, final=start >= end)
        cut = len(text)
        if start < end and not any_cut and cut < LONGEST_BLOCK:
            cut = tokenizers.safe_cut(text)
        held = text[cut:]
        if cut:
            yield text[:cut]
