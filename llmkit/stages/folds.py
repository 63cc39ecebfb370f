"""Cross-validation (`train.folds`): the model of each fold is trained like any other and scored on the part left out.

In: the prepared folder. A fold is that folder with another split (the task's `folds.fold`), so everything learnt from
the training split is learnt anew. Out: metrics for the result of `train`. Each fold lies in a folder of its own while
the stage runs, FOLDER/fold-N/ with prepared, checkpoints and model, so that an interrupted run goes on where it was.
Left out: which rows a fold leaves out and how a model is scored, the task's affairs.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from llmkit.fitting import fit, write
from llmkit.fitting.setup import Setup, deciding, start_folder
from llmkit.plain import Json
from llmkit.stages import freshness
from llmkit.store import artifacts
from llmkit.store.artifacts import Artifact
from llmkit.store.model_folder import ModelFolder
from llmkit.tasks import experiment as experiments
from llmkit.tasks.contract import Folds
from llmkit.tasks.experiment import Experiment


def cross_validate(experiment: Experiment, setup: Setup, folds: Folds, place: Path) -> tuple[Json, Json]:
    """(result, timings): `folds`, the metrics of each, and their means, `mean_accuracy` and so on.

    `setup` is that of the whole training, `place` the folder for what the folds need. Raises what `fitting.fit` raises.
    """
    count, ui = experiment.settings.train.folds or 0, setup.ui
    rows, seconds = [], []
    for number in range(1, count + 1):
        ui.info(f"fold {number} of {count}")
        own = place / f"fold-{number}"
        split = _split(experiment, setup.prepared, folds, own / "prepared", number)
        model, timings = _model(experiment, replace(setup, prepared=split), own, place)
        metrics = _score(folds, model, split, setup)
        shown = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if isinstance(value, float))
        ui.info(f"fold {number} of {count}: {shown}")
        rows.append({"fold": number, "val_loss": model.result["val_loss"]} | metrics)
        seconds.append(timings["seconds"])
    means = {
        f"mean_{name}": float(np.mean([row[name] for row in rows]))
        for name in rows[0]
        if all(isinstance(row[name], float) for row in rows)
    }
    return {"folds": rows, **means}, {"fold_seconds": seconds, "mean_fold_seconds": float(np.mean(seconds))}


def _split(experiment: Experiment, prepared: Artifact, folds: Folds, place: Path, number: int) -> Artifact:
    """The prepared folder of a fold."""
    settings, count = experiment.settings, experiment.settings.train.folds or 0
    identity = {"fold": number, "folds": count, "prepare": freshness.of_prepare(settings.prepare)}
    wanted = freshness.Wanted("prepare", identity, settings.seed, {"prepared": prepared.hash})
    present, why = freshness.reasons(place, wanted)
    if present and not why:
        return present
    with artifacts.building(place) as folder:
        folds.fold(prepared, folder.path, number, count, settings.prepare, settings.seed)
        return folder.finish(**wanted.identity, task=experiment.task.name, result={})


def _model(experiment: Experiment, setup: Setup, own: Path, work: Path) -> tuple[ModelFolder, Json]:
    """The model of a fold, trained where it is not there yet, and its timings."""
    place, start = own / "model", start_folder(setup)
    parents = {"prepared": setup.prepared.hash} | ({"start_from": start.artifact.hash} if start else {})
    wanted = freshness.Wanted("train", deciding(setup.settings), setup.settings.seed, parents)
    present, why = freshness.reasons(place, wanted)
    if not present or why:
        fitted = fit.fit(setup, own / "checkpoints")
        with artifacts.building(place) as folder:
            present = write.write_model(folder, experiment, fitted, setup.prepared, wanted.identity)
        freshness.store_timings(present, work, fitted.timings)
    model = experiments.read_model(place, task=experiment.task)
    return model, {"seconds": 0.0, **freshness.stored(present, work)}


def _score(folds: Folds, model: ModelFolder, split: Artifact, setup: Setup) -> dict[str, float | None]:
    """The metrics of a fold's model on the part it has not seen."""
    task, ui = setup.task.evaluate, setup.ui
    metrics = task.metrics(model, task.of_split(model, split, "test"), setup.settings, ui.progress, ui.warn)
    ui.close()
    return {name: metrics[name] for name in folds.METRICS if name in metrics}
