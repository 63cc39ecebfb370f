"""The contract of a task, as types: what stages, search and compression may ask of one.

A task is a package `llmkit/tasks/NAME` of plain modules with fixed names, each a protocol below. A `Task` hands out its
modules, importing each when it is first asked for; what a task does not offer is None there. Where a protocol says
Root or Section, each task takes a class of its own; so it does for `LoadedModel`, `Requests` and `Examples`.
`tests/tasks/test_contract.py` holds the parameters of every task's functions against these signatures.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llmkit.config.root import Root
from llmkit.config.schema import Section
from llmkit.config.variants import Quantize
from llmkit.console.callbacks import Progress, Warn
from llmkit.console.tables import Column
from llmkit.plain import Json

if TYPE_CHECKING:
    import numpy as np
    from onnx import ModelProto

    from llmkit.report.html import Section as ReportSection
    from llmkit.store.files import Files
    from llmkit.store.manifests import Source
    from llmkit.store.model_folder import ModelFolder
    from llmkit.training.devices import Hardware
    from llmkit.training.learner import Learner

Arrays = dict[str, "np.ndarray"]
"""Weights by name, in the graph's layout."""
Emit = Callable[[str], None]
"""(piece of a text): what a single text is handed to as it is written."""
LoadedModel = Any
"""What a task's `use.load` returns: the object that `llmkit.load` gives to people, with the task's own methods."""
Requests = Any
"""What a task's `generate.requests` reads and `generate.answer` takes: prompts, rows, how many pictures of what."""
Examples = Any
"""What a task's model is scored on, from `evaluate.of_split` or `of_files`: tokens, labelled rows, pictures."""


@dataclass(frozen=True)
class Answers:
    """What a model made of requests: `result` as `--json` prints it, and files, by name, for those who make such."""

    result: Json
    files: dict[str, bytes] = field(default_factory=dict)
    to: str | None = None
    """Folder that the user wants the files in, in place of RUN_DIR/generated."""


class Settings(Protocol):
    """`settings.py`: what the config may say. Imports nothing heavy."""

    Config: type[Root]
    """The task's root section: `task` is a Literal of its name, and each section is the task's own class."""
    STARTS_FROM: tuple[str, ...]
    """Names of the tasks whose models `train.start_from` may name."""


class Prepare(Protocol):
    """`prepare.py`: raw files to arrays. What learns from the training split (scaling, a vocabulary) learns here."""

    def check(self, settings: Section) -> None:
        """Refuse, before anything is read, a section prepare that no data can satisfy. Raises ConfigError."""

    def inputs(self, settings: Section) -> "list[Source]":
        """The files that `prepare` reads. Raises ConfigError and InputError."""

    def prepare(self, settings: Section, seed: int, out: Path, work: Path, progress: Progress, warn: Warn) -> Json:
        """Write the prepared data into `out`, an empty folder; returns its summary. Raises ConfigError, InputError.

        `settings` is the section prepare; `work` is a folder for what need not last.
        """


class Folds(Protocol):
    """`folds.py`, of a task that cross-validates; its section train has the key `folds`."""

    METRICS: tuple[str, ...]
    """The metrics of a fold, none of them a timing, by their names in `Evaluate.metrics`.

    One that the models of a config do not have is left out.
    """

    def fold(self, prepared: "Files", out: Path, number: int, count: int, settings: Section, seed: int) -> None:
        """Write the prepared data of fold `number` (from 1) of `count`: another split, and what is learnt from it.

        `settings` is the section prepare.
        """


class Train(Protocol):
    """`train.py`: prepared data to what the training loop drives. Imports torch and onnx."""

    def learner(self, prepared: "Files", settings: Root, hardware: "Hardware", warn: Warn) -> "Learner":
        """The learner, its weights drawn by `settings.seed`; `settings` is the root section."""


class Use(Protocol):
    """`use.py`: a model folder to a model that generates, predicts, scores. Never imports torch."""

    def load(self, folder: "ModelFolder", threads: int | None = None) -> LoadedModel:
        """What `llmkit.load` returns. `threads`: of one call. Raises InputError for a folder that does not load."""


class Generate(Protocol):
    """`generate.py`: requests -> answers -> shown. Never imports torch."""

    def requests(self, settings: Section, folder: "ModelFolder") -> Requests:
        """What the section generate, the files it names and standard input ask for. Raises ConfigError, InputError.

        `settings` is that section.
        """

    def answer(
        self,
        model: LoadedModel,
        requests: Requests,
        settings: Section,
        seed: int,
        warn: Warn,
        emit: Emit | None = None,
    ) -> Answers:
        """What a loaded model makes of many requests at once. `emit(piece)` gets a single text as it is written.

        Raises ConfigError and InputError for requests that the model cannot take.
        """

    def items(self, result: Json) -> list[Json]:
        """The lines of `--jsonl`."""

    def show(self, result: Json, emitted: bool, named: bool) -> None:
        """Print a result for people. `emitted`: it went out through `emit`; `named`: say `result["model"]`."""

    def summary(self, result: Json) -> str:
        """The closing message."""


class Evaluate(Protocol):
    """`evaluate.py`: examples -> metrics, through ONNX Runtime. Never imports torch."""

    UNIT: str
    """What compression counts speed by: `ms_per_UNIT`, `UNITs_per_second`."""
    TABLE: list[Column]
    """The columns that compare models."""

    def of_split(self, folder: "ModelFolder", prepared: "Files", split: str) -> Examples:
        """The examples of a split (test: validation where there is none). Raises InputError where they do not fit."""

    def of_files(
        self, folder: "ModelFolder", files: list[Path], settings: Root, work: Path, progress: Progress, warn: Warn
    ) -> Examples:
        """The examples in other files, treated as the model's own data was. `settings` is the root section.

        `work` is a folder that is gone afterwards. Raises InputError.
        """

    def metrics(
        self, folder: "ModelFolder", examples: Examples, settings: Root, progress: Progress, warn: Warn
    ) -> Json:
        """Quality, size and speed of a model on examples, as `evaluate --json` prints them.

        `settings` is the root section.
        """

    def validation_loss(self, folder: "ModelFolder", prepared: "Files", progress: Progress) -> float:
        """The loss on the validation split, of the kind that training calls `val_loss`."""

    def measure(self, folder: "ModelFolder", prepared: "Files", progress: Progress) -> tuple[float, dict[str, float]]:
        """(`validation_loss`; load_ms, ms_per_UNIT, UNITs_per_second and other speeds on this machine)."""


class Serve(Protocol):
    """`serve.py`, of a task whose models answer requests over HTTP, many at once. Never imports torch.

    What comes from a request is a stranger's: no name of a file is taken from it.
    """

    ROUTE: str
    """The last part of `/v1/ROUTE`: what models of the task are asked for."""
    ANSWERS: str
    """What the list of answers is called."""
    OPTIONS: Json
    """JSON schemas of what else a request may say, by name."""

    def schema(self, model: LoadedModel) -> Json:
        """JSON schema of one input; of an object it names the properties, from which a form is made."""

    def request(self, model: LoadedModel, given: Any) -> Any:
        """One input as `answer` takes it. Raises InputError for what the model cannot take."""

    def answer(self, model: LoadedModel, requests: list[Any], options: Json) -> list[Json]:
        """An answer for each of requests of several callers. Raises ConfigError for wrong options."""


class Report(Protocol):
    """`report.py`, of a task that has more to tell in report.html than figures. Never imports torch."""

    def sections(self, folder: "ModelFolder", examples: Examples, settings: Root) -> "list[ReportSection]":
        """What a model does on examples of `Evaluate`, for people: charts, mistakes. `settings` is the root section."""


class Compress(Protocol):
    """`compress.py`, of a task whose models are pruned, distilled and fused. Imports torch.

    `settings` is always the root section; weights are in the graph's layout.
    """

    def as_trained(self, settings: Root, result: Json) -> Root:
        """Settings with what they leave open as it was when the model was trained (`result`: of its manifest)."""

    def as_learned(self, settings: Root, learner: "Learner") -> Root:
        """The same of what a learner has just trained."""

    def with_less_dropout(self, settings: Root, kept: float) -> Root:
        """Settings for a network of which a share of the weights is `kept`."""

    def half(self, settings: Root) -> Root:
        """Settings of a student for whoever names none."""

    def load(self, learner: "Learner", weights: Arrays) -> None:
        """Put weights into a learner of the same sizes."""

    def check_fits(self, folder: "ModelFolder", prepared: "Files") -> None:
        """Raise InputError where a model does not fit the data (vocabulary, columns)."""

    def taught(
        self,
        learner: "Learner",
        teachers: list[tuple[Root, Arrays]],
        temperature: float,
        mix: float,
        progress: Progress,
    ) -> "Learner":
        """A learner that learns from teachers too, (settings, weights) each; `training.distillation` has the loss."""

    def refit(self, folder: "ModelFolder", prepared: "Files") -> None:
        """Fit anew what a written model has fitted to the validation split, such as a temperature."""


class Units(Protocol):
    """`units.py`, of a task that removes whole hidden units. Imports torch."""

    def units(self, settings: Root) -> int:
        """How many units, or channels, a layer of the network has."""

    def without_units(self, learner: "Learner", settings: Root, removed: float) -> tuple[Root, Arrays]:
        """(settings, weights) of a network without a share `removed` of the units.

        Raises InputError where there is too little data to judge by.
        """

    def units_for(self, student: "Learner", teacher: "Learner", settings: Root) -> Arrays | None:
        """Weights for a student that is its teacher (`settings` are the teacher's) with fewer units, else None."""


class FourBits(Protocol):
    """`four_bits.py`, of a task that offers `bits: 4`. Imports torch."""

    def of_four_bits(
        self, variant: Quantize, settings: Root, weights: Arrays, prepared: "Files"
    ) -> tuple["ModelProto", Arrays, Json]:
        """(graph, weights, what was chosen): weights of 4 bits. Raises InputError where there is too little data."""


class Calibration(Protocol):
    """`calibration.py`, of a task whose graph has convolutions that become integers."""

    def feeds(self, graph: "ModelProto", weights: Arrays, prepared: "Files") -> "dict[str, np.ndarray]":
        """Inputs of the graph on which the ranges of activations are measured, none of the test split."""


@dataclass(frozen=True)
class Task:
    """A kind of model: its name, and its modules, each imported when it is first asked for."""

    name: str
    package: str

    def _module(self, name: str) -> Any:
        return import_module(f"{self.package}.{name}")

    def _module_if_there(self, name: str) -> Any:
        return self._module(name) if find_spec(f"{self.package}.{name}") else None

    @property
    def starter(self) -> Path:
        """The YAML file that `llmkit init` copies; CONFIG in it stands for the file's name."""
        return Path(str(import_module(self.package).__file__)).parent / "starter.yaml"

    @cached_property
    def settings(self) -> Settings:
        return self._module("settings")

    @cached_property
    def prepare(self) -> Prepare:
        return self._module("prepare")

    @cached_property
    def train(self) -> Train:
        return self._module("train")

    @cached_property
    def use(self) -> Use:
        return self._module("use")

    @cached_property
    def generate(self) -> Generate:
        return self._module("generate")

    @cached_property
    def evaluate(self) -> Evaluate:
        return self._module("evaluate")

    @cached_property
    def report(self) -> Report | None:
        return self._module_if_there("report")

    @cached_property
    def serve(self) -> Serve | None:
        return self._module_if_there("serve")

    @cached_property
    def folds(self) -> Folds | None:
        return self._module_if_there("folds")

    @cached_property
    def compress(self) -> Compress | None:
        return self._module_if_there("compress")

    @cached_property
    def units(self) -> Units | None:
        return self._module_if_there("units")

    @cached_property
    def four_bits(self) -> FourBits | None:
        return self._module_if_there("four_bits")

    @cached_property
    def calibration(self) -> Calibration | None:
        return self._module_if_there("calibration")
