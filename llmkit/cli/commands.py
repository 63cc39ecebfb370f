"""The verbs: each reads its words, calls a stage and shows the result. Stages are imported when they are called.

A new verb is a function here: `@app.command`, its arguments, `common: Common` under `@common_options`.
"""

import contextlib
import functools
import shlex
from pathlib import Path
from typing import Annotated

import typer

from llmkit.cli import options, show
from llmkit.cli.options import (
    Common,
    ConfigArgument,
    DryRun,
    Fresh,
    Identity,
    Json,
    JsonLines,
    Model,
    ModelsArgument,
    On,
    Quiet,
    RestArgument,
    VariantsArgument,
    Verbose,
    common_options,
    generate_options,
)
from llmkit.console import terminal
from llmkit.console.messages import Console
from llmkit.errors import ConfigError, InputError
from llmkit.tasks import TASKS, experiment
from llmkit.version import __version__

app = typer.Typer(
    name="llmkit",
    help="From raw files to a small model that ships: prepare, train, tune, compress, generate, evaluate. "
    "Each stage reads one YAML config and passes plain files on disk to the next.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        terminal.show(f"llmkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel="Stages")
@common_options
def prepare(config: ConfigArgument, rest: RestArgument = None, *, common: Common) -> None:
    """Raw files to arrays: read, clean, tokenize, split."""
    from llmkit.stages import prepare as stage

    loaded = options.load(config, rest, common)
    show.print_result(stage.prepare(loaded, force=common.force, dry_run=common.dry_run, ui=common.ui), common.json)


@app.command(rich_help_panel="Stages")
@common_options
def train(config: ConfigArgument, rest: RestArgument = None, *, common: Common, fresh: Fresh = False) -> None:
    """Train the model; goes on by itself from an interrupted run."""
    from llmkit.stages import train as stage
    from llmkit.training import distributed

    with distributed.joined(distributed.launched()) as processes:
        result = stage.train(
            options.load(config, rest, common),
            force=common.force,
            fresh=fresh,
            dry_run=common.dry_run,
            device=common.device,
            ui=common.ui,
            processes=processes,
        )
    show.print_result(result, common.json)


@app.command(rich_help_panel="Stages")
@common_options
def tune(config: ConfigArgument, rest: RestArgument = None, *, common: Common, fresh: Fresh = False) -> None:
    """Search for better settings, then train the best at the full budget."""
    from llmkit.stages import tune as stage

    result = stage.tune(
        options.load(config, rest, common),
        force=common.force,
        fresh=fresh,
        dry_run=common.dry_run,
        device=common.device,
        ui=common.ui,
    )
    show.print_result(result, common.json, show.dry_run if common.dry_run else show.trials)


@app.command(rich_help_panel="Stages")
@common_options
def compress(config: ConfigArgument, rest: VariantsArgument = None, *, common: Common, model: Model = None) -> None:
    """Make smaller, faster variants of the model and compare them with it."""
    from llmkit.stages import compress as stage

    names, overrides = options.names_and_overrides(rest)
    result = stage.compress(
        options.load(config, overrides, common),
        names,
        model=options.one_name(model),
        force=common.force,
        dry_run=common.dry_run,
        device=common.device,
        ui=common.ui,
    )
    unmet = [row["unmet"] for row in result["models"] if "unmet" in row]
    show.print_required(unmet, result, common.json, show.compressed)


@app.command(rich_help_panel="Stages")
@common_options
@generate_options
def generate(
    models: ModelsArgument, *, common: Common, jsonl: JsonLines = False, model: Model = None, **settings: object
) -> None:
    """Use a model: write texts, predict labels, make pictures. Needs no torch."""
    from llmkit.stages import generate as stage

    if common.json and jsonl:
        raise ConfigError("--json and --jsonl: choose one")
    folders, loaded, keep = options.read_models(models, model, common, settings)
    if common.dry_run:
        rows = [{"name": folder.name, "would_run": ["generate always runs"]} for folder in folders]
        return show.print_result({"stage": "generate", "dry_run": True, "models": rows}, common.json)
    results = []
    writer = loaded.task.generate
    emit = None if common.json or jsonl or len(folders) > 1 else _write
    for folder in folders:
        result = stage.generate(
            folder,
            loaded.settings.generate,
            seed=loaded.settings.seed,
            keep_in=loaded.run_dir if keep else None,
            emit=emit,
            ui=common.ui,
        )
        results.append(result)
        if jsonl:
            for item in writer.items(result):
                show.print_json(item)
        elif not common.json:
            writer.show(result, emitted=emit is not None, named=len(folders) > 1)
        common.ui.info(writer.summary(result))
    if common.json:
        show.print_json(show.flat({"stage": "generate", "models": results}))


def _write(piece: str) -> None:
    terminal.write(piece, end="")
    terminal.flush()


@app.command(rich_help_panel="Stages")
@common_options
def evaluate(models: ModelsArgument, *, common: Common, model: Model = None, on: On = None) -> None:
    """Measure quality, size and speed; several models side by side. Needs no torch."""
    import tempfile

    from llmkit.stages import evaluate as stage

    folders, loaded, keep = options.read_models(models, model, common, {})
    with tempfile.TemporaryDirectory(prefix="llmkit-") as work, contextlib.ExitStack() as held:
        files = [
            held.enter_context(options.file_of_input(Path(work))) if name == "-" else Path(name) for name in on or []
        ]
        result = stage.evaluate(
            folders, loaded, on=files, keep=keep, force=common.force, dry_run=common.dry_run, ui=common.ui
        )
    if common.dry_run:
        return show.print_result(show.flat(result), common.json, show.dry_run)
    for_people: show.Shows = show.evaluated
    if len(folders) > 1:
        for_people = functools.partial(show.compared, columns=loaded.task.evaluate.TABLE)
    unmet = [f"{row['name']}: {line}" for row in result["models"] for line in row["unmet"]]
    show.print_required(unmet, result, common.json, for_people)


@app.command(rich_help_panel="Use")
def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="CONFIG|[NAME=]MODEL_FOLDER...", help="Models, each under its name."),
    ] = None,
    model: Model = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's own need keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    keys: Annotated[Path, typer.Option(metavar="FILE", help="File of the keys' hashes.")] = Path("llmkit-keys.json"),
    new_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Make a key, print it once, and end. It counts at once.")
    ] = None,
    may: Annotated[str, typer.Option(help="What the new key may do: use, explain, metrics, by commas.")] = "use",
    limit: Annotated[str, typer.Option(help="Requests that the new key may send, such as 60/minute.")] = "",
    revoke_key: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take a key back, and end. It counts at once.")
    ] = None,
    certificate: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate of TLS (PEM).")] = None,
    private_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
    audit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Log of who asked what route when, as JSON Lines; no contents.")
    ] = None,
    deadline: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds that a request may take.")] = 60.0,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="Threads of one call of a model.")] = 1,
    identity: Identity = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Serve models over HTTP, with keys and limits. Needs the extra serve, and no torch."""
    from llmkit.cli import serving

    if new_key is not None:
        return serving.new_key(keys, new_key, may, limit)
    if revoke_key is not None:
        return serving.revoke_key(keys, revoke_key)
    options.take_identity(identity)
    found = serving.folders(models or [], model, Console(0 if quiet else 1))
    how = serving.How(host, port, keys, certificate, private_key, audit, deadline, threads)
    serving.run(found, how, Console(0 if quiet else 1))


@app.command(rich_help_panel="Start")
def init(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="The config file to write.")] = None,
    task: Annotated[str, typer.Option(help=f"One of: {', '.join(TASKS)}.")] = "language",
    new_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Make an age identity that reads what is encrypted, print its recipient."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Write a commented starter config, or a new key."""
    if new_key is not None:
        return _new_key(file, new_key, json, quiet)
    if file is None:
        raise ConfigError("init: name the config file to write, or --new-key FILE")
    starter = experiment.find(task).starter
    if file.exists() and not force:
        raise InputError(f"{file} exists already; choose another name, or overwrite it with --force")
    from llmkit.store import artifacts

    with artifacts.writing(file, everything=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(starter.read_text(encoding="utf-8").replace("CONFIG", str(file)), encoding="utf-8")
    if json:
        return show.print_json({"stage": "init", "file": str(file), "task": task})
    terminal.show(f"wrote {file}; next: name your files in it, then llmkit prepare {shlex.quote(str(file))}")


def _new_key(file: Path | None, key: Path, json: bool, quiet: bool) -> None:
    from llmkit.store import encryption

    if file is not None:
        raise ConfigError("init: name a config file or --new-key FILE, not both")
    recipient = encryption.new_identity(key)
    if json:
        return show.print_json({"stage": "init", "file": str(key), "recipient": recipient})
    terminal.write(recipient)
    Console(0 if quiet else 1).info(
        f"the identity is in {key}: whoever has it reads what is encrypted to the recipient above, nobody without it "
        "does; keep a copy of it elsewhere, out of run_dir"
    )


@app.command(rich_help_panel="Use")
def encrypt(
    place: Annotated[
        str,
        typer.Argument(metavar="CONFIG|FOLDER", help="A config (all of its RUN_DIR), RUN_DIR or a model folder."),
    ],
    recipient: Annotated[
        list[str] | None,
        typer.Option(metavar="age1…", help="Who can read from now on, nobody else. Repeatable."),
    ] = None,
    recipients_file: Annotated[Path | None, typer.Option(metavar="FILE", help="More of them, one a line.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write an encrypted copy of one finished folder there.")
    ] = None,
    identity: Identity = None,
    dry_run: DryRun = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Encrypt what is there to other recipients, or for the first time; nothing is trained again."""
    from llmkit.stages import encrypt as stage
    from llmkit.store import encryption

    options.take_identity(identity)
    named = [*(recipient or []), *(encryption.of_file(recipients_file) if recipients_file else ())]
    folder = Path(place)
    if not folder.is_dir():
        loaded = experiment.load(place)
        if named:
            raise ConfigError("encrypt: with a config its own encryption.recipients count; change those")
        folder, named = loaded.run_dir, experiment.recipients(loaded.settings.encryption)
    result = stage.encrypt(folder, named, out=out, dry_run=dry_run, ui=Console(0 if quiet else 2 if verbose else 1))
    show.print_result(result, json)
