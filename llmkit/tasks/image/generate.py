"""`llmkit generate` for pictures: a grid, and each picture by itself, as PNG files."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmkit.console.callbacks import Warn
from llmkit.data.grid import columns_for, grid, png
from llmkit.errors import ConfigError
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks.image import use
from llmkit.tasks.image.settings import Generate


def generate(
    folder: ModelFolder, settings: Generate, seed: int, emit: Callable[[str], None] | None, warn: Warn
) -> dict[str, Any]:
    """Make the pictures; returns {"contents": {file name: bytes}, pictures, seconds, …}. Raises ConfigError."""
    model = use.load(folder)
    labels = [settings.label] if isinstance(settings.label, str) else settings.label
    start = time.perf_counter()
    if settings.other_seed is None:
        pixels = model.generate(settings.count, seed, labels)
    elif labels and len(labels) > 1:
        raise ConfigError("generate.label: one label, with other_seed: the way from seed to seed keeps its label")
    else:
        pixels = model.between(seed, settings.other_seed, settings.count, labels[0] if labels else None)
        labels = labels or model.labels[:1]
    seconds = time.perf_counter() - start
    numbers = model.numbers(labels, settings.count)
    names = [model.labels[number] if model.labels else None for number in numbers]
    several = len(labels or model.labels)
    columns = settings.columns or columns_for(settings.count, several)
    contents = {"grid.png": png(grid(pixels, min(columns, settings.count)))}
    digits = len(str(settings.count))
    if settings.singles:
        contents |= {f"picture-{number:0{digits}}.png": png(one) for number, one in enumerate(pixels, 1)}
    return {
        "contents": contents,
        "pictures": settings.count,
        "labels": names if model.labels else None,
        "columns": columns,
        "seconds": seconds,
        "pictures_per_second": settings.count / max(seconds, 1e-9),
        "engine": "onnxruntime",
        "seed": seed,
    }


def items(result: dict[str, Any]) -> list[dict[str, Any]]:
    """One dict per file: the lines of `--jsonl`."""
    singles = result["files"][1:]
    labels = result["labels"] or [None] * len(singles)
    return [{"file": result["files"][0], "grid": True}] + [
        {"file": file} | ({"label": label} if label is not None else {})
        for file, label in zip(singles, labels, strict=False)
    ]


def show(result: dict[str, Any], emitted: bool, named: bool) -> None:
    """Print where the files are; `named`: say whose they are."""
    if named:
        print(f"--- {result['model']}")
    whole, *singles = result["files"]
    print(whole)
    if singles:
        print(f"{singles[0]} … {Path(singles[-1]).name}" if len(singles) > 1 else singles[0])


def summary(result: dict[str, Any]) -> str:
    """The closing message."""
    return f"{result['pictures']:,} pictures, {result['pictures_per_second']:,.0f} pictures/s"
