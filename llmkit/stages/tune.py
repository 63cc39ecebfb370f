"""`llmkit tune`: search for better settings, RUN_DIR/prepared -> RUN_DIR/tuned.

Each trial is a short training with its own full schedule; the config's own settings come first. The study lies in
RUN_DIR/work/tune/journal.log (Optuna) and goes on where it was interrupted. The winner is trained at the full budget.
"""

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit import artifacts, config as configs, yaml_text
from llmkit.config import Config, to_data
from llmkit.console import Console
from llmkit.errors import ConfigError, Diverged, InputError
from llmkit.stages import freshness
from llmkit.stages.train import Fitted, fit, model_settings, probe, require_torch, write_model

if TYPE_CHECKING:
    import optuna

LOOKS = 5  # points of a trial at which it is compared with those before it
FIRST_TRIALS = 4  # that are never pruned


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

    Reads RUN_DIR/prepared; writes RUN_DIR/tuned, a model folder with best.yaml and trials.jsonl.
    Raises ConfigError, InputError and, when interrupted, Interrupted.
    """
    ui = ui or Console(0)
    prepared = freshness.read_prepared(config)
    place, work = config.run_dir / "tuned", config.run_dir / "work"
    check_search(config)
    settings = model_settings(config) | {"tune": to_data(config.settings.tune)}
    wanted = freshness.Wanted("tune", settings, config.settings.seed, {"prepared": prepared.hash})
    found, why = freshness.reasons(place, wanted)
    if found and not why and not force and not fresh:
        return {"stage": "tune", "folder": str(place), "up_to_date": True, **freshness.stored(found, work)}
    require_torch()
    from llmkit.training import tensorboard

    tensorboard.require(config.settings.train.tensorboard)
    if dry_run:
        figures = probe(trial_config(config, {}), prepared, device, ui)
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
        search(study, config, prepared, work / "tune", device, ui)
        rows = trial_rows(study)
        done = [row for row in rows if row["state"] == "complete"]
        if not done:
            raise ConfigError(
                "no trial came to an end; lower the learning rates in tune.search or raise train's budget"
            )
        best = min(done, key=lambda row: row["val_loss"])
        ui.info(f"best trial: {best['trial']} with val_loss {best['val_loss']:.4f}; training it at the full budget")
        chosen = with_values(config, best["settings"])
        fitted = fit(chosen, prepared, work / "tune" / f"best-{best['trial']}", device, ui)
        summary = {"trials": rows, "best_trial": best["trial"], "best_settings": best["settings"]}
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
        mark_finished(work / "tune")
        timings = fitted.timings | {"search_seconds": time.monotonic() - start}
        freshness.store_timings(artifact, work, timings)
    return {"stage": "tune", "folder": str(place), **fitted.result, **timings}


def check_search(config: Config) -> None:
    """Refuse keys that are not there and values that they do not take, before anything runs."""
    for key, values in config.settings.tune.search.items():
        if key.split(".")[0] not in ("model", "train"):
            raise ConfigError(f"{config.path}: tune.search: {key}: only keys of model and train can be searched")
        for value in values.choices or (values.low, values.high):
            try:
                with_values(config, {key: value})
            except ConfigError as error:
                problem = str(error).removeprefix(f"{config.path}: ")
                raise ConfigError(f"{config.path}: tune.search: {problem}") from error


def with_values(config: Config, values: dict[str, Any]) -> Config:
    """The config with some keys (`train.learning_rate`) set to other values. Raises ConfigError."""
    data = to_data(config.settings)
    for key, value in values.items():
        section = data
        *parents, last = key.split(".")
        for parent in parents:
            section = section.get(parent, {}) if isinstance(section.get(parent, {}), dict) else {}
        if last not in section:
            raise ConfigError(f"{key}: there is no such key")
        section[last] = value
    return configs.from_data(data, config.path)


def trial_config(config: Config, values: dict[str, Any]) -> Config:
    """A trial's config: some keys set, and its share of the training budget."""
    chosen = with_values(config, values)
    data = to_data(chosen.settings)
    kind, amount = chosen.settings.train.budget
    part = amount * config.settings.tune.trial_budget
    data["train"] |= {
        "max_minutes": None,
        "steps": None,
        "epochs": None,
        "tensorboard": False,  # a trial's folder is gone when it ends
        kind: max(1, round(part)) if kind == "steps" else part,
    }
    return configs.from_data(data, config.path)


def open_study(
    config: Config, prepared: artifacts.Artifact, folder: Path, fresh: bool, force: bool = False
) -> "optuna.Study":
    """The study on disk, new or gone on with; trials that a crash left running are put back in the queue.

    Raises InputError with the differences when the study there was made for other settings or data.
    """
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searched = to_data(config.settings.tune)
    for key in ("trials", "max_minutes"):
        del searched[key]  # a longer search goes on from a shorter one
    identity = model_settings(config) | {"tune": searched, "seed": config.settings.seed, "prepared": prepared.hash}
    about = folder / "study.json"
    found: dict[str, Any] = artifacts.read_json(about) if about.exists() else {"identity": identity, "finished": False}
    changed = artifacts.differences(found["identity"], identity)
    if changed and not found["finished"] and not fresh:
        raise InputError(
            f"{folder} holds an interrupted search with other settings:\n  "
            + "\n  ".join(changed)
            + "\nset them back to go on, or start anew with --fresh"
        )
    if fresh or (found["finished"] and (changed or force)):
        shutil.rmtree(folder, ignore_errors=True)  # a finished search has its result in RUN_DIR/tuned
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "journal.log"
    _cut_torn_line(journal)
    study = optuna.create_study(
        study_name="tune",
        storage=JournalStorage(JournalFileBackend(str(journal))),
        sampler=optuna.samplers.TPESampler(seed=config.settings.seed, n_startup_trials=FIRST_TRIALS),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=1)
        if config.settings.tune.prune
        else optuna.pruners.NopPruner(),
        load_if_exists=True,
    )
    artifacts.write_json(about, {"identity": identity, "finished": False})
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    for trial in running:
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params, user_attrs={"again": trial.number})
    if not study.trials:
        study.enqueue_trial(default_values(config))
    return study


def mark_finished(folder: Path) -> None:
    """Note that the study's winner is in its place: a study of other settings may now replace this one."""
    about = artifacts.read_json(folder / "study.json")
    artifacts.write_json(folder / "study.json", about | {"finished": True})


def default_values(config: Config) -> dict[str, Any]:
    """The config's own values of the searched keys."""
    data = to_data(config.settings)
    return {key: data[key.split(".")[0]][key.split(".")[1]] for key in config.settings.tune.search}


def search(
    study: "optuna.Study", config: Config, prepared: artifacts.Artifact, folder: Path, device: str, ui: Console
) -> None:
    """Run trials until `tune.trials` have ended or `tune.max_minutes` are over."""
    import optuna
    from optuna.trial import TrialState

    settings = config.settings.tune
    start = time.monotonic()
    while True:
        ended = [trial for trial in study.trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        minutes = (time.monotonic() - start) / 60
        if len(ended) >= settings.trials or (settings.max_minutes and minutes >= settings.max_minutes and ended):
            return
        trial = study.ask()
        values = {key: suggest(trial, key, config) for key in settings.search}
        ui.info(
            f"trial {len(ended) + 1} of {settings.trials}: " + ", ".join(f"{k} {_short(v)}" for k, v in values.items())
        )

        def prune(spent: float, loss: float, trial: "optuna.Trial" = trial) -> None:
            look = int(LOOKS * spent)
            if look < LOOKS and look not in study.trials[trial.number].intermediate_values:
                trial.report(loss, look)
                if trial.should_prune():
                    raise optuna.TrialPruned

        quiet = Console(min(ui.level, 1))
        quiet.training = lambda event: ui.training(event) if event["event"] == "step" else None  # type: ignore[method-assign]
        try:
            fitted = fit(trial_config(config, values), prepared, folder / f"trial-{trial.number}", device, quiet, prune)
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
            ui.info("  pruned")
        except Diverged as error:
            ui.info(f"  {error}")
            study.tell(trial, state=TrialState.PRUNED)
        else:
            trial.set_user_attr("seconds", fitted.timings["seconds"])
            study.tell(trial, fitted.result["val_loss"])
            ui.info(f"  val_loss {fitted.result['val_loss']:.4f} after {fitted.result['steps']:,} steps")
        ui.close()
        shutil.rmtree(folder / f"trial-{trial.number}", ignore_errors=True)


def suggest(trial: "optuna.Trial", key: str, config: Config) -> Any:
    """The trial's value of a searched key."""
    values = config.settings.tune.search[key]
    if values.choices is not None:
        return trial.suggest_categorical(key, values.choices)
    assert values.low is not None and values.high is not None
    if isinstance(values.low, int) and isinstance(values.high, int):
        return trial.suggest_int(key, values.low, values.high, log=values.log)
    return trial.suggest_float(key, values.low, values.high, log=values.log)


def trial_rows(study: "optuna.Study") -> list[dict[str, Any]]:
    """One row for each trial that ran: number, state, validation loss (the last one seen) and its settings."""
    rows = []
    for trial in study.trials:
        state = trial.state.name.lower()
        if state in ("complete", "pruned"):
            seen = list(trial.intermediate_values.values())
            loss = trial.value if state == "complete" else (seen[-1] if seen else None)
            rows.append({"trial": trial.number, "state": state, "val_loss": loss, "settings": trial.params})
    return rows


def _cut_torn_line(journal: Path) -> None:
    """A kill in mid-write leaves half a line, which makes the whole journal unreadable: cut it off."""
    if not journal.exists():
        return
    data = journal.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):
        with journal.open("r+b") as file:
            file.truncate(end)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
