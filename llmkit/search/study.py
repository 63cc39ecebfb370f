"""The study: which trials there are, in FOLDER/journal.log (Optuna), and what to do next.

One process has a study at a time (the lock on RUN_DIR) and it alone writes the journal: workers report to it. So the
number of trials is exact, and a worker that is killed cannot harm the journal. A trial that was running when its
worker or the whole search ended is marked failed and its values are queued again; it goes on from its checkpoints.
"""

import json
import math
import os
import shutil
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from llmkit.config.schema import to_data
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.search import values
from llmkit.search.values import Values
from llmkit.search.worker import Outcome
from llmkit.store import artifacts, encryption, file_locks, manifests
from llmkit.tasks.experiment import Experiment

if TYPE_CHECKING:
    import optuna
    from optuna.storages.journal import BaseJournalBackend

FIRST_TRIALS = 4  # drawn at random, and so many must be complete before any is pruned
DEATHS = 3  # workers that one trial may cost
NOT_DECIDING = ("trials", "max_minutes", "workers")  # a search goes on when these change


@dataclass
class Running:
    """A trial under way: Optuna's trial, its values, the points at which it was compared, how far it is."""

    trial: "optuna.Trial"
    values: Values
    seen: set[int] = field(default_factory=set)
    share: float = 0.0
    loss: float | None = None

    @property
    def number(self) -> int:
        return self.trial.number


class TrialRow(TypedDict):
    """A trial that ended, a line of trials.jsonl."""

    trial: int
    """Its number."""
    state: str
    """complete, pruned or diverged."""
    val_loss: float | None
    """The last one seen; None where a trial that diverged had none yet."""
    settings: Json
    """{searched key: its value}."""
    own: NotRequired[bool]
    """Whether these are the config's own settings; only there where they are."""


class Search:
    """The trials of a study: `begin` one, `look` at it now and then, `end` it or put it back when its worker `died`."""

    def __init__(self, study: "optuna.Study", experiment: Experiment, folder: Path, ui: Console):
        self.study, self.experiment, self.folder, self.ui = study, experiment, folder, ui
        self.settings = experiment.settings.tune
        self.start = time.monotonic()
        self.running: dict[int, Running] = {}
        self.ended = len(_ended(study))

    def begin(self) -> Running | None:
        """The next trial; None where `trials` or `max_minutes` are reached by those ended and running.

        The config's own settings run whatever the time, even after their worker was killed.
        """
        full = self.ended + len(self.running) >= self.settings.trials
        minutes = (time.monotonic() - self.start) / 60
        late = self.settings.max_minutes is not None and minutes >= self.settings.max_minutes
        if full or (late and (self.ended or self.running) and not self._own_settings_wait()):
            return None
        # A fresh generator for each trial: a search that was interrupted draws what it would have drawn.
        known = sum(trial.state.name != "FAIL" for trial in self.study.get_trials(deepcopy=False))
        self.study.sampler = _sampler((self.experiment.settings.seed * 1_000_003 + known) % 2**32)
        trial = self.study.ask()
        chosen = {key: _suggest(trial, key, self.experiment) for key in self.settings.search}
        running = Running(trial, chosen)
        for look, loss in trial.user_attrs.get("seen", []):  # by the same trial before its worker was killed
            trial.report(loss, look)
            running.seen.add(look)
        self.running[trial.number] = running
        note = "the config's own settings: " if trial.user_attrs.get("own") else ""
        again = f", again for trial {trial.user_attrs['again']}" if "again" in trial.user_attrs else ""
        shown = ", ".join(f"{key} {_short(value)}" for key, value in chosen.items())
        state = f"{self.ended} of {self.settings.trials} ended{again}"
        self.ui.info(f"trial {trial.number} begins ({state}): {note}{shown}")
        return running

    def _own_settings_wait(self) -> bool:
        waiting = [trial for trial in self.study.get_trials(deepcopy=False) if trial.state.name == "WAITING"]
        return any(trial.user_attrs.get("own") for trial in waiting)

    def trial_experiment(self, running: Running) -> Experiment:
        """What is trained for a trial."""
        return values.trial_experiment(self.experiment, running.values)

    def trial_folder(self, running: Running) -> Path:
        """Its checkpoints: those of the first trial of these values, where this one stands in for it."""
        return self.folder / f"trial-{running.trial.user_attrs.get('first', running.number)}"

    def look(self, running: Running, look: int, loss: float) -> bool:
        """Note a trial's loss at a point; whether to give it up. The config's own settings are never given up."""
        if look in running.seen:
            return False
        running.seen.add(look)
        running.trial.report(loss, look)
        return not running.trial.user_attrs.get("own") and bool(
            running.trial.should_prune()
        )  # not numpy's: it is sent as JSON

    def progress(self, running: Running, share: float, loss: float) -> None:
        """Show how far the trials are."""
        running.share, running.loss = min(share, 1.0), loss
        self._show()

    def _show(self) -> None:
        done = self.ended + sum(running.share for running in self.running.values())
        parts = [
            f"trial {running.number}: {100 * running.share:.0f} %"
            + (f" loss {running.loss:.4f}" if running.loss is not None else "")
            for running in self.running.values()
        ]
        # a hair below the total, at which the display would end
        self.ui.progress("tuning", min(done, self.settings.trials - 1e-6), self.settings.trials, "  ".join(parts))

    def end(self, running: Running, outcome: Outcome) -> None:
        """Note how a trial ended: what `worker.run_trial` returns."""
        from optuna.trial import TrialState

        trial, name = running.trial, f"trial {running.number}"
        if outcome["state"] == "complete":
            self.study.tell(trial, outcome["val_loss"])
            took = f"after {outcome['steps']:,} steps, {outcome['seconds']:.0f} s"
            self.ui.info(f"{name}: val_loss {outcome['val_loss']:.4f} {took}")
        else:
            if outcome["state"] == "diverged":
                trial.set_user_attr("diverged", True)
            self.study.tell(trial, state=TrialState.PRUNED)
            self.ui.info(f"{name}: {outcome['message']}")
        del self.running[running.number]
        self.ended += 1
        shutil.rmtree(self.trial_folder(running), ignore_errors=True)

    def died(self, running: Running, how: str) -> None:
        """Put back a trial whose worker ended in the middle of it. Raises ConfigError when it costs too many."""
        deaths = running.trial.user_attrs.get("deaths", 0) + 1
        del self.running[running.number]
        if deaths >= DEATHS:
            shown = ", ".join(f"{key} {_short(value)}" for key, value in running.values.items())
            raise ConfigError(
                f"trial {running.number} ({shown}) cost {deaths} workers: the last one {how}. The system kills"
                f" processes when memory is short: lower tune.workers (now {self.settings.workers}) or the sizes of"
                " models and batches in tune.search; the same command goes on"
            )
        put_back(self.study, self.study.trials[running.number], deaths)
        self.ui.warn(f"the worker of trial {running.number} {how}; its settings are tried again")


def open_study(
    experiment: Experiment, identity: Json, folder: Path, *, fresh: bool = False, force: bool = False
) -> "optuna.Study":
    """The study on disk, new or gone on with; trials that a crash left running are put back in the queue.

    `identity`: model and train settings, seed and data of the search. Raises InputError with the differences when the
    study there was made for others.
    """
    import optuna
    from optuna.storages import JournalStorage

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    identity = identity | {"tune": deciding(experiment)}
    about = folder / "study.json"
    found: Json = artifacts.read_json(about) if about.exists() else {"identity": identity, "finished": False}
    changed = manifests.differences(found["identity"], identity)
    if changed and not found["finished"] and not fresh:
        raise InputError(
            f"{folder} holds an interrupted search with other settings:\n  "
            + "\n  ".join(changed)
            + "\nset them back to go on, or start anew with --fresh"
        )
    with artifacts.writing(folder):
        if fresh or (found["finished"] and (changed or force)):
            shutil.rmtree(folder, ignore_errors=True)  # a finished search has its result in RUN_DIR/tuned
        folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            study_name="tune",
            storage=JournalStorage(_journal(folder)),
            sampler=_sampler(experiment.settings.seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=FIRST_TRIALS, n_warmup_steps=1)
            if experiment.settings.tune.prune
            else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        artifacts.write_json(about, {"identity": identity, "finished": False})
        if not study.trials:
            study.enqueue_trial(values.own_values(experiment), user_attrs={"own": True})
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            put_back(study, trial, deaths=0)
    return study


def _journal(folder: Path) -> "BaseJournalBackend":
    """journal.log, as the folder is to be written: plain, or encrypted as a whole."""
    from optuna.storages.journal import JournalFileBackend

    from llmkit.search.sealed_journal import SealedJournal

    journal = folder / "journal.log"
    if encryption.recipients_of(folder):
        return SealedJournal(journal)
    _cut_torn_line(journal)
    lock: Any = _JournalLock(folder / "journal.lock")
    return JournalFileBackend(str(journal), lock_obj=lock)


def deciding(experiment: Experiment) -> Json:
    """The settings of the search that decide what is tried, not how much or by how many processes."""
    return {key: value for key, value in to_data(experiment.settings.tune).items() if key not in NOT_DECIDING}


def put_back(study: "optuna.Study", trial: "optuna.trial.FrozenTrial", deaths: int) -> None:
    """Queue a running trial's values again, then mark it failed; a crash between the two queues them once only."""
    import optuna

    if not any(other.user_attrs.get("again") == trial.number for other in study.get_trials(deepcopy=False)):
        known = trial.user_attrs | {
            "again": trial.number,
            "first": trial.user_attrs.get("first", trial.number),
            "seen": [list(point) for point in trial.intermediate_values.items()],
            "deaths": deaths,
        }
        # those it was queued with, too: it may have died before it took them
        study.enqueue_trial(trial.system_attrs.get("fixed_params", {}) | trial.params, user_attrs=known)
    study.tell(trial.number, state=optuna.trial.TrialState.FAIL)


def mark_finished(folder: Path) -> None:
    """Note that the study's winner is in its place: a study of other settings may now replace this one."""
    about = artifacts.read_json(folder / "study.json")
    artifacts.write_json(folder / "study.json", about | {"finished": True})


def rows(study: "optuna.Study") -> list[TrialRow]:
    """One row for each trial that ended: number, state, validation loss (the last one seen) and its settings.

    `state`: complete, pruned or diverged. `own` marks the config's own settings.
    """
    found: list[TrialRow] = []
    for trial in _ended(study):
        state = "diverged" if trial.user_attrs.get("diverged") else trial.state.name.lower()
        seen = [loss for _, loss in sorted(trial.intermediate_values.items()) if math.isfinite(loss)]
        loss = trial.value if state == "complete" else (seen[-1] if seen else None)
        row: TrialRow = {"trial": trial.number, "state": state, "val_loss": loss, "settings": trial.params}
        found.append(row | ({"own": True} if trial.user_attrs.get("own") else {}))
    return found


def _ended(study: "optuna.Study") -> list["optuna.trial.FrozenTrial"]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name in ("COMPLETE", "PRUNED")]


def _sampler(seed: int) -> "optuna.samplers.TPESampler":
    """Tree-structured Parzen estimator; running trials count as bad ones, so that several workers do not try the same.

    Bergstra et al., Algorithms for hyper-parameter optimization (2011); "constant liar": Ginsbourger et al. (2010).
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # constant_liar, before Optuna 5
        return optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_TRIALS, constant_liar=True)


def _suggest(trial: "optuna.Trial", key: str, experiment: Experiment) -> object:
    """The trial's value of a searched key."""
    searched = experiment.settings.tune.search[key]
    if searched.choices is not None:
        return trial.suggest_categorical(key, searched.choices)
    assert searched.low is not None and searched.high is not None  # or choices
    if isinstance(searched.low, int) and isinstance(searched.high, int):
        return trial.suggest_int(key, searched.low, searched.high, log=searched.log)
    return trial.suggest_float(key, searched.low, searched.high, log=searched.log)


class _JournalLock:
    """Optuna's lock on the journal, as one that the system lets go of when its holder dies.

    Optuna's own is a link that a killed process leaves behind, for which the next one waits half a minute.
    """

    def __init__(self, path: Path):
        self.path = path
        self.held: int | None = None

    def acquire(self) -> bool:
        while True:
            try:
                self.held = file_locks.hold(self.path, os.O_RDWR | os.O_CREAT)
                return True
            except BlockingIOError:
                time.sleep(0.002)

    def release(self) -> None:
        file_locks.release(self.held)
        self.held = None


def _cut_torn_line(journal: Path) -> None:
    """Cut off the half line that a kill in mid-write leaves: Optuna reads no journal with one.

    Raises InputError when another line is damaged.
    """
    if not journal.exists():
        return
    *lines, last = journal.read_bytes().split(b"\n")
    if last:
        with artifacts.writing(journal), journal.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines))
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError as error:
            raise InputError(f"{journal}:{number}: damaged: {error}; start anew with --fresh") from error


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
