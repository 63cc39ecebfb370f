"""Labelled texts to examples, their splits, and what is learnt from the training split.

In: the section `prepare` of the config. Out, in the folder `out`:

    texts.jsonl      the texts, a JSON string a line
    labels.npy       (texts,) int32, the place in meta.json's list of labels
    split.npy        (texts,) uint8: 0 train, 1 val, 2 test
    tokenizer.json   trained on the training split only (Hugging Face `tokenizers` format)
    ngrams.npy       the n-grams that are features, from the training split only (`ngrams.py`)
    meta.json        labels, splits, sources

The same files, settings and seed give the same bytes. The texts must fit into memory.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from llmkit.console.callbacks import Progress, Warn
from llmkit.data import prepared_folder, tokenizer as tokenizers
from llmkit.data.copies import groups_of, warn_of_copies
from llmkit.data.decoding import check_encoding
from llmkit.data.documents import read_documents
from llmkit.data.file_kinds import holds_rows
from llmkit.data.files import find_files, folder_label, hash_files, open_file
from llmkit.data.labels import number_classes, warn_of_missing
from llmkit.data.plain_text import normal
from llmkit.data.rows import rows_of_files
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.predicting.settings import Split
from llmkit.store.artifacts import Source
from llmkit.store.files import Files
from llmkit.tasks.classify import ngrams
from llmkit.tasks.classify.settings import Prepare
from llmkit.tasks.classify.texts import spelt

TEXTS = "texts.jsonl"
Example = tuple[str, str, str]
"""(place, text, label): text and label may be empty."""
FASTTEXT = "__label__"
REPORT_TEXTS = 20_000  # between two calls of progress


def check(settings: Prepare) -> None:
    """Refuse, before anything is read, settings that no data can satisfy."""
    check_encoding(settings.encoding)
    prepared_folder.check_split(settings.split.val, settings.split.test, usual_val=Split().val)
    tokenizers.check_vocab_size(settings.tokenizer.kind, settings.tokenizer.vocab_size)
    if settings.text == settings.label:
        raise ConfigError(f"prepare: text and label are the same column, '{settings.text}'; name two")
    if not settings.ngrams.words and settings.ngrams.characters == 1:
        raise ConfigError("prepare.ngrams.characters: n-grams of characters begin with 2; set it to 0 or to 2 and more")


def inputs(settings: Prepare) -> list[Source]:
    """The files that `prepare` reads, with bytes and SHA-256."""
    given = [Path(settings.tokenizer.file)] if settings.tokenizer.file else []
    return hash_files([*find_files(settings.files, by_content=False), *given])


def prepare(settings: Prepare, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
    """Write the prepared data into the folder `out`; returns what meta.json holds. Raises ConfigError, InputError."""
    check(settings)
    paths = find_files(settings.files, by_content=False)
    texts, labels, _ = read_examples(paths, settings, progress, warn)
    names, numbers = number_classes(labels, ", ".join(map(str, paths[:3])))
    warn_of_missing(names, warn)
    val, test = settings.split.val, settings.split.test
    groups = groups_of(text.casefold() for text in texts)
    of = prepared_folder.draw(out, numbers, groups if settings.split.unique else None, val, test, seed)
    warn_of_copies(groups, of, "texts", prepared_folder.UNIQUE, warn)
    summary = prepared_folder.write(out, names, numbers, of, val, test)
    prepared_folder.warn_of_rare(summary, warn)
    with (out / TEXTS).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(text) + "\n" for text in texts)
    progress("learning the vocabulary", 0, 1)
    learnt = learn([text for text, part in zip(texts, of, strict=True) if part == 0], settings, out)
    progress("learning the vocabulary", 1, 1)
    meta = {**summary, **learnt, "characters": sum(map(len, texts)), "sources": inputs(settings)}
    prepared_folder.write_meta(out, meta)
    return meta


def learn(texts: Sequence[str], settings: Prepare, out: Path) -> dict[str, int]:
    """Write tokenizer.json and ngrams.npy, learnt from training texts; returns their sizes."""
    how = settings.tokenizer
    if how.file:
        tokenizer = tokenizers.load(Path(how.file))
    else:
        tokenizer = tokenizers.train(how.kind, how.vocab_size, (spelt(text, how.lowercase) for text in texts))
    tokenizers.save(tokenizer, out / tokenizers.FILE)
    wanted = settings.ngrams
    found = ngrams.learn(texts, wanted.words, wanted.characters, wanted.at_least, wanted.at_most, wanted.negations)
    ngrams.save(found, out / ngrams.FILE)
    return {"vocab_size": tokenizer.get_vocab_size(), "ngrams": len(found.buckets)}


def read(prepared: Files) -> list[str]:
    """The texts of a prepared folder."""
    with prepared.open(TEXTS) as file:
        return [json.loads(line) for line in file]


def read_examples(
    paths: list[Path], settings: Prepare, progress: Progress, warn: Warn
) -> tuple[list[str], list[str], list[str]]:
    """(texts, labels, places) of files; examples without text or label are left out with a warning."""
    texts, labels, places = [], [], []
    dropped: list[str] = []
    tables = [path for path in paths if holds_rows(path, settings.format)]
    if tables and settings.format == "auto" and len(tables) < len(paths):
        others = [path for path in paths if path not in tables]
        warn(
            f"{len(others):,} files beside tables hold no rows and are left out, the first {others[0]}; name your "
            "files more narrowly in prepare.files, or set prepare.format: folders where each file is a text"
        )
        paths = tables
    for path in paths:
        rows = _rows(path, settings) if path in tables else _folder_example(path, settings)
        for place, text, label in rows:
            text, label = normal(text), normal(label)
            if not text.strip() or not label:
                dropped.append(place)
                continue
            texts.append(text)
            labels.append(label)
            places.append(place)
            if len(texts) % REPORT_TEXTS == 0:
                progress("reading texts", len(texts), None)
    if dropped:
        warn(f"{len(dropped):,} examples have no text or no label and are left out, the first in {dropped[0]}")
    if not texts:
        raise InputError(f"there is no labelled text in {', '.join(map(str, paths[:3]))}; name other files")
    return texts, labels, places


def _rows(path: Path, settings: Prepare) -> Iterator[Example]:
    """The example of each row. Raises InputError where a column is not there."""
    format = "auto" if settings.format == "folders" else settings.format
    for place, row in rows_of_files([path], format=format, encoding=settings.encoding, delimiter=settings.delimiter):
        for key in ("text", "label"):
            if (column := getattr(settings, key)) not in row:
                raise InputError(f"{place}: there is no column '{column}' (prepare.{key}); there are: {', '.join(row)}")
        yield place, text_of(row[settings.text], place), _label(row[settings.label], place)


def text_of(value: object, place: str) -> str:
    """The text in a value; none is an empty one. Raises InputError for what is no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError(f"{place}: the text is no text but {type(value).__name__}")
    return value


def _label(value: object, place: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int):
        return "" if value is None else str(value).strip()
    raise InputError(f"{place}: a label is text or a whole number, not {type(value).__name__}")


def _folder_example(path: Path, settings: Prepare) -> Iterator[Example]:
    """The example of one file: its label is the name of its folder."""
    with open_file(path) as file:
        for document in read_documents(file, str(path), format="text", encoding=settings.encoding):
            text = "".join(document)
            if text.startswith(FASTTEXT):
                raise InputError(
                    f"{path} looks like fastText's format ({FASTTEXT}NAME before each text); write CSV with the "
                    "columns text and label"
                )
            yield str(path), text, folder_label(path)
