"""Raw files to streams of token ids.

In: the section `prepare` of the config. Out, in the folder `out`:

    tokenizer.json                 trained on the training split only
    train.npy val.npy test.npy     shape (tokens,), the smallest unsigned type; no test.npy if its share is 0
    meta.json                      what was read, how it was split, what it became
    canaries.json                  the secrets planted in the training split, where `prepare.canaries` asks for some

A split is one stream: each document, or part of one, is preceded by the boundary token. The same files,
settings and seed give the same bytes.

The cleaned text is written to `work/documents.txt` first, so that no file has to fit into memory: what grows
with the data is some dozens of bytes for each document.

Left out: making `out` complete-or-absent, and knowing whether there is anything to do (`llmkit/stages`).
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import tokenizer as tokenizers
from llmkit.data.cleaning import build_cleaner, drops_documents
from llmkit.data.decoding import check_encoding
from llmkit.data.files import find_files, hash_files
from llmkit.data.prepared_folder import check_split, write_meta
from llmkit.data.splits import SPLITS
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.store.manifests import Source
from llmkit.tasks.language import canaries
from llmkit.tasks.language.document_splits import split_documents, too_few
from llmkit.tasks.language.settings import Prepare, Split
from llmkit.tasks.language.spool import REPORT_CHARACTERS, Parts, spooled, texts_of, whole, without_copies
from llmkit.tasks.language.token_files import Figures, write_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# word and bpe are trained on at most so many characters, in blocks spread over the training split: more text
# costs minutes (4 MB/s) and changes few of the most frequent words.
TOKENIZER_CHARACTERS = 100_000_000
# The training of bpe holds about 120 bytes for each byte of a different piece (measured): 1 GB.
DIFFERENT_PIECES_BYTES = 8_000_000
PROBE_CHARACTERS = 1_000_000


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
    with spooled(paths, settings, work, progress, warn) as (spool, documents):
        dropped, masked = 0, {"masked": documents.masked} if documents.masked else {}
        if drops_documents(settings.clean):
            documents, dropped = without_copies(documents)
        parts = split_documents(documents, spool, settings.split, seed, warn)
        planted: Json = {}
        if settings.canaries:
            parts["train"], planted = canaries.plant(parts["train"], spool, settings, seed, out, warn)
        tokenizer, trained_on = _train_tokenizer(settings, spool, parts["train"], progress, warn)
        tokenizers.save(tokenizer, out / "tokenizer.json")
        encoder = tokenizers.Encoder(tokenizer)
        splits: dict[str, Figures] = {}
        counts = {}
        for name in SPLITS:
            if name in parts:
                figures, counts[name] = write_tokens(
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
        **masked,
        **planted,
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
    with spooled(paths, settings, work, progress, warn) as (spool, documents):
        figures, _ = write_tokens(tokenizer, spool, whole(documents), out, settings.workers, progress)
    return {**figures, "sources": hash_files(paths)}


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    build_cleaner(settings.clean)
    tokenizers.check_vocab_size(settings.tokenizer.kind, settings.tokenizer.vocab_size)
    check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    canaries.check(settings)


def _check_tokens(name: str, figures: Figures, split: Split) -> None:
    found = figures["tokens"] - figures["documents"]  # each document has one boundary
    if found < 2:
        raise InputError(too_few(name, found, split))


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
        for text in chain.from_iterable(texts_of(spool, parts, any_cut=kind == "char")):
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
    for text in chain.from_iterable(texts_of(spool, part, any_cut=True)):
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
