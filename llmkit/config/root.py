"""The root section: what the configs of all tasks share."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from llmkit.config.encryption import Encryption
from llmkit.config.requirements import Evaluate
from llmkit.config.schema import Section
from llmkit.config.training import Training
from llmkit.config.tune import Tune
from llmkit.config.variants import check_names

TaskSection = Any
"""A section that has nothing in common: each task has a class of its own for it."""


class Preparing(Section):
    """What the sections `prepare` of all tasks share."""

    silent: ClassVar[tuple[str, ...]] = ("licence",)

    licence: str | None = None
    """Licence of the data, for the model's card; by default what a SOURCE.yaml beside the files says."""


class Card(Section):
    """What the card of a model tells its readers beside what was measured (`card.md` of a model folder)."""

    contact: str | None = None
    """Whom to ask about the model."""
    intended_use: str | None = None
    """What the model is for."""
    limits: str | None = None
    """What it is not for, and where it fails."""


class Root(Section):
    """A whole config. A task's own root section says which class each of the sections below is."""

    places = ("run_dir", "encryption")
    silent = ("card",)

    task: str
    """What is learned."""
    run_dir: Annotated[str, Meta(min_length=1)] = "runs/default"
    """Folder of everything this experiment writes; by default runs/<name of the config file>."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    """Seed of everything random."""
    prepare: TaskSection = Section()
    model: TaskSection = Section()
    train: Training = Training()
    tune: Tune = Tune()
    compress: dict[str, TaskSection] = {}
    """Named variants: the name is yours, `method` says how."""
    generate: TaskSection = Section()
    evaluate: Evaluate = Evaluate()
    encryption: Encryption = Encryption()
    card: Card | None = None
    """What the model's card says of its use; by default nothing."""

    def __post_init__(self) -> None:
        check_names(self.compress)
