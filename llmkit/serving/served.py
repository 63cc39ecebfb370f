"""Models as a server has them: by name, each with what it can do and a thread that works for all callers."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.serving.batching import Batcher
from llmkit.serving.writing import Writer
from llmkit.tasks import TASKS

if TYPE_CHECKING:
    from llmkit.store.model_folder import ModelFolder
    from llmkit.tasks.contract import Serve

MOST_WAITING = 2000  # requests of a model
MOST_ORDERS = 256  # texts of a model that wait to be begun
COMPLETIONS = "completions"
EXPLAIN = "explain"


@dataclass(frozen=True)
class Served:
    """A loaded model under its name."""

    name: str
    task: str
    model: Any
    offers: "Serve | None"
    """How it answers many requests at once; None for one that writes texts."""
    input: Json
    """JSON schema of one input; empty of one that writes texts."""
    batcher: Batcher | None = None
    writer: Writer | None = None

    @property
    def routes(self) -> list[str]:
        """What it answers to: predict, forecast, completions, … and explain where it explains."""
        first = [self.offers.ROUTE] if self.offers else [COMPLETIONS] if self.writer else []
        return first + ([EXPLAIN] if self.explains else [])

    @property
    def takes_many(self) -> bool:
        """Whether a list is always several inputs, and never one."""
        return self.input.get("type") in ("string", "object")

    @property
    def explains(self) -> bool:
        """Whether it says why it predicts what it predicts."""
        return getattr(self.model, "puzzles", None) is not None

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return sum(part.waiting for part in (self.batcher, self.writer) if part)

    def close(self) -> None:
        """Answer what waits and end."""
        for part in (self.batcher, self.writer):
            if part:
                part.close()


def serve(folder: "ModelFolder", name: str, threads: int) -> Served:
    """Load a model to be served. Raises InputError."""
    task = TASKS[folder.task]
    model = task.use.load(folder, threads)
    if task.serve is None:
        return Served(name, task.name, model, None, {}, writer=Writer(model, MOST_ORDERS))
    offers = task.serve

    def answer(requests: list[Any], alike: Any) -> list[Json]:
        route, options = alike
        with warnings.catch_warnings():  # of categories never seen: told where a model is used by hand
            warnings.simplefilter("ignore")
            if route == EXPLAIN:
                return [model.explain(one) for one in requests]
            return offers.answer(model, requests, dict(options))

    return Served(name, task.name, model, offers, offers.schema(model), Batcher(answer, MOST_WAITING))


def name_of(path: Path) -> str:
    """What a model is called where nobody names it: RUN for RUN/model, RUN-NAME for RUN/compressed/NAME."""
    path = path.resolve()
    if path.parent.name == "compressed":
        return f"{path.parent.parent.name}-{path.name}"
    return path.parent.name if path.name in ("model", "tuned") else path.name


def named(models: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Models by name. Raises ConfigError where two have the same."""
    found: dict[str, Any] = {}
    for name, model in models:
        if name in found:
            raise ConfigError(f"two models are called '{name}'; write NAME=FOLDER to call one something else")
        found[name] = model
    return found
