"""The root section: what the configs of all tasks share."""

from typing import Annotated, Any

from msgspec import Meta

from llmkit.config.encryption import Encryption
from llmkit.config.requirements import Evaluate
from llmkit.config.schema import Section
from llmkit.config.training import Training
from llmkit.config.tune import Tune
from llmkit.config.variants import check_names

TaskSection = Any
"""A section that has nothing in common: each task has a class of its own for it."""


class Root(Section):
    """A whole config. A task's own root section says which class each of the sections below is."""

    places = ("run_dir", "encryption")

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

    def __post_init__(self) -> None:
        check_names(self.compress)
