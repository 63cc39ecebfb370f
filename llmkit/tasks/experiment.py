"""A config file, or a model folder, to its task and settings."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.config import file, places, schema
from llmkit.config.encryption import Encryption
from llmkit.config.root import Root
from llmkit.config.schema import Origins, closest
from llmkit.errors import ConfigError, InputError
from llmkit.plain import Json
from llmkit.store import encryption
from llmkit.tasks import TASKS
from llmkit.tasks.contract import Task

if TYPE_CHECKING:
    from llmkit.store.model_folder import ModelFolder

CONFIG = "config.yaml"  # of a model folder
DEFAULT_TASK = "language"


@dataclass(frozen=True)
class Experiment:
    """A checked config: `settings` is the task's root section, `path` the file it came from."""

    path: Path
    settings: Root
    overrides: tuple[str, ...] = ()
    """The `section.key=value` that the command was given."""
    of_folder: bool = False
    """Whether a model folder stands in place of a config: nothing that names a place comes from it."""

    def __post_init__(self) -> None:
        if not self.of_folder:
            encryption.protect(self.run_dir, recipients(self.settings.encryption))

    @property
    def task(self) -> Task:
        return TASKS[self.settings.task]

    @property
    def run_dir(self) -> Path:
        return Path(self.settings.run_dir)

    @property
    def work(self) -> Path:
        """Folder of live files: checkpoints, timings, the n-gram model."""
        return self.run_dir / "work"

    def command(self, stage: str) -> str:
        """The command line that runs a stage of this config with the same overrides, for messages."""
        return shlex.join(["llmkit", stage, str(self.path), *self.overrides])


def load(
    path: str | Path, overrides: Sequence[str] = (), options: Mapping[tuple[str, ...], object] | None = None
) -> Experiment:
    """Read a config file, apply overrides (`section.key=value`), then `options`, which are taken as they are.

    Raises InputError when the file cannot be read and ConfigError, naming every mistake, when it is wrong.
    """
    path, options = Path(path), options or {}
    data, origins = file.read(path, overrides, options, root_of)
    data.setdefault("run_dir", f"runs/{path.stem}")
    try:
        settings = schema.check(data, root_of(data, origins), origins, str(path))
    except ConfigError as error:
        fitting = [] if "task" in data else [name for name in TASKS if _fits(data | {"task": name})]
        if not fitting:
            raise
        raise ConfigError(
            f"{error}\n{path}: no task is given, so this is {DEFAULT_TASK}; the keys are those of task: "
            f"{' or '.join(fitting)}"
        ) from error
    seed = () if ("seed",) not in options else (f"seed={settings.seed}",)
    return Experiment(path, settings, (*overrides, *seed))


def of_folder(
    folder: "ModelFolder", overrides: Sequence[str] = (), options: Mapping[tuple[str, ...], object] | None = None
) -> Experiment:
    """A model folder's own config, with overrides and options as in `load`. RUN_DIR is where the folder lies.

    Raises ConfigError where an override is wrong.
    """
    path = folder.path / CONFIG
    data: Json = places.data_without_places(folder.settings) | {"run_dir": str(_run_dir(folder.path))}
    origins: Origins = {}
    file.override(data, origins, overrides, options or {}, root_of)
    settings = schema.check(data, root_of(data, origins), origins, str(path))
    if known := folder.artifact.manifest.get("encryption"):  # what a task keeps beside the folder is for the same
        encryption.protect(Path(settings.run_dir), known)
    return Experiment(path, settings, tuple(overrides), of_folder=True)


def _run_dir(place: Path) -> Path:
    """RUN_DIR of RUN_DIR/model, RUN_DIR/tuned and RUN_DIR/compressed/NAME."""
    parents = Path(os.path.abspath(place)).parents
    return parents[1] if parents[0].name == "compressed" and len(parents) > 1 else parents[0]


def recipients(settings: Encryption) -> list[str]:
    """Those that the config names and those of its file. Raises InputError."""
    named = settings.recipients_file
    return [*settings.recipients, *(encryption.of_file(Path(named)) if named else ())]


def from_data(data: Mapping[str, object], path: str | Path) -> Experiment:
    """An Experiment from plain data (the inverse of `schema.to_data`), checked like a file. Raises ConfigError."""
    return Experiment(Path(path), settings_of(data, path))


def settings_of(data: Mapping[str, object], path: str | Path) -> Root:
    """The settings in plain data, checked; `path` is for messages. Raises ConfigError."""
    return schema.check(data, root_of(data, {}), {}, str(path))


def read_model(path: str | Path, made_by: str | None = None, task: Task | None = None) -> "ModelFolder":
    """Open and verify a model folder. Raises InputError when it is missing, damaged, no model or of another task."""
    from llmkit.store import model_folder

    folder = model_folder.read(path, _settings_of_model, made_by)
    if task is not None and folder.task != task.name:
        raise InputError(f"{path} is a model of task {folder.task}, not {task.name}; name a model of task {task.name}")
    return folder


def _settings_of_model(data: Mapping[str, object], path: str | Path) -> Root:
    """The same of a model folder's config, which `prepare` has not looked at here."""
    from llmkit.data import cleaning, decoding

    settings = settings_of(data, path)
    decoding.check_encoding(getattr(settings.prepare, "encoding", "utf-8"))
    cleaning.build_cleaner(getattr(settings.prepare, "clean", "none"))
    return settings


def root_of(data: Mapping[str, object], origins: Origins) -> type[Root]:
    """The root section of the task that plain data names. Raises ConfigError for an unknown one."""
    return find(data.get("task", DEFAULT_TASK), origins).settings.Config


def find(name: object, origins: Origins | None = None) -> Task:
    """The task of that name. Raises ConfigError for an unknown one."""
    if not isinstance(name, str) or name not in TASKS:
        where = f"{origins[('task',)]}: " if origins and ("task",) in origins else ""
        known = ", ".join(TASKS)
        raise ConfigError(f"{where}task: {name!r} is not a task; choose from {known}{closest(name, TASKS)}")
    return TASKS[name]


def _fits(data: Mapping[str, object]) -> bool:
    try:
        settings_of(data, "")
    except ConfigError:
        return False
    return True
