"""Which documents, or parts of them, train, validate and test: by position, by documents at random, by their text.

In: the spooled documents and the section `split`. Out: the `Parts` of each split.
"""

from typing import BinaryIO

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data.copies import warn_of_copies
from llmkit.data.splits import SPLITS, grouped, number_groups
from llmkit.errors import InputError
from llmkit.tasks.language.settings import Split
from llmkit.tasks.language.spool import Documents, Parts, whole

KEEP_COPIES = "set prepare.split.by: document, which keeps copies together, or prepare.clean: drop_duplicates"


def split_documents(documents: Documents, spool: BinaryIO, split: Split, seed: int, warn: Warn) -> dict[str, Parts]:
    if split.by == "position":
        parts, of = _split_by_position(documents, spool, split)
        warn_of_copies(number_groups(documents.digest)[1], of, "documents", KEEP_COPIES, warn)
    else:
        of = _documents_by_hash(documents, split) if split.by == "hash" else _documents_by_seed(documents, split, seed)
        parts = {name: whole(documents.take(of == i)) for i, name in enumerate(SPLITS)}
    if split.test == 0:
        del parts["test"]
    for name, part in parts.items():
        if part.characters == 0:
            raise InputError(too_few(name, 0, split))
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


def too_few(name: str, found: int, split: Split) -> str:
    if name == "train":
        share = f"lower prepare.split.val and test (now {split.val:g} and {split.test:g})"
    else:
        share = f"raise prepare.split.{name} (now {getattr(split, name):g})"
    other = "" if split.by == "position" else f", or set prepare.split.by=position (now {split.by})"
    return f"the {name} split needs at least 2 tokens, found {found}; add text, {share}{other}"
