"""Labelled texts to examples, their splits, and what is learnt from the training split.

In: the section `prepare` of the config. Out, in the folder `out`:

    texts.jsonl      the texts, a JSON string a line
    labels.npy       (texts,) int32, the place in meta.json's list of labels
    split.npy        (texts,) uint8: 0 train, 1 val, 2 test
    tokenizer.json   trained on the training split only (Hugging Face `tokenizers` format)
    ngrams.npy       the n-grams that are features, from the training split only (`ngrams.py`), with ngrams.json
    linear_table.npy, linear_bias.npy
                     the linear model over them (`fitting.py`), from the training split only; needs torch
    meta.json        labels, splits, sources

The same files, settings and seed give the same bytes on the same machine. The texts must fit into memory.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder, tokenizer as tokenizers
from llmkit.data.copies import across, groups_of, warn_of_copies
from llmkit.data.decoding import check_encoding
from llmkit.data.files import find_files, hash_files
from llmkit.data.labels import number_classes, warn_of_missing
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.store import new_files
from llmkit.store.manifests import Source
from llmkit.tasks.classify import ngrams, passages
from llmkit.tasks.classify.labelled import TEXTS, read_examples
from llmkit.tasks.classify.settings import Prepare, Split
from llmkit.tasks.classify.texts import spelt

MOST_LOOKED_AT = 1000  # texts, and characters of each, that tell the script
MANY_QUOTED = 0.1  # of the texts held out: more than that is worth a word
LINEAR = ("linear_table.npy", "linear_bias.npy")


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    tokenizers.check_vocab_size(settings.tokenizer.kind, settings.tokenizer.vocab_size)
    if settings.text == settings.label:
        raise ConfigError(f"prepare: text and label are the same column, '{settings.text}'; name two")
    if not settings.ngrams.words and settings.ngrams.characters == 1:
        raise ConfigError("prepare.ngrams.characters: n-grams of characters begin with 2; set it to 0 or to 2 and more")


def _require_torch() -> None:
    if find_spec("torch") is None:
        raise ConfigError(
            "preparing texts fits a linear model and needs torch; install it with: pip install '.[train]' in llmkit's "
            "own folder"
        )


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    given = [Path(settings.tokenizer.file)] if settings.tokenizer.file else []
    return hash_files([*find_files(settings.files, by_content=False), *given])


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    paths = find_files(settings.files, by_content=False)
    _require_torch()
    texts, labels, _ = read_examples(paths, settings, progress, warn)
    names, numbers = number_classes(labels, ", ".join(map(str, paths[:3])))
    warn_of_missing(names, warn)
    val, test = settings.split.val, settings.split.test
    copies, quoting = groups_of(text.casefold() for text in texts), passages.groups(texts)
    groups = {False: None, True: copies, "passages": quoting}[settings.split.unique]
    of = prepared_folder.draw(out, numbers, groups, val, test, seed)
    warn_of_copies(copies, of, "texts", prepared_folder.UNIQUE, warn)
    quoted, outside = across(quoting, of)
    if quoted > MANY_QUOTED * outside:
        warn(
            f"{quoted:,} of the {outside:,} texts that validate and test share passages of {passages.WORDS} words with "
            "training texts, as quotations do, so the figures are too good; set prepare.split.unique: passages, which "
            "keeps them together"
        )
    summary = prepared_folder.write(out, names, numbers, of, val, test)
    prepared_folder.warn_of_rare(summary, warn)
    with new_files.opened(out / TEXTS) as file:
        file.writelines(json.dumps(text).encode() + b"\n" for text in texts)
    progress("learning the vocabulary", 0, 1)
    some = np.flatnonzero(of == 0)
    learnt = learn([texts[k] for k in some], numbers[some], len(names), settings, out, progress)
    meta = {**summary, **learnt, "characters": sum(map(len, texts)), "sources": inputs(settings)}
    prepared_folder.write_meta(out, meta)
    return meta


def learn(
    texts: Sequence[str], labels: np.ndarray, classes: int, settings: Prepare, out: Path, progress: Progress
) -> Json:
    """Write what is learnt from training texts, tokenizer.json and the linear part; returns their sizes, what was
    chosen."""
    # Here, for it needs torch, which no module that reads texts imports.
    from llmkit.tasks.classify import fitting

    how = settings.tokenizer
    kind = how.kind if how.kind != "auto" else _kind(texts)
    if how.file:
        tokenizer = tokenizers.load(Path(how.file))
    else:
        tokenizer = tokenizers.train(kind, how.vocab_size, (spelt(text, how.lowercase) for text in texts))
    tokenizers.save(tokenizer, out / tokenizers.FILE)
    found, fitted = fitting.learn(texts, labels, classes, settings.ngrams, progress)
    ngrams.save(found, out)
    for name, array in zip(LINEAR, (fitted.table, fitted.bias), strict=True):
        new_files.save_array(out / name, array)
    return {"vocab_size": tokenizer.get_vocab_size(), "ngrams": len(found.hashes), "linear": fitted.chosen}


def _kind(texts: Sequence[str]) -> Literal["char", "word"]:
    """The kind of tokens of texts: char where most characters are of scripts without spaces between words."""
    some = "".join(text[:MOST_LOOKED_AT] for text in texts[:MOST_LOOKED_AT])
    unspaced = sum(ngrams.is_unspaced(ord(character)) for character in some)
    return "char" if 2 * unspaced > len(some) else "word"
