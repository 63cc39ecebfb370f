"""What the training loop drives: a task's weights, its data and what one update does.

The loop (`loop.py`) owns *when*: budget, schedule, validation, best weights, checkpoints, resume. A learner owns
*what*: a GAN does its two updates inside one `step`. Everything that a learner needs to go on bit for bit, beside what
`weights` returns, comes out of `state` and goes into `load_state`, which is called after `load_weights`. torch's random
state is the loop's business. `Wrapping` is for what goes around a learner: pruning, a teacher.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.plain import Json
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.training.devices import Hardware
from llmkit.training.distributed import Processes

if TYPE_CHECKING:
    from onnx import ModelProto


FUTILE = "futile"


@dataclass(frozen=True)
class Export:
    """The network for a model folder: graph, weights by name in the graph's layout, the task's own files by name."""

    graph: "ModelProto"
    weights: dict[str, np.ndarray]
    files: dict[str, ModelFile]


@dataclass(frozen=True)
class Finish:
    """What a training adds at its end: files of the model folder, metrics for its result, warnings for the user.

    A `val_loss` among the metrics takes the place of the loop's: that of the model as it ships (calibrated, mixed).
    """

    files: dict[str, ModelFile] = field(default_factory=dict)
    metrics: Json = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Learner(Protocol):
    """What a task hands to the loop."""

    unit: str
    """What is counted: "tokens" or "examples"."""
    hardware: Hardware
    step_count: int
    """Units in an ordinary step."""
    validation_count: int
    """Units in one validation."""

    @property
    def count(self) -> int:
        """Units trained on so far."""

    @property
    def epochs(self) -> float:
        """Passes over the training split so far."""

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch from now on, with the mean of all processes' gradients.

        Called before the first step, and only where there are several processes; all of them then call `step`,
        `validate` and `state` together, and the figures of a validation are the same in all. Raises ConfigError where
        the batch does not fall into equal parts.
        """

    def start_from(self, folder: ModelFolder) -> None:
        """Take the weights of a trained model. Raises InputError where it does not fit."""

    def step(self, rate: float, spent: float) -> Tensor | None:
        """One update of the weights; returns its loss (on this process's part), a scalar that may be on the device;
        None where a loss would tell too much of the examples.

        The schedule says with which learning rate, and which share of the budget is spent before it.
        """

    def validate(self, share: float = 1.0) -> dict[str, float]:
        """Metrics of the present weights on the validation split; `val_loss` decides which are best.

        `share` of the split is validated, from its start: less than all of it only to see how long it takes. A figure
        FUTILE ends the training: what it trains adds nothing to what the model has anyway.
        """

    def weights(self) -> dict[str, Tensor]:
        """The model's weights by name: what is kept when they are the best (not copies)."""

    def trained_weights(self) -> dict[str, Tensor]:
        """Those that the steps change, by the same names: others than `weights` where those are averages."""

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Put weights back that `weights` returned."""

    def state(self) -> tuple[dict[str, Tensor], Json]:
        """Everything else needed to go on: tensors (optimizer, carried state) and plain data (reading position)."""

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        """Go on from what `state` returned."""

    def samples(self) -> dict[str, bytes]:
        """What the model makes, for people to look at, as files by name; {} where it makes nothing.

        Written to the folder samples/ beside the checkpoints after each validation.
        """

    def export(self) -> Export:
        """The network as a model folder holds it."""

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """What a training adds at its end, called after `export`. `work`: the folder for what a run keeps."""


class Wrapping:
    """A learner around another one, which does everything: the base of those that change a part of it."""

    def __init__(self, learner: Learner):
        self.learner = learner
        self.unit, self.hardware = learner.unit, learner.hardware
        self.step_count, self.validation_count = learner.step_count, learner.validation_count

    @property
    def count(self) -> int:
        return self.learner.count

    @property
    def epochs(self) -> float:
        return self.learner.epochs

    def distribute(self, processes: Processes) -> None:
        self.learner.distribute(processes)

    def start_from(self, folder: ModelFolder) -> None:
        self.learner.start_from(folder)

    def step(self, rate: float, spent: float) -> Tensor | None:
        return self.learner.step(rate, spent)

    def validate(self, share: float = 1.0) -> dict[str, float]:
        return self.learner.validate(share)

    def weights(self) -> dict[str, Tensor]:
        return self.learner.weights()

    def trained_weights(self) -> dict[str, Tensor]:
        return self.learner.trained_weights()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.learner.load_weights(weights)

    def state(self) -> tuple[dict[str, Tensor], Json]:
        return self.learner.state()

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        self.learner.load_state(tensors, plain)

    def samples(self) -> dict[str, bytes]:
        return self.learner.samples()

    def export(self) -> Export:
        return self.learner.export()

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        return self.learner.finish(val_loss, work, progress)
