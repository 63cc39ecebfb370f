"""Settings of `task: series`: what each section of the config may say, with defaults and units."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from llmkit.config import variants as methods
from llmkit.config.requirements import Evaluate
from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Chain, Distil, Fuse, Quantize
from llmkit.predicting.settings import Averaging, Prune, Share

ALARMS_PER_DAY = 0.14  # one a week
STARTS_FROM = ("series",)  # tasks whose models `train.start_from` may name
Size = Annotated[int, Meta(ge=1, le=65_536)]
Steps = Annotated[int, Meta(ge=1, le=10_000)]


class Split(Section):
    """Which times are held out: the last ones of every series, counted in horizons."""

    val: Annotated[int, Meta(ge=1, le=1000)] = 2
    """Horizons before those of the test used for validation: best weights, early stopping, how wide intervals are."""
    test: Annotated[int, Meta(ge=0, le=1000)] = 2
    """Horizons at the end kept for the final test; 0 makes no test split."""


class Prepare(Preparing):
    """Rows to series of numbers, evenly spaced in time."""

    places = ("files",)

    files: str | list[str] = ""
    """A glob or a list of globs, relative to the working directory; rows of all files are read together."""
    format: Literal["auto", "csv", "tsv", "jsonl"] = "auto"
    """How a file is read; auto goes by its ending or, where that does not tell, by its first line."""
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    """Character that parts the columns of CSV; by default the head of a file tells."""
    encoding: str = "utf-8"
    """Character encoding of the files."""
    time: str = ""
    """Column of times; by default the one whose name or values say so. A table without one has a row for each series:
    its name, then its values."""
    value: str = ""
    """Column of the numbers; by default the only one, or each column of numbers is a series of its own."""
    series: str = ""
    """Column that tells series apart; by default the only column of words beside the time, if there is a value."""
    step: Literal["auto", "row"] = "auto"
    """auto: the usual time from one row to the next, which gaps are measured by; row: each row is the step after the
    one before, whatever the times say, as trading days are."""
    gaps: Literal["refuse", "missing", "zero", "carry"] = "refuse"
    """What a time without a row is: an error, a missing value, 0, or the value before it."""
    horizon: Steps | None = None
    """Steps ahead that are forecast at once; by default a season, or 12 where there is none."""
    season: Steps | None = None
    """Steps in a season; by default a day of minutes or hours, a week of days, a year of weeks, months or quarters."""
    minimum: Literal["auto", "none"] | float = "auto"
    """Smallest value that can be forecast; auto is 0 where no value to train on is below."""
    split: Split = Split()


class Model(Section):
    """The network: beside last season's values a linear part plus layers shared by several members."""

    context: Steps | None = None
    """Steps of the past that it sees; by default seven seasons or three horizons, whichever is longer, 1024 at most."""
    hidden_size: Size = 192
    """Units per hidden layer."""
    layers: Annotated[int, Meta(ge=0, le=8)] = 2
    """Hidden layers; 0 leaves the linear part alone."""
    members: Annotated[int, Meta(ge=1, le=256)] = 8
    """Members of the ensemble inside the network, which share all matrices and have scales of their own."""
    dropout: Share = 0.1
    """Dropout after each hidden layer."""


class Train(Averaging):
    """Budget and optimizer."""

    default_budget: ClassVar[tuple[str, float]] = ("steps", 3000.0)

    max_minutes: Positive | None = None
    """Budget in minutes, from the first step to the last, validation included."""
    steps: Count | None = None
    """Budget in optimizer steps (3000 where no budget is named)."""
    batch_size: Count = 128
    """Windows of series in one optimizer step."""
    learning_rate: Positive = 4e-3
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    """Decoupled weight decay of AdamW; not of biases and scales."""
    average: Share = 0.99
    """Decay per step of the running average of the weights, which is what is validated and kept; 0 keeps the last."""
    number_type: Literal["auto", "float32", "bfloat16"] = "float32"
    """Type the matrix products are computed in; auto takes bfloat16 where the processor is faster in it."""


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=5e-4, high=1e-2, log=True),
        "train.weight_decay": Range(low=1e-3, high=1.0, log=True),
        "model.dropout": Range(low=0.0, high=0.4),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Section):
    """What is forecast. Every key is also an option of `llmkit generate`."""

    places = ("prompt", "prompt_file")

    prompt: str | list[str] | None = None
    """Past values as a JSON list of numbers, or an object {"values": […], "start": "2024-03-01T00:00"}; several give
    several forecasts; - reads rows from standard input. By default the series that the model was trained on go on."""
    prompt_file: str | None = None
    """File of rows, as `prepare` reads them; - is standard input."""
    horizon: Steps | None = None
    """Steps ahead; beyond those that the model was trained for it goes on from its own forecast."""
    anomalies: bool = False
    """In place of forecasts: each value beside what was forecast for it one step before, how surprising it is, and
    whether that is an alarm."""
    alarms_per_day: Positive = ALARMS_PER_DAY
    """Alarms a day and series that surprises may raise, by how rare they were on the validation split; without times a
    season stands for a day."""
    output: Literal["table", "csv", "jsonl", "html"] = "table"
    """How forecasts are printed: a table for people, CSV, a JSON object a line, or a page of HTML with charts."""


class Scoring(Evaluate):
    """How models are scored: forecasts from origins that move through the held-out times."""

    stride: Steps | None = None
    """Steps from one origin to the next; by default a horizon."""


class Budget(methods.Budget, tag_field="method", tag="budget"):
    """The best model within limits: methods and settings are tried for a time, each candidate measured on this
    machine. Of those that fit the one of least loss is taken, or the smallest where only the loss is limited."""

    max_ms_per_forecast: methods.Positive | None = None
    """Most milliseconds for one forecast by itself."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A forecaster of series of numbers over time."""

    task: Literal["series"] = "series"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Scoring = Scoring()
