"""Metrics of a translation model folder, through ONNX Runtime: quality, size and speed, on a split or other pairs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.data import prepared_folder
from llmkit.data.ragged import Ragged
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.translate import pairs as reading, prepare, quality, use, vocabulary as vocabularies
from llmkit.tasks.translate.memory import Memory
from llmkit.tasks.translate.settings import Config, Generate

TABLE = [
    Column("size_bytes", "size", True),
    Column("loss", "loss", True),
    Column("bleu", "BLEU", False),
    Column("chrf", "chrF", False),
    Column("exact", "exact", False),
    Column("word_error_rate", "word errors", True),
    Column("phoneme_error_rate", "phoneme errors", True),
    Column("sentences_per_second", "sentences/s", False),
]
UNIT = "sentence"
SPEED_SENTENCES = 20  # translated one by one for the speed of a model


@dataclass(frozen=True)
class Pairs:
    """Pairs to score as ids (N) and, for each different source, its text and its right answers (M)."""

    split: str
    sources: Ragged
    targets: Ragged
    texts: list[str]
    answers: list[list[str]]
    prepared: Files | None = None


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Pairs:
    """The pairs of a split. Raises InputError where it was made with another vocabulary."""
    same_vocabulary(folder, prepared)
    which, split = prepared_folder.examples_of(prepared, split)
    sources, targets = prepare.read(prepared)
    if not len(which) or which[-1] >= len(sources):
        raise InputError(f"{prepared.path} has no {split} pairs to score; prepare anew")
    texts = prepare.texts(prepared)
    return Pairs(
        split, sources.take(which), targets.take(which), *_by_source([texts[number] for number in which]), prepared
    )


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Pairs:
    """The pairs in other files of rows: columns as the model has them, files read as the config says now."""
    how = settings.prepare
    own = folder.settings.prepare
    chosen = {key: getattr(how, key) for key in ("format", "encoding", "delimiter")}
    read = reading.read_rows(files, structs.replace(own, **chosen), progress)
    whole = [pair for pair in read if pair.source and pair.target]
    if len(whole) < len(read):
        warn(f"{len(read) - len(whole):,} pairs have no source or no target and are left out")
    if not whole:
        raise InputError(f"{files[0]} has no pairs to score; name other files")
    ids = prepare.encode(whole, vocabularies.of_folder(folder))
    return Pairs("files", *ids, *_by_source([(pair.source, pair.target) for pair in whole]))


def same_vocabulary(folder: ModelFolder, prepared: Files) -> None:
    """Raise InputError where a model has another vocabulary than the prepared data."""
    if not vocabularies.alike(folder, prepared):
        raise InputError(
            f"{folder.path} has another vocabulary than {prepared.path}; prepare and train with the same files and "
            "tokenizer"
        )


def metrics(folder: ModelFolder, examples: Pairs, settings: Config, progress: Progress, warn: Warn) -> Json:
    """Quality, size and speed on the pairs; `baselines` has the figures of the translation memory."""
    opening = time.perf_counter()
    model = use.load(folder)
    model.translate(examples.texts[0])
    first_ms = 1000 * (time.perf_counter() - opening)
    found: Json = {"split": examples.split, "pairs": len(examples.sources)}
    found |= model.score(examples.sources, examples.targets, _told(progress, f"scoring {folder.name}"))
    which = np.unique(np.linspace(0, len(examples.texts) - 1, settings.evaluate.max_examples).round().astype(int))
    texts, answers = [examples.texts[n] for n in which], [examples.answers[n] for n in which]
    how = structs.replace(settings.generate, prompt=None, prompt_file=None, n_best=1)
    start = time.perf_counter()
    ids = [model.vocabulary.of_source(text) for text in texts]
    made = model.search(ids, how, _told(progress, f"translating with {folder.name}"))
    seconds = time.perf_counter() - start
    parts = model.vocabulary.target.parts
    found |= quality.figures([best[0].text for best in made], answers, settings.evaluate, parts, warn)
    cut = sum(best[0].finish_reason == "length" for best in made)
    found |= {"translations": len(texts), "cut_off": cut}
    if cut:
        warn(f"{cut:,} of {len(texts):,} translations were cut off at their greatest length")
    if examples.prepared is not None:
        memory = Memory(_training_texts(examples.prepared))
        nearest = []
        for number, text in enumerate(texts, 1):
            nearest.append(memory.nearest(text))
            progress("asking the translation memory", number, len(texts))
        found["baselines"] = {"memory": quality.figures(nearest, answers, settings.evaluate, parts, lambda line: None)}
    found |= {"size_bytes": folder.size_bytes, "parameters": folder.parameters}
    return found | {"sentences_per_second": len(texts) / max(seconds, 1e-9), "first_translation_ms": first_ms}


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss in nats per token on the validation split."""
    examples = of_split(folder, prepared, "val")
    told = _told(progress, "measuring the loss")
    return use.load(folder).score(examples.sources, examples.targets, told)["loss"]


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_sentence, sentences_per_second)."""
    examples = of_split(folder, prepared, "val")
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    loss = model.score(examples.sources, examples.targets, _told(progress, "measuring the loss"))["loss"]
    few = examples.texts[:SPEED_SENTENCES]
    start = time.perf_counter()
    for text in few:
        model.translate(text)
    one = (time.perf_counter() - start) / len(few)
    start = time.perf_counter()
    model.search([model.vocabulary.of_source(text) for text in few], Generate())
    rate = len(few) / max(time.perf_counter() - start, 1e-9)
    return loss, {"load_ms": load_ms, "ms_per_sentence": 1000 * one, "sentences_per_second": rate}


def _by_source(pairs: list[tuple[str, str]]) -> tuple[list[str], list[list[str]]]:
    """(different sources, all right answers of each), in the order in which they come."""
    answers: dict[str, list[str]] = {}
    for source, target in pairs:
        answers.setdefault(source, []).append(target)
    return list(answers), list(answers.values())


def _training_texts(prepared: Files) -> list[tuple[str, str]]:
    of = prepared.array("split.npy")
    return [pair for pair, part in zip(prepare.texts(prepared), of, strict=True) if part == 0]


def _told(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)
