"""Metrics of a language model folder, through ONNX Runtime: quality on a stream of tokens, size and speed."""

import math
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from msgspec import structs

from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.data import tokenizer as tokenizers
from llmkit.data.prepared_folder import read_meta
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import baseline, canaries, exposure, memorised, prepare, use
from llmkit.tasks.language.settings import Config, Train

TABLE = [
    Column("size_bytes", "size", True),
    Column("loss", "loss", True),
    Column("bits_per_byte", "bits/byte", True),
    Column("lstm_loss", "LSTM alone", True),
    Column("ngram_loss", "n-gram alone", True),
    Column("accuracy", "accuracy", False),
    Column("exposure", "exposure", True),
    Column("tokens_per_second", "tokens/s", False),
    Column("scored_tokens_per_second", "scored/s", False),
]
UNIT = "token"  # of the speed that compression reports: ms_per_token, tokens_per_second
SPEED_TOKENS = 400  # written greedily for the speed of one stream
TRAIN_TOKENS = 200_000  # at most, from the middle of the training split, for train_loss


@dataclass(frozen=True)
class Stream:
    """A stream of tokens (N,) to score, the UTF-8 bytes of its text, and the prepared data that it is a split of."""

    split: str
    tokens: np.ndarray
    text_bytes: int
    prepared: Files | None = None


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Stream:
    """A split of prepared data. Raises InputError when that was made with another vocabulary."""
    same_vocabulary(folder, prepared)
    return _split(prepared, split)


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Stream:
    """Other files as one stream: cleaned as the model's own were, read as the config says now. Raises InputError."""
    how = settings.prepare
    reading = structs.replace(folder.settings.prepare, format=how.format, field=how.field, encoding=how.encoding)
    out = work / "scored.npy"
    found = prepare.encode_files(files, reading, tokenizers.of_folder(folder), out, work, progress, warn)
    if found["tokens"] < 2:
        raise InputError(f"{files[0]}: {found['tokens']} tokens found, at least 2 are needed")
    return Stream("files", Files(work).array(out.name), found["bytes"])


def metrics(folder: ModelFolder, examples: Stream, settings: Config, progress: Progress, warn: Warn) -> Json:
    """Quality on the stream, beside the run's n-gram model, size and speed."""
    opening = time.perf_counter()
    model = use.load(folder)
    next(model.stream("", greedy=True, max_tokens=1, stop_at_document_end=False), "")
    first_token_ms = 1000 * (time.perf_counter() - opening)
    found: Json = {"split": examples.split}
    found |= model.score_tokens(
        examples.tokens, examples.text_bytes, lambda done, total: progress(f"scoring {folder.name}", done, total)
    )
    if model.mixture:
        alone = model.score_tokens(examples.tokens, examples.text_bytes, alone=True)
        found |= {"lstm_loss": alone["loss"], "lstm_bits_per_byte": alone["bits_per_byte"]}
    if examples.prepared is not None:
        found |= _gap(model, examples.prepared, found["loss"])
    if settings.evaluate.dynamic:
        found |= _dynamic(folder, model, examples, progress)
    found |= _ngram(folder, examples, Path(settings.run_dir) / "work", progress, warn, found["loss"])
    if settings.evaluate.memorised and examples.prepared is not None:
        found |= _memorised(model, examples, examples.prepared, settings, progress)
    found |= _exposure(model, examples, Path(settings.run_dir) / "work", progress, warn)
    if found["unknown_tokens"]:
        warn(
            f"{found['unknown_tokens']:,} of {found['tokens']:,} tokens are outside the vocabulary; "
            "bits_per_byte is not comparable with other vocabularies"
        )
    found |= {"size_bytes": folder.size_bytes, "parameters": folder.parameters}
    return found | {"tokens_per_second": speed(model), "first_token_ms": first_token_ms}


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Loss in nats per token on the validation split, carried state."""
    return _validate(use.load(folder), prepared, progress)["loss"]


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_token and tokens_per_second of one
    stream, scored_tokens_per_second)."""
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    found = _validate(model, prepared, progress)
    rate = speed(model)
    speeds = {"load_ms": load_ms, "ms_per_token": 1000 / rate, "tokens_per_second": rate}
    return found["loss"], speeds | {"scored_tokens_per_second": found["scored_tokens_per_second"]}


def _validate(model: use.LanguageModel, prepared: Files, progress: Progress) -> dict[str, float]:
    stream = _split(prepared, "val")
    return model.score_tokens(
        stream.tokens, stream.text_bytes, lambda done, total: progress("measuring the loss", done, total)
    )


def speed(model: use.LanguageModel) -> float:
    """Tokens per second of one stream, greedy, the best of three."""
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        [text] = model.write(
            [""], use.settings({"greedy": True, "max_tokens": SPEED_TOKENS, "stop_at_document_end": False}), 1
        )
        rates.append(len(text.ids) / (time.perf_counter() - start))
    return max(rates)


def _gap(model: use.LanguageModel, prepared: Files, loss: float) -> dict[str, float]:
    tokens = prepared.array("train.npy", mapped=True)
    start = max(0, (len(tokens) - TRAIN_TOKENS) // 2)
    train_loss = model.score_tokens(tokens[start : start + TRAIN_TOKENS], 1)["loss"]
    return {"train_loss": train_loss, "generalization_gap": loss - train_loss}


def _dynamic(folder: ModelFolder, model: use.LanguageModel, examples: Stream, progress: Progress) -> dict[str, float]:
    """`dynamic_loss` and its bits per byte. Raises ConfigError without torch and without float weights."""
    if not folder.trainable:
        raise ConfigError(
            f"evaluate.dynamic: {folder.path} has no float weights to learn with; name the model it was compressed "
            "from, or set it to false"
        )
    if find_spec("torch") is None:
        raise ConfigError(
            "evaluate.dynamic needs torch; install it with: pip install '.[train]' in llmkit's own folder"
        )
    from llmkit.tasks.language import dynamic

    network = dynamic.load(folder, model.encoder.vocab_size)
    tokens = examples.tokens
    loss = dynamic.loss(
        network, tokens, model.mixture, lambda done, total: progress(f"dynamic scoring of {folder.name}", done, total)
    )
    return {"dynamic_loss": loss, "dynamic_bits_per_byte": loss * (len(tokens) - 1) / math.log(2) / examples.text_bytes}


def _memorised(
    model: use.LanguageModel, examples: Stream, prepared: Files, settings: Config, progress: Progress
) -> Json:
    """The share of training passages that the model continues word for word (`memorised.shares`), and of others."""
    count, seed = settings.evaluate.memorised or 0, settings.seed
    other = examples.tokens if examples.split != "train" else prepared.array("val.npy", mapped=True)
    found = {}
    for place, (name, stream) in enumerate(
        {"train": prepared.array("train.npy", mapped=True), "held_out": other}.items()
    ):
        progress("continuing passages", place, 2)
        found[name] = memorised.shares(model, stream, count, seed)
    progress("continuing passages", 2, 2)
    return memorised.figures(found["train"], found["held_out"])


def _ngram_model(folder: ModelFolder, prepared: Files, work: Path, progress: Progress) -> baseline.Baseline:
    """The run's n-gram model, pruned as the model's own would be."""
    train = folder.settings.train
    assert isinstance(train, Train)
    return baseline.of_run(prepared, work, progress, train.ngram_least_count)


def _exposure(model: use.LanguageModel, examples: Stream, work: Path, progress: Progress, warn: Warn) -> Json:
    """How exposed the canaries are that the training text had (`exposure.exposures`)."""
    record = canaries.load(examples.prepared) if examples.prepared is not None else None
    if record is None or examples.prepared is None:
        return {}
    ngram = _ngram_model(model.folder, examples.prepared, work, progress).model
    progress("ranking secrets", 0, 1)
    found = exposure.exposures(model, record, ngram, warn)
    progress("ranking secrets", 1, 1)
    return found


def _ngram(
    folder: ModelFolder, examples: Stream, work: Path, progress: Progress, warn: Warn, loss: float
) -> dict[str, float]:
    """The loss of the run's n-gram model (kept in `work`) on the same tokens, with a warning where `loss` is not lower.

    None on the training split, which it was counted on, and on other files where the run has kept no such model.
    """
    if examples.split == "train":
        return {}
    if examples.prepared is None:
        found = baseline.kept(work, folder)
    else:
        found = _ngram_model(folder, examples.prepared, work, progress)
    if found is None:
        return {}
    measured = found.metrics(found.val_loss if examples.split == "val" else found.model.loss(examples.tokens))
    for line in baseline.warning(loss, measured):
        warn(f"{folder.path}: {line}")
    return measured


def _split(prepared: Files, name: str) -> Stream:
    """A split; validation where there is no test split."""
    if name == "test" and "test.npy" not in prepared:
        name = "val"
    text_bytes = read_meta(prepared)["splits"][name]["bytes"]
    return Stream(name, prepared.array(f"{name}.npy", mapped=True), text_bytes, prepared)


def same_vocabulary(folder: ModelFolder, prepared: Files) -> None:
    """Raise InputError where a model and prepared data have different vocabularies."""
    if folder.read_bytes(tokenizers.FILE) != prepared.read_bytes(tokenizers.FILE):
        raise InputError(
            f"{folder.path} and {prepared.path} have different vocabularies; evaluate the model with --on FILE, "
            "or train it on this data"
        )
