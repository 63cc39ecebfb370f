"""`llmkit tune`: search for better settings, RUN_DIR/prepared -> RUN_DIR/tuned.

Each trial is a short training with its own full schedule; the config's own settings come first. The study lies in
RUN_DIR/work/tune/journal.log (Optuna) and goes on where it was interrupted. The winner is trained at the full budget,
by this process alone. How trials are proposed and run: `llmkit/search/`.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.config import yaml_text
from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.errors import ConfigError
from llmkit.fitting import fit, probe, write
from llmkit.fitting.setup import Setup, deciding, require_torch
from llmkit.plain import Json
from llmkit.search import pool, study as studies, values
from llmkit.search.study import TrialRow
from llmkit.stages import freshness
from llmkit.store import artifacts
from llmkit.store.artifacts import Artifact
from llmkit.tasks.experiment import Experiment

if TYPE_CHECKING:
    import optuna


def tune(
    experiment: Experiment,
    *,
    force: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
) -> Json:
    """Search, then train the best settings; returns the trials, the best one's settings and its model's metrics.

    Reads RUN_DIR/prepared; writes RUN_DIR/tuned, a model folder with best.yaml and trials.jsonl. `best_trial_val_loss`
    beside `default_val_loss` tells what the search gained: both from trials, of the same budget. Raises ConfigError,
    InputError and, when interrupted, Interrupted.
    """
    if experiment.settings.train.private:
        raise ConfigError(
            "tune: each of its trials would read the training rows once more, which train.private does not count; set "
            "the settings by hand and run: " + experiment.command("train")
        )
    ui = ui or Console(0)
    setup = Setup(experiment.settings, freshness.read_prepared(experiment), device, ui)
    place, work = experiment.run_dir / "tuned", experiment.work
    values.check(experiment)
    identity = deciding(setup.settings) | {"tune": _deciding(experiment)}
    wanted = freshness.Wanted("tune", identity, setup.settings.seed, {"prepared": setup.prepared.hash})
    present, why = freshness.reasons(place, wanted)
    if present and not why and not force and not fresh:
        return {"stage": "tune", "folder": str(place), "up_to_date": True, **freshness.stored(present, work)}
    require_torch()
    from llmkit.training import tensorboard

    tensorboard.require(setup.settings.train.tensorboard)
    if dry_run:
        expected = probe.probe(replace(setup, settings=values.trial_experiment(experiment, {}).settings))
        return {
            "stage": "tune",
            "folder": str(place),
            "dry_run": True,
            "would_run": why or ["--force"],
            "trials": setup.settings.tune.trials,
            "trial_minutes": expected["minutes"],
        }
    with artifacts.lock(experiment.run_dir, experiment.command("tune")):
        start = time.monotonic()
        study = open_study(experiment, setup.prepared, work / "tune", fresh, force)
        search = studies.Search(study, experiment, work / "tune", ui)
        pool.run(search, experiment, setup.prepared, device, ui)
        search_seconds = time.monotonic() - start
        rows = studies.rows(study)
        done = [row for row in rows if row["state"] == "complete"]
        if not done:
            raise ConfigError(
                "no trial came to an end; lower the learning rates in tune.search or raise train's budget"
            )
        best = min(done, key=lambda row: row["val_loss"] or 0.0)  # never None: complete
        ui.info(f"best trial: {best['trial']} with val_loss {best['val_loss']:.4f}; training it at the full budget")
        chosen = values.with_values(experiment, best["settings"])
        fitted = fit.fit(replace(setup, settings=chosen.settings), work / "tune" / f"best-{best['trial']}")
        fitted = replace(fitted, result=fitted.result | _summary(rows, best))
        with artifacts.building(place) as folder:
            beside = _beside(experiment, chosen, rows, best)
            artifact = write.write_model(folder, chosen, fitted, setup.prepared, wanted.identity, beside)
        for line in fitted.warnings:
            ui.warn(line)
        studies.mark_finished(work / "tune")
        timings = fitted.timings | {"search_seconds": search_seconds}
        freshness.store_timings(artifact, work, timings)
    return {"stage": "tune", "folder": str(place), **fitted.result, **timings}


def _summary(rows: list[TrialRow], best: TrialRow) -> Json:
    """What the result says of the search."""
    own = [row["val_loss"] for row in rows if row["state"] == "complete" and row.get("own")]
    return {
        "trials": rows,
        "best_trial": best["trial"],
        "best_settings": best["settings"],
        "best_trial_val_loss": best["val_loss"],
        "default_val_loss": own[0] if own else None,
    }


def _beside(experiment: Experiment, chosen: Experiment, rows: list[TrialRow], best: TrialRow) -> dict[str, str]:
    """The text files that lie beside the model: the best settings, all trials."""
    head = f"# The settings of trial {best['trial']} of llmkit tune {experiment.path}\n"
    return {
        "best.yaml": head + yaml_text.dump(to_data(chosen.settings)),
        "trials.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
    }


def open_study(
    experiment: Experiment, prepared: Artifact, folder: Path, fresh: bool = False, force: bool = False
) -> "optuna.Study":
    """The study of a config on its prepared data, as `search.study.open_study` opens it."""
    identity = deciding(experiment.settings) | {"seed": experiment.settings.seed, "prepared": prepared.hash}
    return studies.open_study(experiment, identity, folder, fresh=fresh, force=force)


def _deciding(experiment: Experiment) -> Json:
    """The settings of the search that decide its result: not by how many processes it runs."""
    return {key: value for key, value in to_data(experiment.settings.tune).items() if key != "workers"}
