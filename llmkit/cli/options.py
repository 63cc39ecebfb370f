"""The words of a command line: argument and option types shared by the commands, and what they stand for."""

import inspect
import sys
import typing
from pathlib import Path
from typing import Annotated, Any

import typer

from llmkit.config import fields
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.tasks import TASKS, experiment
from llmkit.tasks.experiment import Experiment

ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="The experiment's YAML file.")]
RestArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[section.key=value]...", help="Settings that override the file's.")
]
VariantsArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME]... [section.key=value]...", help="Variants to make (default: all), and overrides."),
]
ModelsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="CONFIG|MODEL_FOLDER...", help="The YAML file, or model folders; then overrides (section.key=value)."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No messages but warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More messages; tracebacks.")]
Force = Annotated[bool, typer.Option("--force", help="Do it again although it is up to date.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run and why; write nothing.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to train.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random, in place of the config's.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Drop the checkpoints of an interrupted run.")]
Model = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME",
        help="With a config: model (the default), tuned, or a variant's name. Repeatable with evaluate.",
    ),
]
On = Annotated[
    list[str] | None,
    typer.Option(
        "--on", metavar="FILE", help="Score other data: a file, a folder or a glob; - is standard input. Repeatable."
    ),
]
JsonLines = Annotated[
    bool, typer.Option("--jsonl", help="Print one JSON object per text or prediction, on standard output.")
]


def load(path: str, overrides: list[str] | None, seed: int | None, device: str) -> Experiment:
    """The config of a command line. Raises ConfigError and InputError."""
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {device}: choose from auto, cpu, cuda")
    values: dict[tuple[str, ...], Any] = {} if seed is None else {("seed",): seed}
    return experiment.load(path, overrides or (), values)


def names_and_overrides(rest: list[str] | None) -> tuple[list[str], list[str]]:
    """Names (of folders, too, that are called a=b) and overrides."""
    names = [part for part in rest or [] if "=" not in part or Path(part).exists()]
    return names, [part for part in rest or [] if part not in names]


def one_name(model: list[str] | None) -> str:
    """The model that --model names, `model` by default. Raises ConfigError for several."""
    if model and len(model) > 1:
        raise ConfigError("--model: name one model")
    return model[0] if model else "model"


def read_models(
    places: list[str], names: list[str] | None, seed: int | None, device: str, options: dict[str, Any], ui: Console
) -> tuple[list[Any], Experiment, bool]:
    """(model folders, the config that says how to use them, whether results are kept in its RUN_DIR).

    Given a config file, the folders are those of `--model`; given folders, the first one's own config is used.
    """
    from llmkit.stages import models
    from llmkit.store import model_folder

    places, overrides = names_and_overrides(places)
    if not places:
        raise ConfigError("name a config file or a model folder")
    values: dict[tuple[str, ...], Any] = {("generate", key): value for key, value in options.items()}
    if seed is not None:
        values[("seed",)] = seed
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {device}: choose from auto, cpu, cuda")
    is_folder = Path(places[0]).is_dir() or Path(places[0] + ".old").is_dir()
    if not is_folder and (places[0].endswith((".yaml", ".yml")) or Path(places[0]).is_file()):
        if len(places) > 1:
            raise ConfigError(f"{places[1]}: name either one config (and --model NAME) or model folders")
        loaded = experiment.load(places[0], overrides, values)
        return [models.read(loaded, name, ui.warn) for name in names or ["model"]], loaded, True
    if names:
        raise ConfigError("--model goes with a config; with model folders, name the folders")
    folders = [experiment.read_model(place) for place in places]
    other = [folder for folder in folders if folder.task != folders[0].task]
    if other:
        raise InputError(
            f"{other[0].path} is a model of task {other[0].task}, {folders[0].path} of {folders[0].task}; "
            "compare models of one task"
        )
    return folders, experiment.load(folders[0].path / model_folder.CONFIG, overrides, values), False


def file_of_input(work: Path) -> Path:
    """Standard input as a file in `work`."""
    file = work / "standard-input.txt"
    file.write_bytes(sys.stdin.buffer.read())
    return file


def option_parameters() -> list[inspect.Parameter]:
    """An option for every key of every task's section `generate`, in the order of the tasks.

    A key that several tasks have is one option; its help says what it means to each.
    """
    parameters: dict[str, inspect.Parameter] = {}
    sections = {task: fields.section(TASKS[task].settings.Config, "generate") for task in TASKS}
    meanings: dict[str, dict[str, str]] = {}
    for task, section in sections.items():
        for name, doc in fields.descriptions(section).items():
            meanings.setdefault(name, {}).setdefault(doc, task)
    for task, section in sections.items():
        defaults = section()
        for name, doc in fields.descriptions(section).items():
            if name in parameters or not hasattr(defaults, name):
                continue
            doc, *others = [
                meaning if of == task else f"Task {of}: {meaning}" for meaning, of in meanings[name].items()
            ]
            doc = " ".join([doc, *others])
            kind, default = fields.field_type(section, name), getattr(defaults, name)
            of = [other for other, theirs in sections.items() if name in fields.descriptions(theirs)]
            panel = f"Of task {of[0]}" if len(of) == 1 else f"Of tasks {', '.join(of)}"
            shown = "" if default in (None, [], False) or kind is bool else f" (default: {default})"
            names = [f"--{name.replace('_', '-')}"]
            if kind is bool:
                names = [f"{names[0]}/--no-{names[0][2:]}"]
            option = typer.Option(*names, help=f"{doc}{shown}", rich_help_panel=panel, show_default=False)
            many = any(typing.get_origin(part) is list for part in typing.get_args(kind))
            plain = list[str] if many else {bool: bool, int: int, float: float}.get(fields.plain_type(kind), str)
            parameters[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[plain | None, option]
            )
    return list(parameters.values())
