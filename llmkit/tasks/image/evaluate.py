"""Metrics of a generator's model folder: how near its pictures are to real ones, size and speed. Without torch.

Three sets of as many pictures each are compared by their features (`features.py`): real ones that were held out (the
split that is scored), made ones, and real ones that the model was trained on. The figures are those of made against
held-out pictures; `real_floor` has the same of training against held-out pictures: what a generator would reach that
draws from the training pictures themselves. Since all sets are of one size, so is what that size adds to the measures.
Of `--on FILE` one half of the pictures stands for the held-out and the other for the training ones.

Each set has as many pictures as the smaller of the two real ones, 2,000 at most; everything is done ROUNDS times, with
other pictures where there are more, and the mean is reported. Seeds are fixed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.data import pictures as sources
from llmkit.errors import InputError
from llmkit.plain import Json
from llmkit.store.files import Files
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.image import metrics as measures, prepare, use
from llmkit.tasks.image.features import Features
from llmkit.tasks.image.settings import Config

TABLE = [
    Column("size_bytes", "size", True),
    Column("frechet_distance", "Fréchet distance", True),
    Column("kid", "KID", True),
    Column("precision", "precision", False),
    Column("recall", "recall", False),
    Column("images_per_second", "images/s", False),
]
UNIT = "picture"  # of the speeds that compression reports

ROUNDS = 8
MOST = 2000  # pictures in a set
SEED = 0  # of the choice of pictures and of the latent numbers
VALIDATION_SEED = 1000  # of those in training, which choose the best weights: others than the ones that are reported
SPEED_SECONDS = 0.3  # pictures are made so long, for the speed
LATENCY_CALLS = 50


@dataclass(frozen=True)
class Compared:
    """Real pictures (N, H, H, C) in two sets: those that made ones are compared with, and others."""

    split: str
    held_out: np.ndarray
    others: np.ndarray


def of_split(folder: ModelFolder, prepared: Files, split: str) -> Compared:
    """The pictures of a split beside those of training (for the training split: of validation)."""
    held_out, split = prepare.pictures_of(prepared, split)
    others, _ = prepare.pictures_of(prepared, "val" if split == "train" else "train")
    return Compared(split, held_out, others)


def of_files(
    folder: ModelFolder, files: list[Path], settings: Config, work: Path, progress: Progress, warn: Warn
) -> Compared:
    """The pictures of other files, in two halves drawn by a fixed seed."""
    pixels = sources.read(files, prepare.reading(settings.prepare), progress, warn).pixels
    pixels = pixels[np.random.default_rng(SEED).permutation(len(pixels))]
    half = len(pixels) // 2
    return Compared("files", pixels[:half], pixels[half:])


def metrics(folder: ModelFolder, examples: Compared, settings: Config, progress: Progress, warn: Warn) -> Json:
    """How near made pictures are to the real ones, size and speed. Raises InputError for too few pictures."""
    model, network = use.load(folder), Features(folder)
    count = len(examples.held_out) + len(examples.others)
    if min(len(examples.held_out), len(examples.others)) <= measures.NEIGHBOURS:
        raise InputError(
            f"{count} pictures are too few to compare "
            f"with, {2 * (measures.NEIGHBOURS + 1)} are the least; name more with --on"
        )

    def make(count: int, number: int) -> np.ndarray:
        progress(f"scoring {folder.name}", number, ROUNDS)
        return network.of(model.drawn(count, SEED + number))

    found = {"split": examples.split} | rounds(network.of(examples.held_out), network.of(examples.others), make)
    progress(f"scoring {folder.name}", ROUNDS, ROUNDS)
    return found | {
        "features_sha256": network.hash,
        "size_bytes": folder.size_bytes,
        "parameters": folder.parameters,
        "images_per_second": _speed(model),
        "latency_ms": _latency(model),
    }


def rounds(held_out: np.ndarray, others: np.ndarray, make: Callable[[int, int], np.ndarray]) -> Json:
    """The figures from features: of held-out and of other real pictures, and of `make(count, number of the round)`."""
    count = min(len(held_out), len(others), MOST)
    made_rows, real_rows = [], []
    for number in range(ROUNDS):
        generator = np.random.default_rng([SEED, number])
        reference = held_out[generator.permutation(len(held_out))[:count]]
        other = others[generator.permutation(len(others))[:count]]
        made_rows.append(compare(reference, make(count, number)))
        real_rows.append(compare(reference, other))
    return {
        **_mean(made_rows),
        "real_floor": _mean(real_rows),
        "images": count,
        "rounds": ROUNDS,
        "neighbours": measures.NEIGHBOURS,
    }


def compare(real: np.ndarray, made: np.ndarray) -> dict[str, float]:
    """The four figures of features (N, D) of made pictures against those of real ones."""
    precision, recall = measures.precision_and_recall(real, made)
    return {
        "frechet_distance": measures.frechet_distance(real, made),
        "kid": measures.kernel_distance(real, made),
        "precision": precision,
        "recall": recall,
    }


def validation_loss(folder: ModelFolder, prepared: Files, progress: Progress) -> float:
    """Fréchet distance of made pictures to the validation pictures."""
    return _validation_loss(use.load(folder), folder, prepared)


def validation_features(prepared: Files, network: Features) -> np.ndarray:
    """Features (N, 64) of the validation pictures, in random order, of MOST at most."""
    pixels, _ = prepare.pictures_of(prepared, "val")
    return network.of(pixels[np.random.default_rng(VALIDATION_SEED).permutation(len(pixels))[:MOST]])


def measure(folder: ModelFolder, prepared: Files, progress: Progress) -> tuple[float, dict[str, float]]:
    """(`validation_loss`, how fast the model is on this machine: load_ms, ms_per_picture, pictures_per_second)."""
    opening = time.perf_counter()
    model = use.load(folder)
    load_ms = 1000 * (time.perf_counter() - opening)
    loss = _validation_loss(model, folder, prepared)
    return loss, {"load_ms": load_ms, "ms_per_picture": _latency(model), "pictures_per_second": _speed(model)}


def _validation_loss(model: use.Generator, folder: ModelFolder, prepared: Files) -> float:
    network = Features(folder)
    reference = validation_features(prepared, network)
    made = model.drawn(len(reference), VALIDATION_SEED)
    return measures.frechet_distance(reference, network.of(made))


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _speed(model: use.Generator) -> float:
    """Pictures per second, the best of the batches."""
    best, until = 0.0, time.perf_counter() + SPEED_SECONDS
    given, numbers = use.latents(SEED, use.BATCH, model.latent_size), model.numbers(None, use.BATCH)
    while not best or time.perf_counter() < until:
        start = time.perf_counter()
        model.pictures(given, numbers)
        best = max(best, use.BATCH / (time.perf_counter() - start))
    return best


def _latency(model: use.Generator) -> float:
    """Median milliseconds of one picture by itself."""
    given, numbers, taken = use.latents(SEED, 1, model.latent_size), model.numbers(None, 1), []
    for _ in range(LATENCY_CALLS):
        start = time.perf_counter()
        model.pictures(given, numbers)
        taken.append(1000 * (time.perf_counter() - start))
    return float(np.median(taken))
