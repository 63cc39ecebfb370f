"""The section `train`, as far as all tasks share it: budget, schedule, validation, checkpoints."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from llmkit.config.schema import Section

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]


class Training(Section):
    """How long, how fast and how safely a model is trained. Exactly one budget holds."""

    one_of = ("max_minutes", "steps", "epochs")
    places = ("start_from",)
    silent: ClassVar[tuple[str, ...]] = ("deterministic",)
    default_budget: ClassVar[tuple[str, float]] = ("max_minutes", 3.0)  # where none is named; a task may have another
    absent: ClassVar[dict[str, str]] = {"private": "only task: table trains privately; docs/privacy.md says why"}
    private: ClassVar[Section | None] = None  # noise and clipping by example; as with folds
    folds: ClassVar[int | None] = None  # of a cross-validation; the tasks that offer one have it as a key

    max_minutes: Positive | None = None
    """Budget in minutes, from the first step to the last, validation included (3 where no budget is named)."""
    steps: Count | None = None
    """Budget in optimizer steps."""
    epochs: Positive | None = None
    """Budget in passes over the training split."""
    batch_size: Count = 32
    """Sequences (or examples) in one optimizer step."""
    learning_rate: Annotated[float, Meta(gt=0, le=1e30)] = 8e-3
    """Peak learning rate of the optimizers (language: Muon for the LSTM's weights, AdamW for the others)."""
    warmup_steps: Annotated[int, Meta(ge=0)] = 50
    """Steps over which the learning rate rises from 0 to its peak (a tenth of the budget at most); then it falls along
    a half cosine."""
    final_learning_rate: Annotated[float, Meta(ge=0, le=1)] = 0.01
    """Learning rate at the end of the budget, as a share of the peak."""
    weight_decay: Annotated[float, Meta(ge=0, le=1e30)] = 0.01
    """Decoupled weight decay: learning rate times this share of a weight is taken off at each step."""
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient; longer ones are scaled down to it."""
    validation_steps: Count | None = None
    """Optimizer steps between validations; by default so many that validation takes about a twentieth of the time."""
    patience: Annotated[int, Meta(ge=0)] | None = None
    """Stop after this many validations without a better one; 0 never stops early. By default ten of them and a quarter
    of the budget: while the learning rate is high, validations may stand still for a while."""
    keep: Literal["best", "last"] = "best"
    """best: the weights of least validation loss become the model; last: those at the end of the budget, for where so
    few examples validate that the least loss is luck (patience then never ends a training)."""
    checkpoint_steps: Count | None = None
    """Optimizer steps between checkpoints; by default the clock decides alone."""
    checkpoint_minutes: Positive = 2.0
    """Minutes between checkpoints; more where writing one takes longer than a tenth of that."""
    keep_checkpoints: Count = 2
    """Checkpoints kept of a running training; a damaged one is skipped for the one before it."""
    number_type: Literal["auto", "float32", "bfloat16"] = "auto"
    """Type the matrix products are computed in; auto takes bfloat16 where the processor is faster in it."""
    deterministic: bool | None = None
    """On a GPU, algorithms that give the same bytes each time, by default: two trainings with one config, or one that
    was interrupted, then end alike. false may be faster. A CPU is exact anyway."""
    tensorboard: bool = False
    """Write curves for TensorBoard to RUN_DIR/work/train/tensorboard; needs the extra `tensorboard`."""
    start_from: str | None = None
    """A trainable model folder whose weights are the start; by default training starts from random weights."""

    def __post_init__(self) -> None:
        named = [name for name in self.one_of if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given; name exactly one budget: {', '.join(self.one_of)}")

    @property
    def budget(self) -> tuple[str, float]:
        """The budget that holds: its key and its amount."""
        for name in self.one_of:
            if (amount := getattr(self, name)) is not None:
                return name, amount
        return self.default_budget
