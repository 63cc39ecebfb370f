"""`llmkit compress`: RUN_DIR/model -> RUN_DIR/compressed/NAME for each named variant, beside the original.

Live files (checkpoints of fine-tunings, the candidates of a budget) lie in RUN_DIR/work/compress/NAME.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from llmkit.compression import budget, methods, model as compression
from llmkit.compression.model import Job, Record, increase_percent
from llmkit.config.schema import to_data
from llmkit.config.variants import Budget
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError, RequirementError
from llmkit.fitting import card
from llmkit.fitting.setup import require_torch
from llmkit.plain import Json
from llmkit.stages import freshness, models
from llmkit.store import artifacts, new_files
from llmkit.store.artifacts import Artifact
from llmkit.store.model_folder import CARD, ModelFolder, Role
from llmkit.tasks.experiment import Experiment

PRIVATE = ("epsilon", "delta")  # figures that hold for whatever is made of a model


@dataclass(frozen=True)
class _Waiting:
    """A variant that is to be made: its row of the result, its place, what it is made from."""

    row: Json
    place: Path
    wanted: freshness.Wanted


def compress(
    experiment: Experiment,
    names: list[str] | None = None,
    *,
    model: str = "model",
    force: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
) -> Json:
    """Make the named variants (all by default) of RUN_DIR/`model`; each that is up to date is skipped.

    Returns {"original": metrics, "models": [metrics of each]}: size_bytes, val_loss, both relative to the original,
    what was done (steps, …) and, as far as they were measured on this machine, speeds and seconds. A budget that
    nothing fits has `unmet` in place of metrics. Raises ConfigError for an unknown name, InputError and Interrupted.
    """
    ui = ui or Console(0)
    _check_names(experiment, names)
    prepared = freshness.read_prepared(experiment)
    original = _read_original(experiment, model, prepared, ui)
    rows, waiting = [], []
    for name in names or experiment.settings.compress:
        place = experiment.run_dir / "compressed" / name
        variant = experiment.settings.compress[name]
        parents = {"original": original.artifact.hash} | methods.parents(variant)
        wanted = freshness.Wanted("compress", {"variant": to_data(variant)}, experiment.settings.seed, parents)
        present, why = freshness.reasons(place, wanted)
        row: Json = {"name": name, "folder": str(place)}
        if present and not why and not force:
            row |= {"up_to_date": True, **freshness.stored(present, experiment.work)}
        elif dry_run:
            row |= {"dry_run": True, "would_run": why or ["--force"]}
        else:
            waiting.append(_Waiting(row, place, wanted))
        rows.append(row)
    before: Json = {"name": model, "folder": str(original.path), "size_bytes": original.size_bytes}
    if waiting:
        require_torch()
        with artifacts.lock(experiment.run_dir, experiment.command("compress")):
            before |= _make_all(experiment, before, waiting, original, prepared, device, ui)
    elif not dry_run or all("would_run" not in row for row in rows):
        before |= {key.removeprefix("original_"): rows[0][key] for key in rows[0] if key.startswith("original_")}
    return {"stage": "compress", "original": before, "models": rows}


def _check_names(experiment: Experiment, names: list[str] | None) -> None:
    """Raise ConfigError for a variant that the config does not name, and where it names none."""
    variants = experiment.settings.compress
    unknown = [name for name in names or () if name not in variants]
    if unknown:
        raise ConfigError(f"compress has no variant {unknown[0]!r}; the config names: {', '.join(variants) or 'none'}")
    if not variants:
        raise ConfigError(f"{experiment.path} has no variants; add compress: {{int8: {{method: quantize, bits: 8}}}}")


def _read_original(experiment: Experiment, model: str, prepared: Artifact, ui: Console) -> ModelFolder:
    """The model to compress. Raises ConfigError where it is compressed already, InputError where it is stale."""
    original = models.read(experiment, model, ui.warn)
    if original.artifact.manifest["stage"] == "compress":
        raise ConfigError(
            f"{original.path} is compressed already; compress model or tuned (to do several things to one model, list "
            "them as the steps of a variant {method: chain})"
        )
    if original.artifact.manifest["parents"].get("prepared") != prepared.hash:
        raise InputError(
            f"{original.path} is stale: it was trained on other prepared data; run: {experiment.command('train')}"
        )
    return original


def _make_all(
    experiment: Experiment,
    before: Json,
    waiting: list[_Waiting],
    original: ModelFolder,
    prepared: Artifact,
    device: str,
    ui: Console,
) -> Json:
    """Make the variants that wait, once all are seen to fit, and fill their rows; returns the original's metrics."""
    seed, work, variants = experiment.settings.seed, experiment.work / "compress", experiment.settings.compress
    jobs = [Job(experiment.task, original, prepared, seed, work / one.place.name, device, ui) for one in waiting]
    for one, job in zip(waiting, jobs, strict=True):
        methods.check(variants[one.place.name], job)
    loss, speeds = experiment.task.evaluate.measure(original, prepared, ui.progress)
    measured = {"val_loss": loss, **speeds}
    for one, job in zip(waiting, jobs, strict=True):
        name = one.row["name"]
        ui.info(f"compressing: {name} ({methods.shown(variants[name])})")
        try:
            one.row.update(_make(experiment, before | measured, job, one))
        except RequirementError as error:
            one.row.update({"unmet": f"{name}: {error}", **_candidates(job)})
            ui.warn(one.row["unmet"])
    return measured


def _make(experiment: Experiment, before: Json, job: Job, one: _Waiting) -> Json:
    """Compress once, measure, write the folder; returns its metrics."""
    start, variant = time.monotonic(), experiment.settings.compress[one.place.name]
    by = budget.search if isinstance(variant, Budget) else methods.apply
    made = by(variant, job.original, job)
    seconds = time.monotonic() - start
    with artifacts.building(one.place) as folder:
        candidate = compression.write(made, job, folder.path)
        metrics, speeds = compression.measure(candidate, job)
        result = {
            **_record(made.done),
            "prepared": job.prepared.hash,
            "original": before["name"],
            "parameters": made.parameters,
            "trainable": made.trainable,
            **{key: job.folder.result[key] for key in PRIVATE if key in job.folder.result},
            **metrics,
            "times_smaller": before["size_bytes"] / metrics["size_bytes"],
            "original_val_loss": before["val_loss"],
            "val_loss_increase_percent": increase_percent(metrics["val_loss"], before["val_loss"]),
        }
        text = card.compressed(job.folder, one.place.name, methods.shown(variant), result)
        new_files.write_text(folder.path / CARD, text, errors="backslashreplace")
        roles = {**candidate.roles, CARD: Role.RECORD}
        artifact = folder.finish(**one.wanted.identity, task=experiment.task.name, result=result, roles=roles)
    timings = {"seconds": seconds, **speeds}
    timings |= {f"original_{key}": before[key] for key in speeds}
    if isinstance(variant, Budget):
        timings |= _candidates(job)
    freshness.store_timings(artifact, experiment.work, timings)
    shutil.rmtree(job.work / compression.CHECKPOINTS, ignore_errors=True)
    return result | timings


def _candidates(job: Job) -> Json:
    """The rows of a budget's search, for the table and for --json."""
    return {"candidates": artifacts.read_json(job.work / "candidates.json")}


def _record(done: tuple[Record, ...]) -> Record:
    """What was done, for the manifest: the record of the one method, or those of all in `chain` and their steps."""
    if len(done) == 1:
        return done[0]
    steps = [record["steps"] for record in done if "steps" in record]
    return {"method": "chain", "chain": list(done)} | ({"steps": sum(steps)} if steps else {})
