"""Cross-validation (`train.folds`): the model of each fold is trained like any other and scored on the part left out.

In: the prepared folder. A fold is that folder with another split (the task's `prepare.fold`), so everything learnt from
the training split is learnt anew. Out: figures for the result of `train`. Each fold lies in a folder of its own while
the stage runs, FOLDER/fold-N/ with prepared, checkpoints and model, so that an interrupted run goes on where it was.
Left out: which rows a fold leaves out and how a model is scored, the task's affairs.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from llmkit import tasks
from llmkit.config.schema import Config, to_data
from llmkit.console.messages import Console
from llmkit.stages import freshness
from llmkit.stages.train import fit, model_settings, start_folder, write_model
from llmkit.store import artifacts, model_folder


def cross_validate(
    config: Config, prepared: artifacts.Artifact, folder: Path, device: str, ui: Console
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(result, timings): `folds`, the figures of each, and their means, `mean_accuracy` and so on.

    Raises what `stages.train.fit` raises.
    """
    count = config.settings.train.folds
    rows, seconds = [], []
    for number in range(1, count + 1):
        ui.info(f"fold {number} of {count}")
        split = _split(config, prepared, folder / f"fold-{number}" / "prepared", number)
        place = folder / f"fold-{number}" / "model"
        model, timings = _model(config, split, place, folder, device, ui)
        figures = _score(config, model, split, ui)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in figures.items() if isinstance(value, float))
        ui.info(f"fold {number} of {count}: {shown}")
        rows.append({"fold": number, "val_loss": model.result["val_loss"]} | figures)
        seconds.append(timings["seconds"])
    means = {
        f"mean_{name}": float(np.mean([row[name] for row in rows]))
        for name in rows[0]
        if all(isinstance(row[name], float) for row in rows)
    }
    return {"folds": rows, **means}, {"fold_seconds": seconds, "mean_fold_seconds": float(np.mean(seconds))}


def _split(config: Config, prepared: artifacts.Artifact, place: Path, number: int) -> artifacts.Artifact:
    """The prepared folder of a fold."""
    settings = {"fold": number, "folds": config.settings.train.folds, "prepare": to_data(config.settings.prepare)}
    wanted = freshness.Wanted("prepare", settings, config.settings.seed, {"prepared": prepared.hash})
    found, why = freshness.reasons(place, wanted)
    if found and not why:
        return found
    fold = tasks.module(config.task, "prepare").fold
    with artifacts.building(place) as folder:
        fold(prepared.path, folder.path, number, config.settings.train.folds, config.settings.prepare, wanted.seed)
        return folder.finish(
            stage="prepare", task=config.task, settings=settings, seed=wanted.seed, parents=wanted.parents, result={}
        )


def _model(
    config: Config, split: artifacts.Artifact, place: Path, work: Path, device: str, ui: Console
) -> tuple[model_folder.ModelFolder, dict[str, Any]]:
    """The model of a fold, trained where it is not there yet, and its timings."""
    start = start_folder(config)
    parents = {"prepared": split.hash} | ({"start_from": start.artifact.hash} if start else {})
    wanted = freshness.Wanted("train", model_settings(config), config.settings.seed, parents)
    found, why = freshness.reasons(place, wanted)
    if not found or why:
        fitted = fit(config, split, place.parent / "checkpoints", device, ui)
        with artifacts.building(place) as folder:
            found = write_model(folder, config, fitted, wanted, split)
        freshness.store_timings(found, work, fitted.timings)
    return model_folder.read(place, task=config.task), {"seconds": 0.0, **freshness.stored(found, work)}


def _score(
    config: Config, model: model_folder.ModelFolder, split: artifacts.Artifact, ui: Console
) -> dict[str, float | None]:
    """The figures of a fold's model on the part it has not seen."""
    task = tasks.module(config.task, "evaluate")
    settings = structs.replace(config.settings, evaluate=structs.replace(config.settings.evaluate, split="test"))
    with tempfile.TemporaryDirectory(prefix="llmkit-") as work:
        figures = task.evaluate(model, split.path, settings, [], Path(work), ui.progress, ui.warn)
    ui.close()
    return {name: figures[name] for name in task.FOLD_FIGURES}
