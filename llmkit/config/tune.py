"""The section `tune`: which keys are searched, by how many trials of which budget."""

from typing import Annotated

from msgspec import Meta, field

from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive

DEFAULT_TRIAL_BUDGET = 0.25


class Range(Section):
    """Values that the search may give a key: a range (low, high) or `choices`."""

    low: float | int | None = None
    """Lowest value; whole numbers search whole numbers."""
    high: float | int | None = None
    """Highest value."""
    log: bool = False
    """Search evenly on a logarithmic scale."""
    choices: list[float | int | str | bool | None] | None = None
    """The values themselves."""

    def __post_init__(self) -> None:
        if self.choices is not None:
            if self.low is not None or self.high is not None or not self.choices:
                raise ValueError("give either low and high or a list of choices")
        elif self.low is None or self.high is None or self.low >= self.high:
            raise ValueError("needs low and high with low < high, or choices")
        elif self.log and self.low <= 0:
            raise ValueError("log needs low > 0")


class Tune(Section):
    """The search for better settings. Each trial is a short training with its own schedule."""

    one_of = ("trial_budget", "trial_steps")

    search: dict[str, Range] = field(
        default_factory=lambda: {"train.learning_rate": Range(low=2e-3, high=3e-2, log=True)}
    )
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""
    trials: Count = 20
    """Trials to run, the config's own settings first."""
    max_minutes: Positive | None = None
    """Start no further trial after this many minutes."""
    trial_budget: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Share of the training budget that one trial gets (0.25 where trial_steps is not named either)."""
    trial_steps: Count | None = None
    """Optimizer steps that one trial gets, in place of a share. Trials compare alike however busy the machine is; keys
    that change what a step costs (batch_size, hidden_size) are fairer with a share of a budget in minutes."""
    prune: bool = True
    """Give a trial up when its validation loss is worse than the median of the others at the same point (a quarter,
    half and three quarters of its budget). The config's own settings are never given up."""
    workers: Count = 1
    """Processes that run trials at the same time, each with its share of the processors: 2 of them on 8 processors
    train with 4 threads each. Each holds a model and its data in memory. With several, what is tried next depends on
    which trial ends first."""
