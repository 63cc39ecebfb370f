"""The words of a command line: arguments and options that commands share, and what they stand for.

A verb is a function whose signature typer reads: a parameter `common: Common` under `@common_options` stands for the
options that all verbs have, `**settings` under `@generate_options` for the keys of the tasks' sections `generate`.
"""

import dataclasses
import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmkit.config import fields
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.store import encryption, new_files
from llmkit.tasks import TASKS, experiment
from llmkit.tasks.experiment import Experiment

if TYPE_CHECKING:
    from llmkit.store.model_folder import ModelFolder

Command = Callable[..., None]

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
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No messages but warnings and errors; results are printed all the same.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="More messages; tracebacks.")]
Force = Annotated[bool, typer.Option("--force", help="Do it again although it is up to date.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would run and why; write nothing.")]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where to train.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything random, in place of the config's.")]


Identity = Annotated[
    Path | None,
    typer.Option("--identity", metavar="FILE", help="age identity to read with (LLMKIT_IDENTITY_FILE)."),
]


# --- decorators: the options that all verbs have, and those of the tasks ------------------------------------------


@dataclasses.dataclass(frozen=True)
class Common:
    """The options that all verbs have, as a command gets them: a field is an option. Raises ConfigError."""

    json: Json = False
    quiet: Quiet = False
    verbose: Verbose = False
    force: Force = False
    dry_run: DryRun = False
    device: Device = "auto"
    seed: Seed = None
    identity: Identity = None

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"--device {self.device}: choose from auto, cpu, cuda")
        take_identity(self.identity)

    @functools.cached_property
    def ui(self) -> Console:
        """Where the command speaks, as --quiet and --verbose say: one console for all of it."""
        return Console(0 if self.quiet else 2 if self.verbose else 1)


def take_identity(file: Path | None) -> None:
    """Read what is encrypted with the identity that --identity names."""
    if file is not None:
        encryption.use_identity(file)


def common_options(command: Command) -> Command:
    """A decorator: on the command line the fields of `Common` stand where the command has its parameter `common`.

    Raises ValueError where the command has an option of one of these names itself.
    """
    options = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in dataclasses.fields(Common)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        common = Common(**{option.name: given.pop(option.name) for option in options})
        command(**given, common=common)

    return _in_place_of(lambda parameter: parameter.name == "common", options, run)


def generate_options(command: Command) -> Command:
    """A decorator: the keys of every task's section `generate` stand in place of the command's `**settings`.

    So a new task brings its own options. The command gets those that were written on the command line.
    """
    options = settings_options()
    names = {option.name for option in options}

    @functools.wraps(command)
    def run(**given: Any) -> None:
        command(**{key: value for key, value in given.items() if key not in names or value not in (None, [], ())})

    return _in_place_of(lambda parameter: parameter.kind is inspect.Parameter.VAR_KEYWORD, options, run)


def _in_place_of(replaced: Callable[[inspect.Parameter], bool], options: list[inspect.Parameter], run: Any) -> Command:
    """`run`, which wraps a command, with the command's signature but for a parameter that the options replace."""
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(run).parameters.values():
        if replaced(parameter):
            parameters += options
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            parameters.append(parameter)
        else:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def settings_options() -> list[inspect.Parameter]:
    """An option for every key of every task's section `generate`, in the order of the tasks.

    A key that several tasks have is one option; its help says what it means to each.
    """
    parameters: dict[str, inspect.Parameter] = {}
    sections = {name: fields.section(task.settings.Config, "generate") for name, task in TASKS.items()}
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


# --- what the words stand for -------------------------------------------------------------------------------------


def load(path: str, overrides: list[str] | None, common: Common) -> Experiment:
    """The config of a command line. Raises ConfigError and InputError."""
    return experiment.load(path, overrides or (), _values(common, {}))


def _values(common: Common, generate: Mapping[str, object]) -> dict[tuple[str, ...], object]:
    """{path of a key: value} of the settings that options set."""
    values: dict[tuple[str, ...], object] = {("generate", key): value for key, value in generate.items()}
    return values if common.seed is None else values | {("seed",): common.seed}


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
    places: list[str], names: list[str] | None, common: Common, generate: Mapping[str, object]
) -> "tuple[list[ModelFolder], Experiment, bool]":
    """(model folders, the config that says how to use them, whether results are kept in its RUN_DIR).

    Given a config file, the folders are those of `--model`; given folders, the first one's own config is used, but for
    what names a place.
    `generate`: settings of that section which options set. Raises ConfigError and InputError.
    """
    from llmkit.stages import models

    places, overrides = names_and_overrides(places)
    if not places:
        raise ConfigError("name a config file or a model folder")
    values = _values(common, generate)
    is_folder = Path(places[0]).is_dir() or Path(places[0] + ".old").is_dir()
    if not is_folder and (places[0].endswith((".yaml", ".yml")) or Path(places[0]).is_file()):
        if len(places) > 1:
            raise ConfigError(f"{places[1]}: name either one config (and --model NAME) or model folders")
        loaded = experiment.load(places[0], overrides, values)
        return [models.read(loaded, name, common.ui.warn) for name in names or ["model"]], loaded, True
    if names:
        raise ConfigError("--model goes with a config; with model folders, name the folders")
    folders = [experiment.read_model(place) for place in places]
    other = [folder for folder in folders if folder.task != folders[0].task]
    if other:
        raise InputError(
            f"{other[0].path} is a model of task {other[0].task}, {folders[0].path} of {folders[0].task}; "
            "compare models of one task"
        )
    return folders, experiment.of_folder(folders[0], overrides, values), False


def file_of_input(work: Path) -> AbstractContextManager[Path]:
    """Standard input as a file in `work` while a block lasts."""
    return new_files.in_memory(work / "standard-input.txt", sys.stdin.buffer.read())
