"""What the training loop drives for a predictor: shuffled batches, one update, averaged weights, an objective.

In: a network, arrays of examples, an objective and the settings. The network takes the tensors that `inputs(examples)`
returns and gives outputs (B, C), or (B, K, C) while it trains as K members that each have a loss of their own. Out: the
averaged weights, which are what is validated and kept, and what the objective fits at the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from llmkit.console.callbacks import Progress
from llmkit.plain import Json
from llmkit.predicting.objectives import Objective
from llmkit.predicting.settings import Averaging
from llmkit.store.model_folder import ModelFile, ModelFolder
from llmkit.training import distillation, distributed, optimizer_state
from llmkit.training.averages import Averages
from llmkit.training.batches import Batches
from llmkit.training.devices import Hardware
from llmkit.training.distributed import ALONE, Processes
from llmkit.training.learner import Export, Finish

if TYPE_CHECKING:
    from onnx import ModelProto

Network = TypeVar("Network", bound=nn.Module)
VALIDATION_BATCH = 1024


@dataclass(frozen=True)
class Examples:
    """The examples of a prepared folder, by their numbers: `inputs(numbers)` are the network's tensors of some."""

    inputs: Callable[[np.ndarray], Sequence[Tensor]]
    train: np.ndarray
    val: np.ndarray
    lengths: np.ndarray | None = None
    """(N,): examples of about the same length come into a batch together."""


@dataclass(frozen=True)
class Shipping(Generic[Network]):
    """How a network gets into a model folder and out of it: its graph and weights, the files beside them."""

    export: Callable[[Network], tuple["ModelProto", dict[str, np.ndarray]]]
    files: dict[str, ModelFile]
    start_from: Callable[[Network, ModelFolder], None]
    """Puts the weights of a trained model into a network. Raises InputError."""


class ExampleLearner(Generic[Network]):
    """A `training.learner.Learner` for any network that turns examples into outputs."""

    unit = "examples"

    def __init__(
        self,
        network: Network,
        examples: Examples,
        objective: Objective,
        shipping: Shipping[Network],
        settings: Averaging,
        seed: int,
        hardware: Hardware,
        fit: Callable[[Network], None] | None = None,
    ):
        """`fit(network)` fills buffers of the network that no step changes; a run that goes on has them in its
        checkpoint and does without it."""
        self.network, self.examples, self.objective = network.to(hardware.device), examples, objective
        self.shipping, self.settings, self.hardware = shipping, settings, hardware
        batch_size = min(settings.batch_size, len(examples.train))
        self.batches = Batches(examples.train, batch_size, seed, examples.lengths)
        decayed = [weight for weight in network.parameters() if weight.ndim > 1]
        others = [weight for weight in network.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], settings.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.averages = Averages(self.network, settings.average)
        self.mix = 0.0  # the teacher's share of the loss at the peak of the learning rate
        self._fit = fit
        self.processes: Processes = ALONE
        self.forward: nn.Module = self.network
        self.count = 0
        self.step_count = self.batches.batch_size
        self.validation_count = len(examples.val)

    @property
    def epochs(self) -> float:
        return self.count / len(self.batches.examples)

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch (`Learner`)."""
        self.batches.check_parts(processes, "examples")
        self.processes = processes
        self.network.train()
        self.forward = distributed.averaging(self.network, *self.examples.inputs(self.batches.examples[:1]))

    def teach(self, together: Tensor, temperature: float, mix: float) -> None:
        """Learn from teachers too: of the loss, `mix` at most is the distance to what they say `together` (N, C)."""
        self.objective.teach(together, temperature)
        self.mix = mix

    def step(self, rate: float, spent: float) -> Tensor | None:
        """One update on the next batch; returns its mean loss per example. The teacher's share falls with the rate."""
        self._fit_once()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        batch = self.batches.next()
        mine = batch[self.processes.part(len(batch))]
        with self.hardware.autocast():
            outputs = self.forward(*self.examples.inputs(mine)).float()  # (B, C) or (B, K, C)
        share = distillation.share(self.mix, rate, self.settings.learning_rate)
        loss = self.objective.loss(outputs, mine, batch, self.processes.count, share)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self.averages.update()
        self.count += len(batch)
        return loss.detach()

    def _fit_once(self) -> None:
        if self._fit:
            self._fit(self.network)
            for buffer in self.network.buffers():
                buffer.copy_(self.processes.gather(buffer)[0])  # the same bits in all processes
            self.averages.tensors |= {name: buffer.detach().clone() for name, buffer in self.network.named_buffers()}
            self._fit = None

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """The objective's metrics of the averaged weights on the validation split."""
        self._fit_once()
        examples = self.examples.val[: max(1, round(share * len(self.examples.val)))]
        return self.objective.validate(self._outputs(examples), examples)

    @torch.no_grad()
    def _outputs(self, examples: np.ndarray) -> np.ndarray:
        """Outputs (N, C) for examples by the averaged weights."""
        parts = []
        with self.averages.in_network(), self.hardware.autocast():
            self.network.eval()
            for start in range(0, len(examples), VALIDATION_BATCH):
                outputs = self.network(*self.examples.inputs(examples[start : start + VALIDATION_BATCH]))
                parts.append(outputs.float().cpu().numpy())
        return np.concatenate(parts)

    def weights(self) -> dict[str, Tensor]:
        return self.averages.tensors

    def trained_weights(self) -> dict[str, Tensor]:
        return self.network.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.network.load_state_dict(weights)
        self._fit = None
        self.averages.restart()

    def state(self) -> tuple[dict[str, Tensor], Json]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= optimizer_state.to_tensors(self.optimizer, "optimizer")
        return tensors, {"batches": self.batches.state(), "count": self.count, "updates": self.averages.updates}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        part = "network."
        self.network.load_state_dict({n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)})
        optimizer_state.from_tensors(self.optimizer, "optimizer", tensors)
        self.batches.load_state(plain["batches"])
        self.count, self.averages.updates = plain["count"], plain["updates"]

    def samples(self) -> dict[str, bytes]:
        return {}

    def start_from(self, folder: ModelFolder) -> None:
        """Take the weights of a trained model. Raises InputError when it does not fit."""
        self.shipping.start_from(self.network, folder)
        self.averages.restart()

    def export(self) -> Export:
        """Graph and weights of the averaged network, which takes the place of the trained one, and the task's files."""
        self.network.load_state_dict(self.averages.tensors)
        self.network.eval()
        return Export(*self.shipping.export(self.network), self.shipping.files)

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """What the objective fits on the validation split; `val_loss` is then of what it gives."""
        return self.objective.finish(self._outputs(self.examples.val), self.examples.val)
