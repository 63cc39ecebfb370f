"""The command line: parse, call a stage, show its result. The only place that prints errors and sets exit codes.

llmkit STAGE CONFIG [NAME ...] [section.key=value ...] [options]
"""

import inspect
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import llmkit
from llmkit.cli import options as arguments
from llmkit.cli.options import (
    ConfigArgument,
    Device,
    DryRun,
    Force,
    Fresh,
    Json,
    JsonLines,
    Model,
    ModelsArgument,
    On,
    Quiet,
    RestArgument,
    Seed,
    VariantsArgument,
    Verbose,
)
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError, Interrupted, LlmkitError, OfOneProcess, RequirementError
from llmkit.tasks import TASKS, experiment

app = typer.Typer(
    name="llmkit",
    help="From raw files to a small model that ships: prepare, train, tune, compress, generate, evaluate. "
    "Each stage reads one YAML config and passes plain files on disk to the next.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _interrupt)
    words = sys.argv[1:]
    as_json, verbose = "--json" in words, "--verbose" in words or "-v" in words
    command = typer.main.get_command(app)
    code = 0
    if _follows():  # one of several processes: the first one speaks for all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    try:  # not command(): that has its own answers to Ctrl-C and to a closed pipe
        with command.make_context("llmkit", words or ["--help"]) as context:
            _check_launch(words)
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as ended:
        code = ended.exit_code
    except typer.TyperException as error:
        problem = error.format_message().rstrip(".")
        code = _fail(ConfigError(f"{problem}; see llmkit {_stage(words)}--help"), as_json)
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


def _launched() -> Any:
    """The processes that torchrun started, None where it did not (and then nothing of training is imported)."""
    if "WORLD_SIZE" not in os.environ:
        return None
    from llmkit.training import distributed

    return distributed.launched()


def _follows() -> bool:
    processes = _launched()
    return processes is not None and not processes.leads


def _check_launch(words: list[str]) -> None:
    """Raise ConfigError where torchrun started something else than a training."""
    processes = _launched()
    if processes is not None and processes.count > 1 and words[:1] != ["train"]:
        raise ConfigError(
            f"{' '.join(words[:1])}: {processes.count} processes (WORLD_SIZE), but only `train` works in several; "
            "start it without torchrun"
        )


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _traceback() -> None:
    import traceback

    traceback.print_exc()


def _stage(arguments: list[str]) -> str:
    stages = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    return f"{arguments[0]} " if arguments and arguments[0] in stages else ""


def _fail(error: LlmkitError, as_json: bool) -> int:
    if _follows() and not isinstance(error, OfOneProcess):
        return 0  # the first process meets with the same, and its exit code is to be the first that torchrun sees
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

    loaded, ui = arguments.load(config, rest, seed, device), _console(quiet, verbose)
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
    from llmkit.training import distributed

    with distributed.joined(distributed.launched()) as processes:
        loaded, ui = arguments.load(config, rest, seed, device), _console(quiet, verbose)
        options: dict[str, Any] = {"force": force, "fresh": fresh, "dry_run": dry_run, "device": device}
        result = stage.train(loaded, **options, ui=ui, processes=processes)
    _show(result, json)


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
    from llmkit.cli import show
    from llmkit.stages import tune as stage

    loaded, ui = arguments.load(config, rest, seed, device), _console(quiet, verbose)
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
    from llmkit.cli import show
    from llmkit.stages import compress as stage

    names, overrides = arguments.names_and_overrides(rest)
    loaded, ui = arguments.load(config, overrides, seed, device), _console(quiet, verbose)
    options: dict[str, Any] = {"force": force, "dry_run": dry_run, "device": device}
    result = stage.compress(loaded, names, model=arguments.one_name(model), **options, ui=ui)
    unmet = [row["unmet"] for row in result["models"] if "unmet" in row]
    _required(unmet, result, json, lambda _: show.compressed(result))


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
    """Use a model: write texts, predict labels, make pictures. Needs no torch."""
    from llmkit.stages import generate as stage

    if json and jsonl:
        raise ConfigError("--json and --jsonl: choose one")
    ui = _console(quiet, verbose)
    given = {key: value for key, value in options.items() if value not in (None, [], ())}
    folders, loaded, keep = arguments.read_models(models, model, seed, device, given, ui)
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
    writer = loaded.task.generate
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
        if jsonl:
            for item in writer.items(result):
                _print_json(item)
        elif not json:
            writer.show(result, emitted=emit is not None, named=len(folders) > 1)
        ui.info(writer.summary(result))
    if json:
        _print_json(_flat({"stage": "generate", "models": results}))


def _add_generate() -> None:
    """Register `generate` with the options of the tasks' settings, so that a new task brings its own."""

    def run(**given: Any) -> None:
        generate(**given)

    command: Any = run  # a function whose signature typer reads

    signature = inspect.signature(generate)
    kept = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    command.__signature__ = signature.replace(parameters=[*kept, *arguments.option_parameters()])
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

    from llmkit.cli import show
    from llmkit.stages import evaluate as stage

    ui = _console(quiet, verbose)
    folders, loaded, keep = arguments.read_models(models, model, seed, device, {}, ui)
    with tempfile.TemporaryDirectory(prefix="llmkit-") as work:
        files = [arguments.file_of_input(Path(work)) if name == "-" else Path(name) for name in on or []]
        result = stage.evaluate(folders, loaded, on=files, keep=keep, force=force, dry_run=dry_run, ui=ui)
    unmet = [f"{row['name']}: {line}" for row in result["models"] for line in row.get("unmet", [])]
    columns = loaded.task.evaluate.TABLE
    _required(unmet, result, json, show.dry_run if dry_run else lambda _: show.evaluated(result, columns))


@app.command(rich_help_panel="Start")
def init(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The config file to write.")],
    task: Annotated[str, typer.Option(help=f"One of: {', '.join(TASKS)}.")] = "language",
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented starter config."""
    starter = experiment.find(task).starter
    if file.exists() and not force:
        raise InputError(f"{file} exists already; choose another name, or overwrite it with --force")
    from llmkit.store import artifacts

    with artifacts.writing(file, everything=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(starter.read_text(encoding="utf-8").replace("CONFIG", str(file)), encoding="utf-8")
    if json:
        return _print_json({"stage": "init", "file": str(file), "task": task})
    print(f"wrote {file}; next: name your files in it, then llmkit prepare {shlex.quote(str(file))}")


# --- showing ----------------------------------------------------------------------------------------------------


def _console(quiet: bool, verbose: bool) -> Console:
    return Console(0 if quiet else 2 if verbose else 1)


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """One model's figures at the top level; several stay in `models`."""
    if len(result["models"]) != 1:
        return result
    rest = {key: value for key, value in result.items() if key != "models"}
    return rest | {key: value for key, value in result["models"][0].items() if key != "unmet"} | rest


def _print_json(result: dict[str, Any]) -> None:
    from llmkit.store import artifacts

    text = json.dumps(artifacts.plain(result), ensure_ascii=False, allow_nan=False)
    print(text.encode("utf-8", "backslashreplace").decode())  # \udcff of an undecodable file name, as JSON escapes it


def _show(result: dict[str, Any], as_json: bool, show_it: Any = None) -> None:
    from llmkit.cli import show

    if as_json:
        return _print_json(result)
    (show_it or (show.dry_run if result.get("dry_run") else show.figures))(result)


def _required(unmet: list[str], result: dict[str, Any], as_json: bool, show_it: Any) -> None:
    """Show a result, then the requirements that it misses, which end the command."""
    error = RequirementError("a requirement is not met: " + "; ".join(unmet)) if unmet else None
    shown = _flat(result)
    if error:
        shown["error"] = {"code": error.exit_code, "message": str(error)}
    _show(shown, as_json, show_it)
    if error:
        Console().error(str(error))
        raise typer.Exit(error.exit_code)


def _write(piece: str) -> None:
    sys.stdout.write(piece)
    sys.stdout.flush()
