"""Settings of `task: image`: what each section of the config may say, with defaults and units."""

from typing import Annotated, Literal

from msgspec import Meta, field

from llmkit.config.root import Preparing, Root
from llmkit.config.schema import Section
from llmkit.config.training import Count, Positive, Training
from llmkit.config.tune import Range, Tune
from llmkit.config.variants import Quantize
from llmkit.predicting.settings import Share, Split

STARTS_FROM = ("image",)  # tasks whose models `train.start_from` may name
Width = Annotated[int, Meta(ge=4, le=1024)]


class Prepare(Preparing):
    """Pictures of 28×28 or 32×32 pixels, 16 at least in each split; a small network learns their features."""

    places = ("files", "labels")

    files: str | list[str] = ""
    """A glob, a folder, or a list of them, relative to the working directory: pictures (PNG, JPEG, GIF, BMP, WebP), IDX
    files as MNIST has them, NPY and NPZ arrays, CSV with the pixels of a picture in each row. IDX, NPY and CSV also as
    .gz."""
    format: Literal["auto", "pictures", "idx", "npy", "npz", "csv"] = "auto"
    """How files are read; auto goes by their ending."""
    label: Literal["auto", "none", "folder", "first", "last"] = "auto"
    """Where a picture's label is: the name of its folder, the first or the last column of a CSV row. auto: the folder
    where pictures lie in several, the column called label or class where a CSV has a header, else none."""
    labels: str | list[str] = ""
    """IDX or NPY files with the label of each picture of `files`, in the same order."""
    size: Literal[28, 32] | None = None
    """Edge of the pictures in pixels; by default what the first one has."""
    resize: bool = False
    """Pictures of other sizes are scaled and cropped in the middle to `size`; by default they are refused."""
    colour: Literal["auto", "grey", "rgb"] = "auto"
    """grey or rgb converts all pictures; auto takes them as they are and refuses a mixture."""
    split: Split = Split()


class Model(Section):
    """The two networks. Only the generator goes into a model folder."""

    latent_size: Annotated[int, Meta(ge=1, le=4096)] = 64
    """Random numbers that a picture is made from."""
    width: Width = 32
    """Channels of the generator at half the edge; twice as many at a quarter of it."""
    discriminator_width: Width = 32
    """Channels of the discriminator at half the edge; twice as many at a quarter of it."""
    conditional: bool = True
    """Where there are labels, both networks know them, and `generate` makes pictures of one."""


class Train(Training):
    """Budget and optimizers of both networks."""

    batch_size: Count = 64
    """Pictures in one step."""
    learning_rate: Annotated[float, Meta(gt=0, le=1e30)] = 3e-3
    """Peak learning rate of Adam (beta1 0), for both networks."""
    weight_decay: Annotated[float, Meta(ge=0, le=1e30)] = 0.0
    """Decoupled weight decay: learning rate times this share of a weight is taken off at each step."""
    gradient_clip: Positive = 10.0
    """Largest norm of the gradient of either network; longer ones are scaled down to it."""
    penalty: Annotated[float, Meta(ge=0)] = 1.0
    """Weight (gamma) of the gradient penalties R1 and R2 on real and on made pictures."""
    penalty_every: Count = 8
    """Steps between two penalties, each weighted as so many."""
    translate: Annotated[int, Meta(ge=0, le=8)] = 0
    """Pixels by which real and made pictures are shifted at most before the discriminator sees them, at random."""
    average: Share = 0.999
    """Decay per step of the running average of the generator's weights, which is what is validated and kept."""
    validation_steps: Count | None = 200
    """Optimizer steps between validations, each with a grid of pictures in RUN_DIR/work/train/samples."""
    patience: Annotated[int, Meta(ge=0)] = 0
    """Stop after this many validations without a better one; 0 never stops early."""


def _search() -> dict[str, Range]:
    return {
        "train.learning_rate": Range(low=5e-4, high=1e-2, log=True),
        "train.penalty": Range(low=0.1, high=10.0, log=True),
    }


class Search(Tune):
    """The search for better settings. Each trial is a short training with its own schedule."""

    search: dict[str, Range] = field(default_factory=_search)
    """Keys to search, for example train.learning_rate: {low: 1e-3, high: 1e-2, log: true}."""


class Generate(Section):
    """What pictures are made. Every key is also an option of `llmkit generate`."""

    places = ("to",)

    count: Annotated[int, Meta(ge=1, le=100_000)] = 100
    """Pictures to make. The n-th one depends on seed, label and n alone, not on how many there are."""
    label: str | list[str] | None = None
    """Label of the pictures, of a model that knows labels; several take turns, and all do where none is named."""
    other_seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] | None = None
    """Go from the picture of the seed to the one of this seed, in `count` pictures of one label."""
    columns: Annotated[int, Meta(ge=1, le=1000)] | None = None
    """Pictures in a row of the grid; by default the number of labels up to 20, else the square root of `count`."""
    singles: bool = True
    """Write each picture to a file of its own, beside the grid."""
    to: str | None = None
    """Folder for the files; by default RUN_DIR/generated or, given model folders, `generated` where you are."""


class Config(Root):
    """A generator of small pictures."""

    task: Literal["image"] = "image"
    """What is learned."""
    prepare: Prepare = Prepare()
    model: Model = Model()
    train: Train = Train()
    tune: Search = Search()
    compress: dict[str, Quantize] = field(default_factory=lambda: {"int8": Quantize()})
    """Named variants: the name is yours, `method` says how."""
    generate: Generate = Generate()
