"""What `llmkit serve` does: keys made and taken back, models named, the server run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llmkit.cli import options
from llmkit.console import terminal
from llmkit.console.messages import Console
from llmkit.errors import ConfigError
from llmkit.tasks import experiment

if TYPE_CHECKING:
    from llmkit.store.model_folder import ModelFolder


@dataclass(frozen=True)
class How:
    """The options of a server."""

    host: str
    port: int
    keys: Path
    certificate: Path | None
    private_key: Path | None
    audit: Path | None
    deadline: float
    threads: int


def new_key(file: Path, name: str, may: str, limit: str) -> None:
    """Make a key and print it: nobody can read it later."""
    from llmkit.serving import keys

    key = keys.add(file, name, [role.strip() for role in may.split(",") if role.strip()], limit)
    terminal.write(key)
    Console(1).info(f"the key '{name}' is in {file} as a hash alone: keep it now, it cannot be read again")


def revoke_key(file: Path, name: str) -> None:
    """Take a key back."""
    from llmkit.serving import keys

    keys.revoke(file, name)
    terminal.show(f"took back the key '{name}'")


def folders(places: list[str], names: list[str] | None, ui: Console) -> "dict[str, ModelFolder]":
    """The model folders to serve, by name. Raises ConfigError and InputError."""
    from llmkit.serving import served
    from llmkit.stages import models

    places, overrides = _places(places)
    if not places:
        raise ConfigError("name a config file or model folders to serve")
    found: list[tuple[str, ModelFolder]] = []
    for place in places:
        name, path = _named(place)
        if Path(path).is_dir() or not path.endswith((".yaml", ".yml")):
            found.append((name or served.name_of(Path(path)), experiment.read_model(path)))
            continue
        loaded = experiment.load(path, overrides)
        for wanted in names or ["model"]:
            folder = models.read(loaded, wanted, ui.warn)
            found.append((name or served.name_of(folder.path), folder))
    return served.named(found)


def run(found: "dict[str, ModelFolder]", how: How, ui: Console) -> None:
    """Load the models and serve them until told to end."""
    try:
        from llmkit.serving import run as server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"llmkit serve needs {error.name}; install it with: pip install '.[serve]' in llmkit's own folder"
        ) from error
    from llmkit.serving import served
    from llmkit.serving.keys import Keys

    known = Keys(how.keys) if how.keys.exists() else None
    place = server.Place(how.host, how.port, how.certificate, how.private_key)
    server.check(place, known)
    audit = server.audit_log(how.audit)
    models = {name: served.serve(folder, name, how.threads) for name, folder in found.items()}

    def started() -> None:
        for name, one in models.items():
            ui.info(f"{name}: task {one.task}, {', '.join(f'/v1/{route}' for route in one.routes)}")
        if known is None:
            ui.info("no keys: it answers to this machine alone; make one with llmkit serve --new-key NAME")
        ui.info(f"serving on {place.address}; Ctrl-C ends it")

    server.run(models, place, known, audit, how.deadline, started)


def _places(words: list[str]) -> tuple[list[str], list[str]]:
    """(models, overrides): NAME=FOLDER is a model, section.key=value an override."""
    models = [word for word in words if "=" not in word or Path(word.partition("=")[2]).exists()]
    return models, options.names_and_overrides([word for word in words if word not in models])[1]


def _named(place: str) -> tuple[str, str]:
    """(name, path) of NAME=FOLDER, ("", path) of a path alone."""
    name, equals, path = place.partition("=")
    return (name, path) if equals and not Path(place).exists() else ("", place)
