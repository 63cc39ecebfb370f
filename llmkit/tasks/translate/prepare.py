"""Pairs of texts to token ids, their splits, and the vocabulary of the training split.

In: the section `prepare` of the config. Out, in the folder `out`:

    pairs.jsonl       a pair a line, [source, target]
    sources.npy       token ids of all sources one after the other, int32, without boundaries
    source_starts.npy (pairs + 1,) int64, where each begins
    targets.npy target_starts.npy   the same of targets
    split.npy         (pairs,) uint8: 0 train, 1 val, 2 test
    tokenizer.json or symbols.json  (and target_… where targets have their own), from the training split only
    meta.json         what was read, left out and split

The same files, settings and seed give the same bytes. The pairs must fit into memory.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder, ragged, tokenizer as tokenizers
from llmkit.data.decoding import check_encoding
from llmkit.data.files import hash_files
from llmkit.data.ragged import Ragged
from llmkit.data.splits import SPLITS, grouped
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.files import Files
from llmkit.store.manifests import Source
from llmkit.tasks.translate import pairs as reading, vocabulary as vocabularies
from llmkit.tasks.translate.pairs import Pair
from llmkit.tasks.translate.settings import Prepare, Split
from llmkit.tasks.translate.vocabulary import Vocabulary

PAIRS = "pairs.jsonl"


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    for tokenizer in (settings.tokenizer, settings.target_tokenizer):
        if tokenizer and tokenizer.vocab_size is not None:
            tokenizers.check_vocab_size(tokenizer.kind, tokenizer.vocab_size)
    if settings.source == settings.target and not settings.source_files:
        raise ConfigError(f"prepare: source and target are the same column, '{settings.source}'; name two")


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    rows, targets = reading.files_of(settings)
    return hash_files([*rows, *targets])


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    pairs, dropped = _sound(reading.read(settings, progress), settings)
    of = _split(pairs, settings, seed)
    progress("learning the vocabulary", 0, 1)
    learn([pair for pair, part in zip(pairs, of, strict=True) if part == 0], settings, out)
    vocabulary = vocabularies.of_folder(Files(out))
    progress("learning the vocabulary", 1, 1)
    sources, targets = encode(pairs, vocabulary)
    short = np.flatnonzero(np.maximum(sources.counts, targets.counts) <= settings.max_tokens)
    dropped["too long"] += len(pairs) - len(short)
    pairs, of = [pairs[number] for number in short], of[short]
    sources, targets = sources.take(short), targets.take(short)
    splits = _splits(of, settings.split)
    if sum(dropped.values()):
        named = ", ".join(f"{count:,} {why}" for why, count in sorted(dropped.items()) if count)
        warn(f"{sum(dropped.values()):,} pairs are left out: {named}")
    _write(pairs, sources, targets, of, out)
    if len({pair.target for pair, part in zip(pairs, of, strict=True) if part == 0}) == 1:
        warn("all training targets are equal: there is nothing to learn; check prepare.target")
    meta = {
        "examples": len(pairs),
        "splits": splits,
        "dropped": dict(sorted(dropped.items())),
        "vocab_size": vocabulary.size,
        "source_tokens": int(sources.counts.sum()),
        "target_tokens": int(targets.counts.sum()),
        "characters": sum(len(pair.source) + len(pair.target) for pair in pairs),
        "sources": inputs(settings),
    }
    prepared_folder.write_meta(out, meta)
    return meta


def learn(pairs: Sequence[Pair], settings: Prepare, out: Path) -> None:
    """Write the vocabularies of training pairs."""
    sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
    how, of_targets = settings.tokenizer, settings.target_tokenizer
    if of_targets is None:
        vocabularies.learn(how.kind, how.vocab_size, [*sources, *targets], out, "")
    else:
        vocabularies.learn(how.kind, how.vocab_size, sources, out, "")
        vocabularies.learn(of_targets.kind, of_targets.vocab_size, targets, out, vocabularies.TARGET)


def encode(pairs: Sequence[Pair], vocabulary: Vocabulary) -> tuple[Ragged, Ragged]:
    """The ids of all sources and of all targets."""
    sources = ragged.from_lists([vocabulary.of_source(pair.source) for pair in pairs])
    return sources, ragged.from_lists([vocabulary.of_target(pair.target) for pair in pairs])


def read(prepared: Files) -> tuple[Ragged, Ragged]:
    """The ids of all sources and of all targets in a prepared folder. Raises InputError."""
    sides = []
    for side in ("source", "target"):
        numbers, starts = prepared.array(f"{side}s.npy"), prepared.array(f"{side}_starts.npy")
        if (
            starts.ndim != 1
            or not len(starts)
            or starts[0]
            or starts[-1] != len(numbers)
            or (np.diff(starts) < 0).any()
        ):
            raise prepared.damaged(f"{side}_starts.npy", f"not where the texts of {side}s.npy begin")
        sides.append(Ragged(numbers, starts))
    if len(sides[0]) != len(sides[1]):
        raise prepared.damaged("target_starts.npy", "not as many targets as sources")
    return sides[0], sides[1]


def texts(prepared: Files) -> list[tuple[str, str]]:
    """(source, target) of all pairs. Raises InputError."""
    import msgspec

    with prepared.open(PAIRS) as file:
        try:
            return [msgspec.json.decode(line, type=tuple[str, str]) for line in file]
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError) as error:
            raise prepared.damaged(PAIRS, str(error)) from error


def _sound(pairs: list[Pair], settings: Prepare) -> tuple[list[Pair], Counter[str]]:
    """Pairs with nothing wrong, each once, and how many were left out why. Raises InputError where none is left."""
    dropped: Counter[str] = Counter()
    kept: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        why = reading.fault(pair, settings)
        if why is None and (pair.source, pair.target) in kept:
            why = "there twice"
        if why:
            dropped[why] += 1
        else:
            kept[pair.source, pair.target] = pair
    if not kept:
        found = ", ".join(f"{count:,} {why}" for why, count in dropped.items()) or "no pairs in the files"
        raise InputError(f"prepare: there is no pair to learn from ({found}); name other files or columns")
    return list(kept.values()), dropped


def _split(pairs: list[Pair], settings: Prepare, seed: int) -> np.ndarray:
    """The split (N,) of each pair: those with about the same source are in one."""
    groups = np.array([reading.likeness(pair.source, settings.split.mask_numbers) for pair in pairs])
    return grouped(groups, settings.split.val, settings.split.test, seed)


def _splits(of: np.ndarray, split: Split) -> dict[str, int]:
    """How many pairs each split has. Raises InputError for an empty one."""
    counts = {}
    for number, name in enumerate(SPLITS):
        if name != "test" or split.test > 0:
            counts[name] = int((of == number).sum())
            if not counts[name]:
                raise InputError(
                    f"the {name} split is empty: too few pairs for prepare.split (val {split.val:g}, test "
                    f"{split.test:g}) and prepare.max_tokens; add pairs or raise them"
                )
    return counts


def _write(pairs: list[Pair], sources: Ragged, targets: Ragged, of: np.ndarray, out: Path) -> None:
    with new_files.opened(out / PAIRS) as file:
        file.writelines(json.dumps([pair.source, pair.target]).encode() + b"\n" for pair in pairs)
    for name, side in (("source", sources), ("target", targets)):
        new_files.save_array(out / f"{name}s.npy", side.numbers)
        new_files.save_array(out / f"{name}_starts.npy", side.starts)
    new_files.save_array(out / "split.npy", of)
