"""`llmkit compress`: RUN_DIR/model -> RUN_DIR/compressed/NAME for each named variant, beside the original."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llmkit import artifacts, card, model_folder, tasks
from llmkit.compression import methods
from llmkit.config import Config, to_data
from llmkit.console import Console
from llmkit.errors import ConfigError, InputError
from llmkit.stages import freshness, models
from llmkit.stages.train import require_torch


def compress(
    config: Config,
    names: list[str] | None = None,
    *,
    model: str = "model",
    force: bool = False,
    dry_run: bool = False,
    ui: Console | None = None,
) -> dict[str, Any]:
    """Make the named variants (all by default) of RUN_DIR/`model`; each that is up to date is skipped.

    Returns {"original": figures, "models": [figures of each]}: size_bytes, val_loss, and both relative to the original.
    Raises ConfigError for an unknown name and InputError.
    """
    ui = ui or Console(0)
    variants = config.settings.compress
    unknown = [name for name in names or () if name not in variants]
    if unknown:
        raise ConfigError(f"compress has no variant {unknown[0]!r}; the config names: {', '.join(variants) or 'none'}")
    if not variants:
        raise ConfigError(f"{config.path} has no variants; add compress: {{int8: {{method: quantize, bits: 8}}}}")
    prepared = freshness.read_prepared(config)
    original = models.read(config, model, ui.warn)
    if original.artifact.manifest["stage"] == "compress":
        raise ConfigError(f"{original.path} is compressed already; compress model or tuned")
    if original.artifact.manifest["parents"].get("prepared") != prepared.hash:
        raise InputError(
            f"{original.path} is stale: it was trained on other prepared data; run: {config.command('train')}"
        )
    rows, waiting = [], []
    for name in names or variants:
        place = config.run_dir / "compressed" / name
        settings = {"variant": to_data(variants[name])}
        wanted = freshness.Wanted("compress", settings, config.settings.seed, {"original": original.artifact.hash})
        found, why = freshness.reasons(place, wanted)
        if found and not why and not force:
            row = {
                "name": name,
                "folder": str(place),
                "up_to_date": True,
                **freshness.stored(found, config.run_dir / "work"),
            }
        elif dry_run:
            row = {"name": name, "folder": str(place), "dry_run": True, "would_run": why or ["--force"]}
        else:
            row = {"name": name, "folder": str(place)}
            waiting.append((row, place, wanted))
        rows.append(row)
    before: dict[str, Any] = {"name": model, "folder": str(original.path), "size_bytes": original.size_bytes}
    if waiting:
        require_torch()
        loss = tasks.module(config.task, "evaluate").validation_loss
        with artifacts.lock(config.run_dir, config.command("compress")):
            for row, place, wanted in waiting:
                how = ", ".join(f"{key} {value}" for key, value in wanted.settings["variant"].items())
                ui.info(f"compressing: {row['name']} ({how})")
                before["val_loss"] = before.get("val_loss") or loss(original, prepared.path, ui.progress)
                row |= _make(config, original, before, prepared, place, wanted, ui)
    elif not dry_run or all("would_run" not in row for row in rows):
        before["val_loss"] = rows[0]["original_val_loss"]
    return {"stage": "compress", "original": before, "models": rows}


def _make(
    config: Config,
    original: model_folder.ModelFolder,
    before: dict[str, Any],
    prepared: artifacts.Artifact,
    place: Path,
    wanted: freshness.Wanted,
    ui: Console,
) -> dict[str, Any]:
    """Compress once, measure, write the folder; returns its figures."""
    variant = config.settings.compress[place.name]
    graph, weights, made = methods.apply(variant, *model_folder.read_graph(original))
    kept = {
        name: original.path / name
        for name in original.artifact.manifest["files"]
        if name not in (*model_folder.NOT_COUNTED, model_folder.GRAPH, model_folder.WEIGHTS, model_folder.CONFIG)
    }
    with artifacts.building(place) as folder:
        model_folder.write(folder.path, graph, weights, original.config.settings, kept)
        size = sum(file.stat().st_size for file in folder.path.iterdir())
        candidate = replace(original, path=folder.path)  # has no manifest yet
        loss = tasks.module(config.task, "evaluate").validation_loss(candidate, prepared.path, ui.progress)
        result = {
            **made,
            "prepared": prepared.hash,
            "original": before["name"],
            "parameters": original.result["parameters"],
            "trainable": all(array.dtype == np.float32 for array in weights.values()),
            "size_bytes": size,
            "times_smaller": original.size_bytes / size,
            "val_loss": loss,
            "original_val_loss": before["val_loss"],
            "val_loss_increase_percent": 100 * (loss / before["val_loss"] - 1),
        }
        (folder.path / "card.md").write_text(
            card.compressed(original, place.name, wanted.settings["variant"], result), encoding="utf-8"
        )
        folder.finish(
            stage="compress",
            task=config.task,
            settings=wanted.settings,
            seed=wanted.seed,
            parents=wanted.parents,
            result=result,
        )
    return result
