"""Settings of `task: table`: what each section of the config may say, with defaults and units."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Chain, Distil, Fuse, Quantize
from llmkit.data.missing import MISSING
from llmkit.predicting.settings import (
    Budget,
    Classifying,
    Predict,
    Private,
    Prune,
    Scoring as ScoringBase,
    Share,
    Split,
    check_private,
)

STARTS_FROM = ("table",)  # tasks whose models `train.start_from` may name
Size = Annotated[int, Meta(ge=1, le=65_536)]
Coverage = Annotated[float, Meta(gt=0, lt=1)]


class RowSplit(Split):
    """Which rows are held out: drawn by the seed, each label in its share, unless groups or times say otherwise."""

    group: str = ""
    """Column whose rows of one value stay in one split, folds likewise: a person, a shop, a document. It is not learnt
    from."""
    time: str = ""
    """Column of dates or numbers by which the earliest rows train, the next validate, the latest test."""


class Prepare(Preparing):
    """Rows to arrays of numbers and categories."""

    places = ("files",)

    files: str | list[str] = ""
    """A glob or a list of globs, relative to the working directory; rows of all files are read together. A file may be
    packed as .gz or, with others, in a .zip."""
    format: Literal["auto", "csv", "tsv", "jsonl"] = "auto"
    """How a file is read; auto goes by its ending or, where that does not tell, by its first line."""
    delimiter: Annotated[str, Meta(max_length=1)] = ""
    """Character that parts the columns of CSV; by default the head of a file tells: comma, semicolon, tab or bar."""
    encoding: str = "utf-8"
    """Character encoding of the files."""
    label: str = ""
    """Column to predict: a label, of any number of classes, or a number; rows without a value there are left out."""
    predict: Literal["auto", "label", "number"] = "auto"
    """What the column `label` holds; auto takes many different numbers for numbers, and says so."""
    target: Literal["auto", "plain", "log"] = "auto"
    """How a number is learnt: as it is, or its logarithm; auto takes the logarithm of numbers above 0 that span more
    than two powers of ten (from the 5 % to the 95 % quantile)."""
    weight: str = ""
    """Column of weights above 0, where numbers are predicted: how much each row counts in the loss. It is not learnt
    from."""
    numbers: list[str] = []
    """Columns of numbers. A column that is not named is one where all its values are numbers, written in one way:
    1,234.56 or 1.234,56, 65 %, $400, (12)."""
    categories: list[str] = []
    """Columns of categories, also where they look like numbers (codes)."""
    dates: list[str] = []
    """Columns of dates, which become elapsed days, day of the month, weekday, month and hour. A column that is not
    named is one where all its values are dates, written in one way."""
    ignore: list[str] = []
    """Columns to leave out, such as an identifier."""
    missing: list[str | int | float] = field(default_factory=lambda: list(MISSING))
    """Values that stand for a missing one, such as -999 (also where it is written -999.0)."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """Sign before the decimals of numbers; auto finds it for each column, and asks the other columns about 1,234."""
    day_first: bool | None = None
    """Whether 3/4/2024 is in April; by default each column tells, and where none of its dates does, the month comes
    first where slashes part the numbers."""
    scaling: Literal["quantile", "standard", "both"] = "both"
    """How numbers are scaled, learnt from the training split: quantile maps them to a normal distribution, standard
    subtracts the mean and divides by the deviation, clipped to 4 deviations; both gives the network either."""
    pieces: Annotated[int, Meta(ge=0, le=256)] | None = None
    """Pieces that each column of numbers is cut into, of about equally many values, so that the network can bend where
    they meet; by default one for 200 training rows, 48 at most. 0 leaves the scaled numbers alone."""
    split: RowSplit = RowSplit()


class Model(Section):
    """The network: a linear part plus layers shared by several members that differ in their scales."""

    hidden_size: Size = 64
    """Units per hidden layer."""
    layers: Annotated[int, Meta(ge=0, le=8)] = 2
    """Hidden layers; 0 leaves the linear part alone."""
    members: Annotated[int, Meta(ge=1, le=256)] = 16
    """Members of the ensemble inside the network (TabM: Gorishniy et al., arXiv 2410.24210): they share all matrices
    and each has scales of its own before and after."""
    embedding_size: Size = 8
    """Numbers per category."""
    dropout: Share = 0.2
    """Dropout after each hidden layer."""
    input_dropout: Share = 0.0
    """Dropout of the inputs of the hidden layers, each column as a whole."""


class Train(Classifying):
    """Budget and optimizer."""

    default_budget: ClassVar[tuple[str, float]] = ("epochs", 60.0)
    silent = ("private",)

    epochs: Positive | None = None
    """Budget in passes over the training split (60 where no budget is named)."""
    max_minutes: Positive | None = None
    """Budget in minutes, from the first step to the last, validation included."""
    loss: Literal["squared", "absolute", "quantile"] = "squared"
    """Of predicted numbers: squared for the mean, absolute for the median, quantile for `quantile`."""
    quantile: Annotated[float, Meta(gt=0, lt=1)] = 0.5
    """The quantile that `loss: quantile` predicts."""
    private: Private | None = None
    """Train with noise, so that the weights tell little of any single row: {epsilon: 3}. Labels only; batches are drawn
    anew for each step, without dropout; needs the extra `private`, and a budget in steps or epochs."""
    batch_size: Count = 64
    """Rows in one optimizer step."""
    learning_rate: Positive = 4e-3
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.1
    """Decoupled weight decay of AdamW; not of biases and scales."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Stop after this many validations without a better one; 0 never stops early."""
    number_type: Literal["auto", "float32", "bfloat16"] = "float32"
    """Type the matrix products are computed in; auto takes bfloat16 where the processor is faster in it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.private:
            check_private(self)


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=1e-3, high=2e-2, log=True),
        "train.weight_decay": Range(low=1e-2, high=1.0, log=True),
        "model.dropout": Range(low=0.0, high=0.5),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Predict):
    """How labels or numbers of rows are predicted. Every key is also an option of `llmkit generate`."""

    prompt: str | list[str] | None = None
    """A row as a JSON object; several give several predictions; - reads rows from standard input."""
    prompt_file: str | None = None
    """File of rows: CSV, TSV or JSON Lines, packed or not; - is standard input."""
    interval: Coverage = 0.9
    """Of predicted numbers: share of the true ones that lie between `lower` and `upper`."""


class Scoring(ScoringBase):
    """How models are scored."""

    interval: Coverage = 0.9
    """Of predicted numbers: coverage of the intervals that are scored."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A predictor of a label or a number of table rows."""

    task: Literal["table"] = "table"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Scoring = Scoring()
