"""Settings of `task: vision`: what each section of the config may say, with defaults and units."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Chain, Distil, Fuse, Prune, Quantize
from llmkit.predicting.settings import Budget, Classifying, Predict, Scoring as ScoringBase, Share, Split

STARTS_FROM = ("vision",)  # tasks whose models `train.start_from` may name
SIZES = range(16, 129)  # edges in pixels
Size = Annotated[int, Meta(ge=SIZES[0], le=SIZES[-1])]
Between = Annotated[float, Meta(gt=0, lt=1)]


class PictureSplit(Split):
    """Which pictures are held out: as the files say, else drawn by the seed, each label in its share."""

    keep: bool = True
    """Take the splits that the files have: arrays train_images, val_images and test_images of an NPZ file, folders
    train, val and test above those of the labels, the column `prepare.split_column`. Where they have no validation
    part, `val` of the training pictures become it."""
    group: str = ""
    """What keeps pictures together in one split, folds likewise, such as all of one patient: a column of the list
    (prepare.path) or, of files, a regular expression whose parentheses hold the group: (patient\\d+)_"""


class Prepare(Preparing):
    """Pictures of one size, 16 to 128 pixels wide and high, and a label for each."""

    places = ("files", "labels")

    files: str | list[str] = ""
    """A glob, a folder, or a list of them, relative to the working directory: pictures (PNG, JPEG, GIF, BMP, WebP,
    TIFF), IDX files as MNIST has them, NPY and NPZ arrays, CSV with the pixels of a picture in each row; or, with
    `path`, lists of pictures. IDX, NPY and CSV also as .gz."""
    format: Literal["auto", "pictures", "idx", "npy", "npz", "csv"] = "auto"
    """How files are read; auto goes by their ending."""
    label: str = "auto"
    """Where a picture's label is: folder (its name), first or last (column of a CSV row), or the name of a column.
    auto: the folder where pictures lie in several, the column called label or class, the labels of an NPZ file."""
    labels: str | list[str] = ""
    """IDX or NPY files with the label of each picture of `files`, in the same order."""
    path: str = ""
    """Column that names a picture file, relative to the list: `files` are then CSV, TSV or JSON Lines with a row for
    each picture."""
    split_column: str = ""
    """Column of the list that says train, val or test."""
    size: Size | None = None
    """Edge of the pictures in pixels; by default what the first one has."""
    resize: bool = False
    """Pictures of other sizes are scaled and cropped in the middle to `size`; by default they are refused."""
    colour: Literal["auto", "grey", "rgb"] = "auto"
    """grey or rgb converts all pictures; auto takes them as they are and refuses a mixture."""
    split: PictureSplit = PictureSplit()


class Model(Section):
    """The network: a convolution, then three stages of residual blocks, each with half the edge of the one before."""

    width: Annotated[int, Meta(ge=8, le=512, multiple_of=8)] = 16
    """Channels of the first stage, a multiple of 8, which processors compute at once; twice as many in the second,
    four times in the third."""
    blocks: Annotated[int, Meta(ge=1, le=8)] = 1
    """Residual blocks in each stage."""
    dropout: Share = 0.1
    """Dropout before the last layer."""


class Train(Classifying):
    """Budget, optimizer and augmentation: how training pictures are changed at random each time that they are seen."""

    default_budget: ClassVar[tuple[str, float]] = ("max_minutes", 3.0)

    batch_size: Count = 64
    """Pictures in one optimizer step."""
    learning_rate: Positive = 4e-3
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Meta(ge=0)] = 0.05
    """Decoupled weight decay of AdamW; not of biases and what normalizes."""
    average: Share = 0.99
    """Decay per step of the running average of the weights, which is what is validated and kept; 0 keeps the last."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Stop after this many validations without a better one; 0 never stops early: the last steps, of small learning
    rates, are those that count."""
    shift: Annotated[float, Meta(ge=0, le=0.5)] = 0.08
    """Shift by up to this share of the edge in each direction; what comes in is the edge's colour."""
    rotate: Annotated[float, Meta(ge=0, le=180)] = 10.0
    """Turn by up to so many degrees."""
    scale: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Enlarge or shrink by up to this share."""
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Mirror half of the pictures; leave it out where left and right or up and down mean something, as of digits."""
    brightness: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Brighten or darken by up to this share of the training pictures' deviation, and likewise their contrast."""
    erase: Share = 0.0
    """Edge of a square that is made the mean picture's colour, at a random place, as a share of the picture's."""


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=1e-3, high=1e-2, log=True),
        "train.weight_decay": Range(low=1e-2, high=0.5, log=True),
        "model.dropout": Range(low=0.0, high=0.5),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Predict):
    """How labels of pictures are predicted. Every key is also an option of `llmkit generate`."""

    prompt: str | list[str] | None = None
    """A picture file, a folder or a glob of them; several give several predictions; - reads a picture, or the names of
    picture files, one a line, from standard input."""
    prompt_file: str | None = None
    """File with names of picture files, one a line, or with pictures: IDX, NPY, NPZ; - is standard input."""


class Scoring(ScoringBase):
    """How models are scored."""

    specificity: Between = 0.9
    """Of two labels: share of the first one's pictures that are to be told right, at which `sensitivity_at` says which
    share of the second one's is."""


Step = Quantize | Prune | Distil[Model] | Fuse[Model]
Variant = Step | Chain[Step] | Budget


class Config(Root):
    """A classifier of pictures."""

    task: Literal["vision"] = "vision"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Variant] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
    evaluate: Scoring = Scoring()
