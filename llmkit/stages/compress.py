"""`llmkit compress`: RUN_DIR/model -> RUN_DIR/compressed/NAME for each named variant, beside the original.

Live files (checkpoints of fine-tunings, the candidates of a budget) lie in RUN_DIR/work/compress/NAME.
"""

import shutil
import time
from pathlib import Path
from typing import Any

from llmkit import tasks
from llmkit.compression import methods, model as compression
from llmkit.compression.model import Job
from llmkit.config.schema import Config, to_data
from llmkit.config.variants import Budget
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError, RequirementError
from llmkit.fitting import card
from llmkit.stages import freshness, models
from llmkit.stages.train import require_torch
from llmkit.store import artifacts
from llmkit.store.model_folder import ModelFolder


def compress(
    config: Config,
    names: list[str] | None = None,
    *,
    model: str = "model",
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
) -> dict[str, Any]:
    """Make the named variants (all by default) of RUN_DIR/`model`; each that is up to date is skipped.

    Returns {"original": figures, "models": [figures of each]}: size_bytes, val_loss, both relative to the original,
    what was done (steps, …) and, as far as they were measured on this machine, speeds and seconds. A budget that
    nothing fits has `unmet` in place of figures. Raises ConfigError for an unknown name, InputError and Interrupted.
    """
    ui = ui or Console(0)
    variants = config.settings.compress
    unknown = [name for name in names or () if name not in variants]
    if unknown:
        raise ConfigError(f"compress has no variant {unknown[0]!r}; the config names: {', '.join(variants) or 'none'}")
    if not variants:
        raise ConfigError(f"{config.path} has no variants; add compress: {{int8: {{method: quantize, bits: 8}}}}")
    prepared = freshness.read_prepared(config)
    original = _read_original(config, model, prepared, ui)
    work = config.run_dir / "work"
    rows, waiting = [], []
    for name in names or variants:
        place = config.run_dir / "compressed" / name
        settings = {"variant": to_data(variants[name])}
        parents = {"original": original.artifact.hash} | methods.parents(variants[name])
        wanted = freshness.Wanted("compress", settings, config.settings.seed, parents)
        found, why = freshness.reasons(place, wanted)
        row: dict[str, Any] = {"name": name, "folder": str(place)}
        if found and not why and not force:
            row |= {"up_to_date": True, **freshness.stored(found, work)}
        elif dry_run:
            row |= {"dry_run": True, "would_run": why or ["--force"]}
        else:
            waiting.append((row, place, wanted))
        rows.append(row)
    before: dict[str, Any] = {"name": model, "folder": str(original.path), "size_bytes": original.size_bytes}
    if waiting:
        require_torch()
        with artifacts.lock(config.run_dir, config.command("compress")):
            jobs = [
                Job(original, prepared, config.settings.seed, work / "compress" / place.name, device, ui)
                for _, place, _ in waiting
            ]
            for (_, place, _), job in zip(waiting, jobs, strict=True):
                methods.check(variants[place.name], job)
            loss, speeds = tasks.module(config.task, "evaluate").measure(original, prepared.path, ui.progress)
            before |= {"val_loss": loss, **speeds}
            for (row, place, wanted), job in zip(waiting, jobs, strict=True):
                ui.info(f"compressing: {row['name']} ({methods.shown(variants[place.name])})")
                try:
                    row |= _make(config, before, job, place, wanted)
                except RequirementError as error:
                    row |= {"unmet": f"{row['name']}: {error}", **_candidates(job)}
                    ui.warn(row["unmet"])
    elif not dry_run or all("would_run" not in row for row in rows):
        before |= {key.removeprefix("original_"): rows[0][key] for key in rows[0] if key.startswith("original_")}
    return {"stage": "compress", "original": before, "models": rows}


def _read_original(config: Config, model: str, prepared: artifacts.Artifact, ui: Console) -> ModelFolder:
    """The model to compress. Raises ConfigError where it is compressed already, InputError where it is stale."""
    original = models.read(config, model, ui.warn)
    if original.artifact.manifest["stage"] == "compress":
        raise ConfigError(
            f"{original.path} is compressed already; compress model or tuned (to do several things to one model, list "
            "them as the steps of a variant {method: chain})"
        )
    if original.artifact.manifest["parents"].get("prepared") != prepared.hash:
        raise InputError(
            f"{original.path} is stale: it was trained on other prepared data; run: {config.command('train')}"
        )
    return original


def _make(config: Config, before: dict[str, Any], job: Job, place: Path, wanted: freshness.Wanted) -> dict[str, Any]:
    """Compress once, measure, write the folder; returns its figures."""
    start, variant = time.monotonic(), config.settings.compress[place.name]
    made = methods.apply(variant, job.original, job)
    seconds = time.monotonic() - start
    with artifacts.building(place) as folder:
        candidate = compression.write(made, job, folder.path)
        figures, speeds = compression.measure(candidate, job)
        result = {
            **_record(made.done),
            "prepared": job.prepared.hash,
            "original": before["name"],
            "parameters": made.parameters,
            "trainable": made.trainable,
            **figures,
            "times_smaller": before["size_bytes"] / figures["size_bytes"],
            "original_val_loss": before["val_loss"],
            "val_loss_increase_percent": 100 * (figures["val_loss"] / before["val_loss"] - 1),
        }
        (folder.path / "card.md").write_text(
            card.compressed(job.folder, place.name, methods.shown(variant), result), encoding="utf-8"
        )
        artifact = folder.finish(
            stage="compress",
            task=config.task,
            settings=wanted.settings,
            seed=wanted.seed,
            parents=wanted.parents,
            result=result,
        )
    timings = {"seconds": seconds, **speeds}
    timings |= {f"original_{key}": before[key] for key in speeds}
    if isinstance(variant, Budget):
        timings |= _candidates(job)
    freshness.store_timings(artifact, config.run_dir / "work", timings)
    shutil.rmtree(job.work / compression.CHECKPOINTS, ignore_errors=True)
    return result | timings


def _candidates(job: Job) -> dict[str, Any]:
    """The rows of a budget's search, for the table and for --json."""
    return {"candidates": artifacts.read_json(job.work / "candidates.json")}


def _record(done: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """What was done, for the manifest: the record of the one method, or those of all in `chain` and their steps."""
    if len(done) == 1:
        return done[0]
    steps = [record["steps"] for record in done if "steps" in record]
    return {"method": "chain", "chain": list(done)} | ({"steps": sum(steps)} if steps else {})
