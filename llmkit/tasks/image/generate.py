"""`llmkit generate` for pictures: a grid, and each picture by itself, as PNG files."""

import time
from dataclasses import dataclass
from pathlib import Path

from llmkit.console import terminal
from llmkit.console.callbacks import Warn
from llmkit.data.grid import columns_for, grid, png
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.contract import Answers, Emit
from llmkit.tasks.image.settings import Generate
from llmkit.tasks.image.use import Generator


@dataclass(frozen=True)
class Pictures:
    """What is asked for: `count` pictures of labels in turn (None: of all that the model knows)."""

    count: int
    labels: list[str] | None
    other_seed: int | None
    """Go from the picture of the seed to the one of this seed."""


def requests(settings: Generate, folder: ModelFolder) -> Pictures:
    """The pictures that the section asks for. Raises ConfigError for several labels between two seeds."""
    labels = [settings.label] if isinstance(settings.label, str) else settings.label
    if settings.other_seed is not None and labels and len(labels) > 1:
        raise ConfigError("generate.label: one label, with other_seed: the way from seed to seed keeps its label")
    return Pictures(settings.count, labels, settings.other_seed)


def answer(
    model: Generator, requests: Pictures, settings: Generate, seed: int, warn: Warn, emit: Emit | None = None
) -> Answers:
    """The pictures as PNG files: a grid and, as the settings say, each by itself. Raises ConfigError."""
    labels, count = requests.labels, requests.count
    start = time.perf_counter()
    if requests.other_seed is None:
        pixels = model.generate(count, seed, labels)
    else:
        pixels = model.between(seed, requests.other_seed, count, labels[0] if labels else None)
        labels = labels or model.labels[:1]
    seconds = time.perf_counter() - start
    names = [model.labels[number] if model.labels else None for number in model.numbers(labels, count)]
    columns = settings.columns or columns_for(count, len(labels or model.labels))
    files = {"grid.png": png(grid(pixels, min(columns, count)))}
    digits = len(str(count))
    if settings.singles:
        files |= {f"picture-{number:0{digits}}.png": png(one) for number, one in enumerate(pixels, 1)}
    result = {
        "pictures": count,
        "labels": names if model.labels else None,
        "columns": columns,
        "seconds": seconds,
        "pictures_per_second": count / max(seconds, 1e-9),
        "engine": "onnxruntime",
        "seed": seed,
    }
    return Answers(result, files, settings.to)


def items(result: Json) -> list[Json]:
    """One dict per file: the lines of `--jsonl`."""
    singles = result["files"][1:]
    labels = result["labels"] or [None] * len(singles)
    return [{"file": result["files"][0], "grid": True}] + [
        {"file": file} | ({"label": label} if label is not None else {})
        for file, label in zip(singles, labels, strict=False)
    ]


def show(result: Json, emitted: bool, named: bool) -> None:
    """Print where the files are; `named`: say whose they are."""
    if named:
        terminal.show(f"--- {result['model']}")
    whole, *singles = result["files"]
    terminal.show(whole)
    if singles:
        terminal.show(f"{singles[0]} … {Path(singles[-1]).name}" if len(singles) > 1 else singles[0])


def summary(result: Json) -> str:
    """The closing message."""
    return f"{result['pictures']:,} pictures, {result['pictures_per_second']:,.0f} pictures/s"
