"""Figures of a language model folder, through ONNX Runtime: quality on a stream of tokens, size and speed."""

import math
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from llmkit.data.prepared_folder import read_meta
from llmkit.errors import ConfigError, InputError
from llmkit.store import artifacts
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.language import baseline, prepare, use
from llmkit.tasks.language.settings import Config

# Columns of the table of several models: figure, heading, whether less is better (None: neither).
TABLE = [
    ("size_bytes", "size", True),
    ("loss", "loss", True),
    ("bits_per_byte", "bits/byte", True),
    ("accuracy", "accuracy", False),
    ("tokens_per_second", "tokens/s", False),
    ("scored_tokens_per_second", "scored/s", False),
]
UNIT = "token"  # of the speed that compression reports: ms_per_token, tokens_per_second
SPEED_TOKENS = 400  # written greedily for the speed of one stream
TRAIN_TOKENS = 200_000  # at most, from the middle of the training split, for train_loss
Progress = Callable[[str, int, int | None], None]


def evaluate(
    folder: ModelFolder,
    prepared: Path | None,
    settings: Config,
    on: list[Path],
    work: Path,
    progress: Progress,
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """The figures of design's contract on a split of `prepared`, or on the files `on`.

    Raises InputError when the split is missing or the data was made with another vocabulary.
    """
    opening = time.perf_counter()
    model = use.load(folder)
    next(model.stream("", greedy=True, max_tokens=1, stop_at_document_end=False), "")
    first_token_ms = 1000 * (time.perf_counter() - opening)
    figures: dict[str, Any] = {"split": settings.evaluate.split}
    if on:
        tokens, text_bytes, figures["split"] = *_other(folder, settings, on, work, progress, warn), "files"
    else:
        assert prepared is not None
        same_vocabulary(folder, prepared)
        tokens, text_bytes, figures["split"] = _split(prepared, settings.evaluate.split)
    figures |= model.score_tokens(
        tokens, text_bytes, lambda done, total: progress(f"scoring {folder.name}", done, total)
    )
    if prepared is not None and not on:
        figures |= _gap(model, prepared, figures["loss"])
    if settings.evaluate.dynamic:
        figures |= _dynamic(folder, model, tokens, text_bytes, progress)
    figures |= _ngram(
        folder, None if on else prepared, settings, tokens, figures["split"], progress, warn, figures["loss"]
    )
    if figures["unknown_tokens"]:
        warn(
            f"{figures['unknown_tokens']:,} of {figures['tokens']:,} tokens are outside the vocabulary; "
            "bits_per_byte is not comparable with other vocabularies"
        )
    figures |= {"size_bytes": folder.size_bytes, "parameters": folder.result["parameters"]}
    return figures | {"tokens_per_second": speed(model), "first_token_ms": first_token_ms}


def validation_loss(folder: ModelFolder, prepared: Path, progress: Progress) -> float:
    """Loss in nats per token on the validation split, carried state."""
    return _validate(use.load(folder), prepared, progress)["loss"]


def measure(folder: ModelFolder, prepared: Path, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_token and tokens_per_second of one
    stream, scored_tokens_per_second)."""
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    figures = _validate(model, prepared, progress)
    rate = speed(model)
    speeds = {"load_ms": load_ms, "ms_per_token": 1000 / rate, "tokens_per_second": rate}
    return figures["loss"], speeds | {"scored_tokens_per_second": figures["scored_tokens_per_second"]}


def _validate(model: use.LanguageModel, prepared: Path, progress: Progress) -> dict[str, float]:
    tokens, text_bytes, _ = _split(prepared, "val")
    return model.score_tokens(tokens, text_bytes, lambda done, total: progress("measuring the loss", done, total))


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


def _gap(model: use.LanguageModel, prepared: Path, loss: float) -> dict[str, float]:
    tokens = np.load(prepared / "train.npy", mmap_mode="r")
    start = max(0, (len(tokens) - TRAIN_TOKENS) // 2)
    train_loss = model.score_tokens(tokens[start : start + TRAIN_TOKENS], 1)["loss"]
    return {"train_loss": train_loss, "generalization_gap": loss - train_loss}


def _dynamic(
    folder: ModelFolder, model: use.LanguageModel, tokens: np.ndarray, text_bytes: int, progress: Progress
) -> dict[str, float]:
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
    loss = dynamic.loss(
        network, tokens, model.mixture, lambda done, total: progress(f"dynamic scoring of {folder.name}", done, total)
    )
    return {"dynamic_loss": loss, "dynamic_bits_per_byte": loss * (len(tokens) - 1) / math.log(2) / text_bytes}


def _ngram(
    folder: ModelFolder,
    prepared: Path | None,
    settings: Config,
    tokens: np.ndarray,
    split: str,
    progress: Progress,
    warn: Callable[[str], None],
    loss: float,
) -> dict[str, Any]:
    """The loss of the run's n-gram model on the same tokens, with a warning where the model's is not better.

    None on the training split, which it was counted on, and on other files where the run has kept no such model.
    """
    if split == "train":
        return {}
    if prepared is None:
        found = baseline.kept(Path(settings.run_dir), folder.path / "tokenizer.json")
    else:
        found = baseline.of_run(prepared, progress)
    if found is None:
        return {}
    figures = found.figures(found.val_loss if split == "val" else found.model.loss(tokens))
    for line in baseline.warning(loss, figures):
        warn(f"{folder.path}: {line}")
    return figures


def _split(prepared: Path, name: str) -> tuple[np.ndarray, int, str]:
    """(tokens, bytes of their text, the split's name): validation where there is no test split."""
    if name == "test" and not (prepared / "test.npy").exists():
        name = "val"
    meta = read_meta(prepared)
    return np.load(prepared / f"{name}.npy", mmap_mode="r"), meta["splits"][name]["bytes"], name


def same_vocabulary(folder: ModelFolder, prepared: Path) -> None:
    """Raise InputError where a model and prepared data have different vocabularies."""
    digests = [artifacts.fingerprint(place / "tokenizer.json")["sha256"] for place in (folder.path, prepared)]
    if digests[0] != digests[1]:
        raise InputError(
            f"{folder.path} and {prepared} have different vocabularies; evaluate the model with --on FILE, "
            "or train it on this data"
        )


def _other(
    folder: ModelFolder, settings: Config, on: list[Path], work: Path, progress: Progress, warn: Callable[[str], None]
) -> tuple[np.ndarray, int]:
    """(tokens, bytes of their text) of other files: cleaned as the model's own were, read as the config says now."""
    how = settings.prepare
    reading = structs.replace(folder.config.settings.prepare, format=how.format, field=how.field, encoding=how.encoding)
    out = work / "scored.npy"
    figures = prepare.encode_files(on, reading, folder.path / "tokenizer.json", out, work, progress, warn)
    if figures["tokens"] < 2:
        raise InputError(f"{on[0]}: {figures['tokens']} tokens found, at least 2 are needed")
    return np.load(out), figures["bytes"]
