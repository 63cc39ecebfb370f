"""Raw files to streams of token ids.

In: the section `prepare` of the config. Out, in the folder `out`:

    tokenizer.json                 trained on the training split only
    train.npy val.npy test.npy     shape (tokens,), the smallest unsigned type; no test.npy if its share is 0
    meta.json                      what was read, how it was split, what it became

A split is one stream: each document, or part of one, is preceded by the boundary token. The same files,
settings and seed give the same bytes.

The cleaned text is written to `work/documents.txt` first, so that no file has to fit into memory: what grows
with the data is some dozens of bytes for each document.

Left out: making `out` complete-or-absent, and knowing whether there is anything to do (`llmkit/stages`).
"""

import codecs
import hashlib
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypedDict

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import encoding_workers, tokenizer as tokenizers
from llmkit.data.cleaning import build_cleaner, drops_documents
from llmkit.data.copies import warn_of_copies
from llmkit.data.decoding import check_encoding
from llmkit.data.documents import read_documents
from llmkit.data.files import find_files, hash_files, open_file
from llmkit.data.prepared_folder import check_split, write_meta
from llmkit.data.splits import SPLITS, grouped, number_groups
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.runtime.processors import usable_processors
from llmkit.store.artifacts import Source
from llmkit.tasks.language.settings import Prepare, Split

if TYPE_CHECKING:
    from tokenizers import Tokenizer

KEEP_COPIES = "set prepare.split.by: document, which keeps copies together, or prepare.clean: drop_duplicates"
BLOCK_BYTES = 1 << 16  # of cleaned text encoded at once: small enough for the processor's cache
LONGEST_BLOCK = 1 << 20  # characters; where no cut is safe for so long, the text is cut anyhow
BATCH_CHARACTERS = 1 << 20  # encoded and written at once
WORKERS_FROM = 16 << 20  # bytes of a split from which starting workers pays where nobody asks for them
REPORT_CHARACTERS = 4 << 20  # between two calls of progress

# word and bpe are trained on at most so many characters, in blocks spread over the training split: more text
# costs minutes (4 MB/s) and changes few of the most frequent words.
TOKENIZER_CHARACTERS = 100_000_000
# The training of bpe holds about 120 bytes for each byte of a different piece (measured): 1 GB.
DIFFERENT_PIECES_BYTES = 8_000_000
PROBE_CHARACTERS = 1_000_000


class Figures(TypedDict):
    """What is counted of a stream of tokens; each document has one boundary among the tokens."""

    documents: int
    characters: int
    bytes: int
    tokens: int
    unknown_tokens: int


class Encoded(Figures):
    """The same of files that were encoded, and which they are."""

    sources: list[Source]


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`, which exists; returns what meta.json holds.

    `progress(description, done, total)` is called with the characters or bytes done. Raises ConfigError and
    InputError.
    """
    check(settings)
    paths = find_files(settings.files)
    sources = hash_files(paths)
    with _spooled(paths, settings, work, progress, warn) as (spool, documents):
        dropped = 0
        if drops_documents(settings.clean):
            documents, dropped = _without_copies(documents)
        parts = _split(documents, spool, settings.split, seed, warn)
        tokenizer, trained_on = _train_tokenizer(settings, spool, parts["train"], progress, warn)
        tokenizers.save(tokenizer, out / "tokenizer.json")
        encoder = tokenizers.Encoder(tokenizer)
        splits: dict[str, Figures] = {}
        counts = {}
        for name in SPLITS:
            if name in parts:
                figures, counts[name] = _write_tokens(
                    tokenizer, spool, parts[name], out / f"{name}.npy", settings.workers, progress
                )
                _check_tokens(name, figures, settings.split)
                splits[name] = figures
        coverage = _coverage(encoder, counts["train"], counts["val"], _strangers(tokenizer, spool, parts["val"]))
    meta = {
        "tokenizer": encoder.kind,
        "vocab_size": encoder.vocab_size,
        "boundary_id": encoder.boundary_id,
        "unknown_id": encoder.unknown_id,
        "tokenizer_trained_on_characters": trained_on,
        "documents": len(documents.start),
        "dropped_documents": dropped,
        "characters": int(documents.characters.sum()),
        "characters_per_token": _characters_per_token(splits.values()),
        "splits": splits,
        "val_coverage": coverage,
        "sources": sources,
    }
    write_meta(out, meta)
    return meta


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256: what decides whether prepared data is stale."""
    return hash_files(find_files(settings.files))


def encode_files(
    paths: list[Path],
    settings: Prepare,
    tokenizer: "Tokenizer",
    out: Path,
    work: Path,
    progress: Progress,
    warn: Warn,
) -> Encoded:
    """Other files, read and cleaned alike, as one stream in the file `out` (.npy); returns its figures."""
    check(settings)
    with _spooled(paths, settings, work, progress, warn) as (spool, documents):
        figures, _ = _write_tokens(tokenizer, spool, _whole(documents), out, settings.workers, progress)
    return {**figures, "sources": hash_files(paths)}


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    build_cleaner(settings.clean)
    tokenizers.check_vocab_size(settings.tokenizer.kind, settings.tokenizer.vocab_size)
    check_split(settings.split.val, settings.split.test, usual_val=Split().val)


# --- files to cleaned documents -----------------------------------------------------------------------------


@dataclass
class Documents:
    """Where each document is in the spooled text; arrays, for there may be millions."""

    start: np.ndarray  # (documents,) int64, byte
    end: np.ndarray  # (documents,) int64, byte
    characters: np.ndarray  # (documents,) int64
    digest: np.ndarray  # (documents, 2) uint64, BLAKE2b of the text

    def take(self, chosen: np.ndarray) -> "Documents":
        """These documents only."""
        return Documents(self.start[chosen], self.end[chosen], self.characters[chosen], self.digest[chosen])


@contextmanager
def _spooled(
    paths: list[Path], settings: Prepare, work: Path, progress: Progress, warn: Warn
) -> Iterator[tuple[BinaryIO, Documents]]:
    """The cleaned text of all documents in one file, which is gone afterwards."""
    work.mkdir(parents=True, exist_ok=True)
    place = work / "documents.txt"
    try:
        with open(place, "w+b") as spool:
            documents = _spool(paths, settings, spool, progress, warn)
            spool.flush()
            yield spool, documents
    finally:
        place.unlink(missing_ok=True)


def _spool(paths: list[Path], settings: Prepare, spool: BinaryIO, progress: Progress, warn: Warn) -> Documents:
    clean = build_cleaner(settings.clean)
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
    return Documents(start, end, np.array(lengths, dtype=np.int64), np.frombuffer(digests, "<u8").reshape(-1, 2))


def _few(paths: list[Path]) -> str:
    return ", ".join(map(str, paths[:3])) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _without_copies(documents: Documents) -> tuple[Documents, int]:
    """(each different text once, how many copies there were)."""
    first, number = number_groups(documents.digest)
    return documents.take(first), len(number) - len(first)


# --- splits -------------------------------------------------------------------------------------------------


@dataclass
class Parts:
    """What a split consists of: documents or parts of them, in the order of the corpus."""

    start: np.ndarray  # (parts,) int64, byte in the spooled text
    end: np.ndarray  # (parts,) int64
    characters: int


def _whole(documents: Documents) -> Parts:
    return Parts(documents.start, documents.end, int(documents.characters.sum()))


def _split(documents: Documents, spool: BinaryIO, split: Split, seed: int, warn: Warn) -> dict[str, Parts]:
    if split.by == "position":
        parts, of = _split_by_position(documents, spool, split)
        warn_of_copies(number_groups(documents.digest)[1], of, "documents", KEEP_COPIES, warn)
    else:
        of = _documents_by_hash(documents, split) if split.by == "hash" else _documents_by_seed(documents, split, seed)
        parts = {name: _whole(documents.take(of == i)) for i, name in enumerate(SPLITS)}
    if split.test == 0:
        del parts["test"]
    for name, part in parts.items():
        if part.characters == 0:
            raise InputError(_too_few(name, 0, split))
    return parts


def _split_by_position(documents: Documents, spool: BinaryIO, split: Split) -> tuple[dict[str, Parts], np.ndarray]:
    """The first characters train, the next validate, the last test; a cut may go through a document.

    The split (documents,) of each is that of its last character.
    """
    total = int(documents.characters.sum())
    # Rounded, for 1 - 0.05 - 0.05 is a little less than 0.9.
    cuts = [
        0,
        *(int(total * round(share, 12)) for share in (1 - split.val - split.test, 1 - split.test)),
        total,
    ]
    places = [_byte_at(documents, spool, cut) for cut in cuts]
    parts = {}
    for i, name in enumerate(SPLITS):
        start = np.maximum(documents.start, places[i])
        end = np.minimum(documents.end, places[i + 1])
        inside = start < end
        parts[name] = Parts(start[inside], end[inside], cuts[i + 1] - cuts[i])
    return parts, np.searchsorted(places[1:], documents.end)


def _byte_at(documents: Documents, spool: BinaryIO, character: int) -> int:
    """The byte in the spooled text before which there are so many characters of documents."""
    ends = np.cumsum(documents.characters)
    i = int(np.searchsorted(ends, character))  # the document that ends there or goes on
    if ends[i] == character:
        return int(documents.end[i])
    inside = character - int(ends[i] - documents.characters[i])
    return _byte_of_character(spool, int(documents.start[i]), int(documents.end[i]), inside)


def _byte_of_character(spool: BinaryIO, start: int, end: int, characters: int) -> int:
    """The byte where the character of this number begins, counted from 0 at the byte `start`."""
    spool.seek(start)
    left = characters
    while start < end:
        block = np.frombuffer(spool.read(min(1 << 20, end - start)), np.uint8)
        begins = np.flatnonzero((block & 0xC0) != 0x80)  # all but the continuation bytes 10xxxxxx
        if left < len(begins):
            return start + int(begins[left])
        left -= len(begins)
        start += len(block)
    return end


def _documents_by_hash(documents: Documents, split: Split) -> np.ndarray:
    """The split of each document, (documents,), decided by its text alone."""
    place = documents.digest[:, 0] / 2.0**64  # in [0, 1)
    return np.where(place < split.val, 1, np.where(place < split.val + split.test, 2, 0))


def _documents_by_seed(documents: Documents, split: Split, seed: int) -> np.ndarray:
    """The split of each document, (documents,), by the seed, in shares of the characters. Copies stay together."""
    first, copies_of = number_groups(documents.digest)
    needed = 3 if split.test else 2
    if len(first) < needed:
        raise InputError(
            f"prepare.split.by: document needs at least {needed} different documents, found {len(first)}; "
            "add files or set prepare.split.by=position"
        )
    return grouped(copies_of, split.val, split.test, seed, sizes=documents.characters)


def _too_few(name: str, found: int, split: Split) -> str:
    if name == "train":
        share = f"lower prepare.split.val and test (now {split.val:g} and {split.test:g})"
    else:
        share = f"raise prepare.split.{name} (now {getattr(split, name):g})"
    other = "" if split.by == "position" else f", or set prepare.split.by=position (now {split.by})"
    return f"the {name} split needs at least 2 tokens, found {found}; add text, {share}{other}"


def _check_tokens(name: str, figures: Figures, split: Split) -> None:
    found = figures["tokens"] - figures["documents"]  # each document has one boundary
    if found < 2:
        raise InputError(_too_few(name, found, split))


# --- text to tokens -----------------------------------------------------------------------------------------


def _train_tokenizer(
    settings: Prepare, spool: BinaryIO, parts: Parts, progress: Progress, warn: Warn
) -> tuple["Tokenizer", int]:
    """The tokenizer and the number of characters that it was trained on."""
    kind = settings.tokenizer.kind
    used = 0

    def texts(limit: int) -> Iterator[str]:
        """So many characters, spread over the split."""
        nonlocal used
        seen = used = reported = 0
        for text in chain.from_iterable(_texts(spool, parts, any_cut=kind == "char")):
            if seen >= reported:
                progress("training the tokenizer", seen, parts.characters)
                reported = seen + REPORT_CHARACTERS
            if used * parts.characters <= seen * limit:  # so far not more than its share
                used += len(text)
                yield text
            seen += len(text)

    limit = parts.characters
    if kind in ("word", "bpe"):
        limit = min(limit, TOKENIZER_CHARACTERS)
    if kind == "bpe" and limit > DIFFERENT_PIECES_BYTES // 4:  # characters have up to 4 bytes
        limit = min(limit, int(DIFFERENT_PIECES_BYTES / tokenizers.distinct_share(texts(PROBE_CHARACTERS))))
    if limit < parts.characters:
        warn(
            f"the {kind} tokenizer is trained on {limit:,} characters spread over the {parts.characters:,} "
            "of the training split"
        )
    tokenizer = tokenizers.train(kind, settings.tokenizer.vocab_size, texts(limit) if kind != "byte" else ())
    return tokenizer, used


def _texts(spool: BinaryIO, parts: Parts, any_cut: bool = False) -> Iterator[Iterator[str]]:
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


def _write_tokens(
    tokenizer: "Tokenizer", spool: BinaryIO, parts: Parts, path: Path, workers: int | None, progress: Progress
) -> tuple[Figures, np.ndarray]:
    """Encode the parts into one .npy file; returns figures and how often each token occurs, (vocab_size,)."""
    encoder = tokenizers.Encoder(tokenizer)
    boundary = np.array([encoder.boundary_id], encoder.dtype)
    size = int((parts.end - parts.start).sum())
    counts = np.zeros(encoder.vocab_size, dtype=np.int64)
    tokens = done = 0
    with open(path, "wb") as file:
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
    for blocks in _texts(spool, parts, any_cut=kind in ("char", "byte")):
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


def _characters_per_token(splits: Iterable[Figures]) -> float:
    """Without boundaries, over all splits."""
    figures = list(splits)
    tokens = sum(split["tokens"] - split["documents"] for split in figures)
    return round(sum(split["characters"] for split in figures) / tokens, 4)


def _strangers(tokenizer: "Tokenizer", spool: BinaryIO, part: Parts) -> int:
    """How many different characters of a split a vocabulary of characters lacks; 1 of other vocabularies, whose unknown
    tokens count as one."""
    if tokenizers.kind_of(tokenizer) != "char":
        return 1
    found: set[str] = set()
    for text in chain.from_iterable(_texts(spool, part, any_cut=True)):
        found.update(text)
    return len(found - set(tokenizer.get_vocab()))


def _coverage(encoder: tokenizers.Encoder, train: np.ndarray, val: np.ndarray, strangers: int) -> dict[str, float]:
    """How much of validation training has seen: of its tokens, those that are not unknown; of its different
    tokens, those that occur in training, where the unknown ones are `strangers` different ones."""
    val = val.copy()
    val[encoder.boundary_id] = 0
    known = np.ones(len(val), dtype=bool)
    if encoder.unknown_id is not None:
        known[encoder.unknown_id] = False
    types = val > 0
    different = types.sum()
    if encoder.unknown_id is not None and types[encoder.unknown_id]:
        different += strangers - 1
    return {
        "tokens": round(float(val[known].sum() / val.sum()), 6),
        "types": round(float((types & known & (train > 0)).sum() / different), 6),
    }
