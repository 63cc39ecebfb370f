"""The section `compress`: named variants, each the settings of a method.

A task names those that it offers as the type of the section's values. Where a method makes a network of other sizes it
is generic in the task's section `model`: `Distil[Model]`; `Chain` is generic in the methods that it may chain.
"""

import re
import typing
from collections.abc import Iterable
from typing import Annotated, Generic, Literal, TypeVar

from msgspec import Meta, structs

from llmkit.config.schema import Section, members

Positive = Annotated[float, Meta(gt=0)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Model = TypeVar("Model")
Step = TypeVar("Step")


class Quantize(Section, tag_field="method", tag="quantize"):
    """Weights of 8 bits, activations quantized as they come (dynamic)."""

    bits: Literal[8] = 8
    """Bits per weight."""


class FineTuning(Section):
    """How long and how fast a changed model goes on learning, from the data and from a teacher. One budget at most."""

    one_of = ("max_minutes", "steps", "epochs")

    max_minutes: Positive | None = None
    """Budget of the fine-tuning in minutes."""
    steps: Annotated[int, Meta(ge=0)] | None = None
    """Budget in optimizer steps; 0 leaves the fine-tuning out."""
    epochs: Positive | None = None
    """Budget in passes over the training split."""
    learning_rate: Positive | None = None
    """Peak learning rate; by default the original's `train.learning_rate`."""
    mix: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """Share of the loss that comes from the teacher's probabilities at the peak of the learning rate, less as that
    falls; the rest comes from the data. 0: no teacher."""
    temperature: Positive = 1.0
    """Divides the logits of teacher and student alike before their probabilities are compared: above 1 the teacher's
    small probabilities count for more (Hinton et al., arXiv 1503.02531)."""

    def __post_init__(self) -> None:
        named = [name for name in self.one_of if getattr(self, name) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} are given; name one budget: {', '.join(self.one_of)}")


class Prune(FineTuning, tag_field="method", tag="prune"):
    """Weights or whole units are left out, and the rest is fine-tuned with the original as teacher. Where no budget is
    named, for a third of the original's `train` budget."""

    how: Literal["unstructured", "structured"] = "unstructured"
    """unstructured: single weights become zero, a few more with each step; structured: whole hidden units are removed,
    which makes a smaller ordinary network."""
    sparsity: Share = 0.5
    """Share of the weights (in matrices) or of the hidden units that goes."""
    mix: Annotated[float, Meta(ge=0, le=1)] = 0.3
    """Share of the loss that comes from the original's probabilities at the peak of the learning rate, less as that
    falls; the rest comes from the data. 0: no teacher."""


class Distil(FineTuning, Generic[Model], tag_field="method", tag="distil"):
    """A student learns from the original's probabilities and from the data. Where no budget is named, for as long as
    the original was trained."""

    places = ("teacher",)

    teacher: str | None = None
    """A model folder to learn from in place of the original."""
    model: Model | None = None
    """The student, as in the section `model`; by default like the original with half of its hidden units and, where it
    predicts, of the numbers of its embedding. A language model that has fewer units and is like its teacher otherwise
    starts with the most important ones of the teacher's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps == 0:
            raise ValueError("steps: a student of 0 steps has learned nothing; name 1 at least")


class Fuse(FineTuning, Generic[Model], tag_field="method", tag="fuse"):
    """Several models become one."""

    places = ("members",)

    members: list[str] = []
    """Model folders, two at least."""
    how: Literal["soup", "distil"] = "soup"
    """soup: averaged weights of models of one origin, a member only where it helps on the validation split; distil: a
    student learns from the mean of the members' probabilities, with the keys that `distil` has, starting as the best
    member of its sizes where there is one."""
    model: Model | None = None
    """The student of how: distil, as in the section `model`; by default like the original."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps == 0 and self.how == "distil":
            raise ValueError("steps: a student of 0 steps has learned nothing; name 1 at least")
        if len(self.members) < 2:
            raise ValueError("members: name two model folders at least")
        twice = [member for member in self.members if self.members.count(member) > 1]
        if twice:
            raise ValueError(f"members: {twice[0]} stands there twice")
        if self.how == "soup":
            for name in (*self.one_of, "learning_rate", "model"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: a soup learns nothing; leave it out, or set how: distil")


class Chain(Section, Generic[Step], tag_field="method", tag="chain"):
    """Methods one after the other, each on what the one before made."""

    steps: list[Step] = []
    """The methods' settings in their order, for example [{method: prune, sparsity: 0.8}, {method: quantize}]."""

    def __post_init__(self) -> None:
        if not self.steps:
            raise ValueError("steps: name one method at least")
        for number, step in enumerate(self.steps):
            if isinstance(step, Quantize) and number < len(self.steps) - 1:
                raise ValueError(f"steps.{number}: quantized weights cannot be worked on; put quantize last")
            if isinstance(step, Fuse) and number:
                raise ValueError(f"steps.{number}: fuse starts from its members; put it first")


class Budget(Section, tag_field="method", tag="budget"):
    """The best model within limits: methods and settings are tried for a time, each candidate measured on this
    machine. Of those that fit the one of least loss is taken, or the smallest where only the loss is limited."""

    max_size_mb: Positive | None = None
    """Largest size in megabytes (of 1,000,000 bytes): graph, weights, tokenizer and config."""
    max_loss_increase_percent: Annotated[float, Meta(ge=0)] | None = None
    """Largest loss on the validation split, in percent more than the original's."""
    max_minutes: Positive = 15.0
    """Time for the search."""

    def __post_init__(self) -> None:
        if not self.limits:
            raise ValueError(f"needs a limit: {', '.join(limits_of(self))}")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by key."""
        return {name: getattr(self, name) for name in limits_of(self) if getattr(self, name) is not None}


def limits_of(budget: Budget) -> list[str]:
    """The keys of a budget that limit what is chosen."""
    return [name for name in budget.__struct_fields__ if name.startswith("max_") and name != "max_minutes"]


def quantize_of(root: type[Section]) -> type[Quantize]:
    """The class of `method: quantize` among the variants that a root section offers."""
    values = typing.get_args(next(field.type for field in structs.fields(root) if field.name == "compress"))[1]
    return next(kind for kind in members(values) if isinstance(kind, type) and issubclass(kind, Quantize))


Method = Quantize | Prune | Distil[Section] | Fuse[Section]
"""What makes one model of another, whatever a task's section `model` is."""
Variant = Method | Chain[Method] | Budget
"""What `compress` may have under a name, whatever the task."""

RESERVED = ("model", "tuned")


LONGEST_NAME = 150  # bytes; file systems take 255, and a folder being built is called a little longer


def check_names(variants: Iterable[str]) -> None:
    """Refuse names that are no plain folder names, or those of other models. Raises ValueError."""
    for name in variants:
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise ValueError(f"compress.{name}: a variant's name is a folder's: letters, digits, - and _")
        if len(name.encode()) > LONGEST_NAME:
            raise ValueError(f"compress.{name[:20]}…: the name is too long for a folder; {LONGEST_NAME} bytes at most")
        if name in RESERVED:
            raise ValueError(f"compress.{name}: the name is taken: {name} is what llmkit calls another model")
