"""The command line: parse, call a stage, show its result. The only place that prints errors and sets exit codes.

llmkit STAGE CONFIG [NAME ...] [section.key=value ...] [options]
"""

import inspect
import json
import os
import signal
import sys
import typing
from pathlib import Path
from typing import Annotated, Any

import typer

import llmkit
from llmkit import config as configs, tasks
from llmkit.console import Console
from llmkit.errors import ConfigError, InputError, Interrupted, LlmkitError, RequirementError

app = typer.Typer(
    name="llmkit",
    help="From raw files to a small model that ships: prepare, train, tune, compress, generate, evaluate. "
    "Each stage reads one YAML config and passes plain files on disk to the next.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
    list[str] | None, typer.Option("--on", metavar="FILE", help="Score other data; - reads standard input. Repeatable.")
]
JsonLines = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per text on standard output.")]


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _interrupt)
    arguments = sys.argv[1:]
    as_json, verbose = "--json" in arguments, "--verbose" in arguments or "-v" in arguments
    command = typer.main.get_command(app)
    code = 0
    try:  # not command(): that has its own answers to Ctrl-C and to a closed pipe
        with command.make_context("llmkit", arguments or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        code = ended.exit_code
    except typer.TyperException as error:
        problem = error.format_message().rstrip(".")
        code = _fail(ConfigError(f"{problem}; see llmkit {_stage(arguments)}--help"), as_json)
    except LlmkitError as error:
        if verbose:
            _traceback()
        code = _fail(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail(Interrupted("interrupted"), as_json)
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if verbose:
            _traceback()
        code = _fail(LlmkitError(f"internal error: {type(error).__name__}: {error}; --verbose shows where"), as_json)
    sys.exit(code)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _traceback() -> None:
    import traceback

    traceback.print_exc()


def _stage(arguments: list[str]) -> str:
    stages = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    return f"{arguments[0]} " if arguments and arguments[0] in stages else ""


def _fail(error: LlmkitError, as_json: bool) -> int:
    if as_json:
        _print_json({"error": {"code": error.exit_code, "message": str(error)}})
    Console().error(str(error))
    return error.exit_code


def _version(wanted: bool) -> None:
    if wanted:
        print(f"llmkit {llmkit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


# --- the stages -------------------------------------------------------------------------------------------------


@app.command(rich_help_panel="Stages")
def prepare(
    config: ConfigArgument,
    rest: RestArgument = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
) -> None:
    """Raw files to arrays: read, clean, tokenize, split."""
    from llmkit.stages import prepare as stage

    loaded, ui = _load(config, rest, seed, device), _console(quiet, verbose, json)
    _show(stage.prepare(loaded, force=force, dry_run=dry_run, ui=ui), json)


@app.command(rich_help_panel="Stages")
def train(
    config: ConfigArgument,
    rest: RestArgument = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
    fresh: Fresh = False,
) -> None:
    """Train the model; goes on by itself from an interrupted run."""
    from llmkit.stages import train as stage

    loaded, ui = _load(config, rest, seed, device), _console(quiet, verbose, json)
    _show(stage.train(loaded, force=force, fresh=fresh, dry_run=dry_run, device=device, ui=ui), json)


@app.command(rich_help_panel="Stages")
def tune(
    config: ConfigArgument,
    rest: RestArgument = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
    fresh: Fresh = False,
) -> None:
    """Search for better settings, then train the best at the full budget."""
    from llmkit import show
    from llmkit.stages import tune as stage

    loaded, ui = _load(config, rest, seed, device), _console(quiet, verbose, json)
    result = stage.tune(loaded, force=force, fresh=fresh, dry_run=dry_run, device=device, ui=ui)
    _show(result, json, show.dry_run if dry_run else show.trials)


@app.command(rich_help_panel="Stages")
def compress(
    config: ConfigArgument,
    rest: VariantsArgument = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
    model: Model = None,
) -> None:
    """Make smaller, faster variants of the model and compare them with it."""
    from llmkit import show
    from llmkit.stages import compress as stage

    names, overrides = _names(rest)
    loaded, ui = _load(config, overrides, seed, device), _console(quiet, verbose, json)
    result = stage.compress(loaded, names, model=_one(model), force=force, dry_run=dry_run, ui=ui)
    _show(_flat(result), json, lambda _: show.compressed(result))


def generate(
    models: ModelsArgument,
    json: Json = False,
    jsonl: JsonLines = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
    model: Model = None,
    **options: Any,
) -> None:
    """Use a model: write texts. Needs no torch."""
    from llmkit.stages import generate as stage

    ui = _console(quiet, verbose, json or jsonl)
    given = {key: value for key, value in options.items() if value not in (None, [], ())}
    folders, loaded, keep = _models(models, model, seed, device, given, ui)
    if dry_run:
        return _show(
            {
                "stage": "generate",
                "dry_run": True,
                "models": [{"name": folder.name, "would_run": ["generate always runs"]} for folder in folders],
            },
            json,
        )
    results = []
    for folder in folders:
        emit = None
        if not (json or jsonl) and len(folders) == 1:
            emit = _write
        result = stage.generate(
            folder,
            loaded.settings.generate,
            seed=loaded.settings.seed,
            keep_in=loaded.run_dir if keep else None,
            emit=emit,
            ui=ui,
        )
        results.append(result)
        _show_generated(result, ui, json, jsonl, emit is not None, len(folders) > 1)
    if json:
        _print_json(_flat({"stage": "generate", "models": results}))


def _option_parameters() -> list[inspect.Parameter]:
    """An option for every key of every task's section `generate`, in the order of the tasks."""
    parameters: dict[str, inspect.Parameter] = {}
    for task in tasks.TASKS:
        section = configs.section(configs.root_section(task, {}), "generate")
        defaults = section()
        for name, doc in configs.descriptions(section).items():
            if name in parameters or not hasattr(defaults, name):
                continue
            kind, default = configs.field_type(section, name), getattr(defaults, name)
            shown = "" if default in (None, [], False) or kind is bool else f" (default: {default})"
            names = [f"--{name.replace('_', '-')}"]
            if kind is bool:
                names = [f"{names[0]}/--no-{names[0][2:]}"]
            option = typer.Option(
                *names, help=f"{doc}{shown}", rich_help_panel=f"Writing (task {task})", show_default=False
            )
            many = any(typing.get_origin(part) is list for part in typing.get_args(kind))
            plain = list[str] if many else {bool: bool, int: int, float: float}.get(configs.plain_type(kind), str)
            parameters[name] = inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[plain | None, option]
            )
    return list(parameters.values())


def _add_generate() -> None:
    """Register `generate` with the options of the tasks' settings, so that a new task brings its own."""

    def run(**arguments: Any) -> None:
        generate(**arguments)

    command: Any = run  # a function whose signature typer reads

    signature = inspect.signature(generate)
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    command.__signature__ = signature.replace(parameters=[*kept, *_option_parameters()])
    command.__annotations__ = {
        parameter.name: parameter.annotation for parameter in command.__signature__.parameters.values()
    }
    command.__doc__ = generate.__doc__
    app.command("generate", rich_help_panel="Stages")(command)


_add_generate()


@app.command(rich_help_panel="Stages")
def evaluate(
    models: ModelsArgument,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    force: Force = False,
    dry_run: DryRun = False,
    device: Device = "auto",
    seed: Seed = None,
    model: Model = None,
    on: On = None,
) -> None:
    """Measure quality, size and speed; several models side by side. Needs no torch."""
    import tempfile

    from llmkit import show
    from llmkit.stages import evaluate as stage

    ui = _console(quiet, verbose, json)
    folders, loaded, keep = _models(models, model, seed, device, {}, ui)
    with tempfile.TemporaryDirectory(prefix="llmkit-") as work:
        files = [_file_of_input(Path(work)) if name == "-" else Path(name) for name in on or []]
        result = stage.evaluate(folders, loaded, on=files, keep=keep, force=force, dry_run=dry_run, ui=ui)
    _show(_flat(result), json, show.dry_run if dry_run else lambda _: show.evaluated(result, loaded.task))
    unmet = [f"{row['name']}: {line}" for row in result["models"] for line in row.get("unmet", [])]
    if unmet:
        if json:
            Console().error("; ".join(unmet))
            raise typer.Exit(RequirementError.exit_code)
        raise RequirementError("a requirement is not met: " + "; ".join(unmet))


@app.command(rich_help_panel="Start")
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The config file to write.")],
    task: Annotated[str, typer.Option(help=f"One of: {', '.join(tasks.TASKS)}.")] = "language",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented starter config."""
    configs.root_section(task, {})
    if file.exists() and not force:
        raise InputError(f"{file} exists already; choose another name, or overwrite it with --force")
    from llmkit import artifacts

    starter = Path(__file__).parent / "tasks" / task / "starter.yaml"
    with artifacts.writing(file, everything=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(starter.read_text(encoding="utf-8").replace("CONFIG", str(file)), encoding="utf-8")
    if json:
        return _print_json({"stage": "init", "file": str(file), "task": task})
    print(f"wrote {file}; next: name your files in it, then llmkit prepare {file}")


# --- parsing ----------------------------------------------------------------------------------------------------


def _load(path: str, overrides: list[str] | None, seed: int | None, device: str) -> configs.Config:
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {device}: choose from auto, cpu, cuda")
    values: dict[tuple[str, ...], Any] = {} if seed is None else {("seed",): seed}
    return configs.load(path, overrides or (), values)


def _names(rest: list[str] | None) -> tuple[list[str], list[str]]:
    """Names (of folders, too, that are called a=b) and overrides."""
    names = [part for part in rest or [] if "=" not in part or Path(part).exists()]
    return names, [part for part in rest or [] if part not in names]


def _one(model: list[str] | None) -> str:
    if model and len(model) > 1:
        raise ConfigError("--model: name one model")
    return model[0] if model else "model"


def _models(
    places: list[str], names: list[str] | None, seed: int | None, device: str, options: dict[str, Any], ui: Console
) -> tuple[list[Any], configs.Config, bool]:
    """(model folders, the config that says how to use them, whether results are kept in its RUN_DIR).

    Given a config file, the folders are those of `--model`; given folders, the first one's own config is used.
    """
    from llmkit import model_folder
    from llmkit.stages import models

    places, overrides = _names(places)
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
        loaded = configs.load(places[0], overrides, values)
        return [models.read(loaded, name, ui.warn) for name in names or ["model"]], loaded, True
    if names:
        raise ConfigError("--model goes with a config; with model folders, name the folders")
    folders = [model_folder.read(place) for place in places]
    other = [folder for folder in folders if folder.task != folders[0].task]
    if other:
        raise InputError(
            f"{other[0].path} is a model of task {other[0].task}, {folders[0].path} of {folders[0].task}; "
            "compare models of one task"
        )
    return folders, configs.load(folders[0].path / model_folder.CONFIG, overrides, values), False


def _file_of_input(work: Path) -> Path:
    file = work / "standard-input.txt"
    file.write_bytes(sys.stdin.buffer.read())
    return file


# --- showing ----------------------------------------------------------------------------------------------------


def _console(quiet: bool, verbose: bool, as_json: bool) -> Console:
    return Console(0 if quiet else 2 if verbose else 1)


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """One model's figures at the top level; several stay in `models`."""
    if len(result["models"]) != 1:
        return result
    rest = {key: value for key, value in result.items() if key != "models"}
    return rest | {key: value for key, value in result["models"][0].items() if key != "unmet"} | rest


def _print_json(result: dict[str, Any]) -> None:
    from llmkit import artifacts

    text = json.dumps(artifacts.plain(result), ensure_ascii=False, allow_nan=False)
    print(text.encode("utf-8", "backslashreplace").decode())  # \udcff of an undecodable file name, as JSON escapes it


def _show(result: dict[str, Any], as_json: bool, show_it: Any = None) -> None:
    from llmkit import show

    if as_json:
        return _print_json(result)
    (show_it or (show.dry_run if result.get("dry_run") else show.figures))(result)


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()


def _show_generated(
    result: dict[str, Any], ui: Console, as_json: bool, as_lines: bool, emitted: bool, named: bool
) -> None:
    if as_json:
        return
    items = result["texts"]
    if as_lines:
        for item in items:
            print(json.dumps(item, ensure_ascii=False))
    elif emitted and len(items) == 1:
        print()
    else:
        for number, item in enumerate(items, 1):
            if len(items) > 1 or named:
                print(f"--- {result['model']}, text {number}" if named else f"--- text {number}")
            print(item["prompt"] + item["text"])
    ui.info(f"{result['tokens']} tokens, {result['tokens_per_second']:,.0f} tokens/s")
