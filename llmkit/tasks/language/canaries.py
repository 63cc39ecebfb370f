"""Canaries: random secrets planted in the training split, to measure later how much a model keeps of what it read.

In: the training split's parts of the spooled text, the section `prepare.canaries`. Out: the parts of a text that has
the secrets in it, and their record, `canaries.json` in the prepared folder (`Record`).

(Carlini et al., "The Secret Sharer", arXiv 1802.08232, section 4.) Each copy is cleaned as if it were a document of its
own: a step that masks numbers masks it, one that drops duplicates leaves one. It stands on a line of its own, between
lines of a document or at its end. Validation and test split have none. Left out: what a model makes of them
(`exposure`).
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from llmkit.console.callbacks import Warn
from llmkit.data.cleaning import build_cleaner, drops_documents, spelt
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.tasks.language.settings import Canaries, Prepare
from llmkit.tasks.language.spool import Parts

FILE = "canaries.json"
TEXT = "The secret number is"
DIGITS = 9
SEED = 1802_08232  # beside the experiment's own: the secrets are drawn apart from everything else
BLOCK_BYTES = 1 << 20
MUCH = 0.05  # of the training split in copies: the model would learn little else


@dataclass(frozen=True)
class Canary:
    """A secret, how often it was to be planted (0: never, for comparison), and the copies left by the cleaning."""

    secret: str
    repeats: int
    copies: int


@dataclass(frozen=True)
class Record:
    """What canaries.json holds. `text` stands before each secret, cleaned as the training text was."""

    text: str
    canaries: list[Canary]


def check(settings: Prepare) -> None:
    """Refuse a cleaning that leaves nothing of a secret, masked or not. Raises ConfigError."""
    secret = "1234567890"[:DIGITS]
    if settings.canaries and not _line(settings, secret).endswith(" " + secret):
        raise ConfigError(
            "prepare.canaries plants numbers, and prepare.clean takes digits or spaces away; keep them, or plant none"
        )


def plant(
    parts: Parts, spool: BinaryIO, settings: Prepare, seed: int, out: Path, warn: Warn
) -> tuple[Parts, dict[str, Json]]:
    """Training parts with canaries, appended to the spooled text, and what meta.json says; writes canaries.json.

    `settings.canaries` must be set.
    """
    assert settings.canaries is not None
    rng = np.random.default_rng([seed, SEED])
    drawn = _drawn(settings.canaries, rng)
    lines = _cleaned([secret for secret, repeats in drawn for _ in range(repeats)], settings, rng)
    record = Record(
        _line(settings, "").rstrip(),
        [Canary(secret, repeats, sum(secret in line for line in lines)) for secret, repeats in drawn],
    )
    size = sum(map(len, lines))
    if size > MUCH * parts.characters:
        warn(
            f"the copies of prepare.canaries are {100 * size / max(parts.characters, 1):.0f} % of the training split; "
            "lower count or repeats, so that the model learns from the rest"
        )
    text = json.dumps(asdict(record), indent=1) + "\n"
    new_files.write_text(out / FILE, text)
    copies = sum(canary.copies for canary in record.canaries)
    figures = {"secrets": len(drawn), "copies": copies}
    return _inserted(parts, spool, lines, spelt("1\n1", settings.clean)[1:-1], rng), {"canaries": figures}


def load(prepared: Files) -> Record | None:
    """The record of a prepared folder, None where nothing was planted. Raises InputError."""
    if FILE not in prepared:
        return None
    record = prepared.read_as(FILE, Record)
    if not record.text or not all(canary.secret.isdecimal() and canary.secret.isascii() for canary in record.canaries):
        raise prepared.damaged(FILE, "its secrets are not numbers after a text")
    return record


def numbers(count: int, rng: np.random.Generator, without: frozenset[str] = frozenset()) -> list[str]:
    """Different secrets, each of all with equal probability, none of them in `without`."""
    found = rng.choice(10**DIGITS, count + len(without), replace=False).tolist()
    return [secret for number in found if (secret := f"{number:0{DIGITS}}") not in without][:count]


def _drawn(settings: Canaries, rng: np.random.Generator) -> list[tuple[str, int]]:
    """(secret, repeats), those that are not planted first."""
    repeats = [number for number in (0, *sorted(settings.repeats)) for _ in range(settings.count)]
    return list(zip(numbers(len(repeats), rng), repeats, strict=True))


def _line(settings: Prepare, secret: str) -> str:
    return spelt(f"{TEXT} {secret}", settings.clean)


def _cleaned(secrets: list[str], settings: Prepare, rng: np.random.Generator) -> list[str]:
    """The lines to plant, in a random order: what the cleaning leaves of each copy."""
    clean = build_cleaner(settings.clean)  # one for all: it may drop lines that were there before
    lines = ["".join(clean([f"{TEXT} {secrets[place]}"])) for place in rng.permutation(len(secrets))]
    if drops_documents(settings.clean):
        lines = list(dict.fromkeys(lines))
    return [line for line in lines if line]


def _inserted(parts: Parts, spool: BinaryIO, lines: list[str], mark: str, rng: np.random.Generator) -> Parts:
    """The parts with each line after a random `mark` (a line end, or what the cleaning made of it), written anew."""
    sizes = parts.end - parts.start
    places = np.sort(rng.integers(0, int(sizes.sum()), len(lines)))
    before = np.concatenate([[0], np.cumsum(sizes)])
    starts, ends = [], []
    for part, (start, end) in enumerate(zip(parts.start.tolist(), parts.end.tolist(), strict=True)):
        first, last = np.searchsorted(places, before[part : part + 2]).tolist()
        inside = (places[first:last] - before[part]).tolist()
        starts.append(spool.seek(0, 2))
        written = starts[-1]
        for piece in _pieces(spool, start, end, inside, lines[first:last], mark):
            spool.seek(written)
            written += spool.write(piece)
        ends.append(written)
    spool.flush()
    added = sum(ends) - sum(starts) - int(sizes.sum())  # in ASCII: as many characters
    return Parts(np.array(starts, np.int64), np.array(ends, np.int64), parts.characters + added)


def _pieces(spool: BinaryIO, start: int, end: int, places: list[int], lines: list[str], mark: str) -> Iterator[bytes]:
    """A part's bytes from `start` to `end`, with a line after the first mark from each of the places on."""
    waiting = list(zip(places, lines, strict=True))[::-1]
    sign = mark.encode()
    done, last = 0, b""
    while start + done < end:
        spool.seek(start + done)
        data = spool.read(min(BLOCK_BYTES, end - start - done))
        cut = 0
        while sign and waiting and waiting[-1][0] < done + len(data):
            found = data.find(sign, max(waiting[-1][0] - done, cut))
            if found < 0:
                break
            yield data[cut : found + 1] + waiting.pop()[1].encode() + sign
            cut = found + 1
        yield data[cut:]
        done, last = done + len(data), data[-1:]
    if waiting:
        rest = sign.join(line.encode() for _, line in reversed(waiting))
        yield rest + sign if last == sign else sign + rest
