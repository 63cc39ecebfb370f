"""`llmkit tune`: search for better settings, RUN_DIR/prepared -> RUN_DIR/tuned.

Each trial is a short training with its own full schedule; the config's own settings come first. The study lies in
RUN_DIR/work/tune/journal.log (Optuna) and goes on where it was interrupted. The winner is trained at the full budget,
by this process alone. How trials are proposed and run: `llmkit/search/`.
"""

import json
import time
from pathlib import Path
from typing import Any

from llmkit.config import yaml_text
from llmkit.config.schema import Config, to_data
from llmkit.console.messages import Console
from llmkit.errors import ConfigError
from llmkit.search import pool, study as studies, values
from llmkit.stages import freshness
from llmkit.stages.train import Fitted, fit, model_settings, probe, require_torch, write_model
from llmkit.store import artifacts


def tune(
    config: Config,
    *,
    force: bool = False,
    fresh: bool = False,
    dry_run: bool = False,
    device: str = "auto",
    ui: Console | None = None,
) -> dict[str, Any]:
    """Search, then train the best settings; returns the trials, the best one's settings and its model's figures.

    Reads RUN_DIR/prepared; writes RUN_DIR/tuned, a model folder with best.yaml and trials.jsonl. `best_trial_val_loss`
    beside `default_val_loss` tells what the search gained: both from trials, of the same budget. Raises ConfigError,
    InputError and, when interrupted, Interrupted.
    """
    ui = ui or Console(0)
    prepared = freshness.read_prepared(config)
    place, work = config.run_dir / "tuned", config.run_dir / "work"
    values.check(config)
    settings = model_settings(config) | {"tune": _deciding(config)}
    wanted = freshness.Wanted("tune", settings, config.settings.seed, {"prepared": prepared.hash})
    found, why = freshness.reasons(place, wanted)
    if found and not why and not force and not fresh:
        return {"stage": "tune", "folder": str(place), "up_to_date": True, **freshness.stored(found, work)}
    require_torch()
    from llmkit.training import tensorboard

    tensorboard.require(config.settings.train.tensorboard)
    if dry_run:
        figures = probe(values.trial_config(config, {}), prepared, device, ui)
        return {
            "stage": "tune",
            "folder": str(place),
            "dry_run": True,
            "would_run": why or ["--force"],
            "trials": config.settings.tune.trials,
            "trial_minutes": figures["minutes"],
        }
    with artifacts.lock(config.run_dir, config.command("tune")):
        start = time.monotonic()
        study = open_study(config, prepared, work / "tune", fresh, force)
        pool.run(studies.Search(study, config, work / "tune", ui), config, prepared, device, ui)
        search_seconds = time.monotonic() - start
        rows = studies.rows(study)
        done = [row for row in rows if row["state"] == "complete"]
        if not done:
            raise ConfigError(
                "no trial came to an end; lower the learning rates in tune.search or raise train's budget"
            )
        best = min(done, key=lambda row: row["val_loss"])
        ui.info(f"best trial: {best['trial']} with val_loss {best['val_loss']:.4f}; training it at the full budget")
        chosen = values.with_values(config, best["settings"])
        fitted = fit(chosen, prepared, work / "tune" / f"best-{best['trial']}", device, ui)
        summary = {
            "trials": rows,
            "best_trial": best["trial"],
            "best_settings": best["settings"],
            "best_trial_val_loss": best["val_loss"],
            "default_val_loss": next((row["val_loss"] for row in done if row.get("own")), None),
        }
        fitted = Fitted(**{**vars(fitted), "result": fitted.result | summary})
        beside = {
            "best.yaml": f"# The settings of trial {best['trial']} of llmkit tune {config.path}\n"
            + yaml_text.dump(to_data(chosen.settings)),
            "trials.jsonl": "".join(json.dumps(row) + "\n" for row in rows),
        }
        with artifacts.building(place) as folder:
            artifact = write_model(folder, chosen, fitted, wanted, prepared, beside)
        for line in fitted.warnings:
            ui.warn(line)
        studies.mark_finished(work / "tune")
        timings = fitted.timings | {"search_seconds": search_seconds}
        freshness.store_timings(artifact, work, timings)
    return {"stage": "tune", "folder": str(place), **fitted.result, **timings}


def open_study(
    config: Config, prepared: artifacts.Artifact, folder: Path, fresh: bool = False, force: bool = False
) -> Any:
    """The study of a config on its prepared data, as `search.study.open_study` opens it."""
    identity = model_settings(config) | {"seed": config.settings.seed, "prepared": prepared.hash}
    return studies.open_study(config, identity, folder, fresh=fresh, force=force)


def _deciding(config: Config) -> dict[str, Any]:
    """The settings of the search that decide its result: not by how many processes it runs."""
    return {key: value for key, value in to_data(config.settings.tune).items() if key != "workers"}
