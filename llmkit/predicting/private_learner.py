"""The learner of examples with differential privacy: each step's batch is drawn anew, its gradient clipped and noisy.

What a step computes is private by example of the training split (`training.private`); all that is made of it (averages,
the optimizer, the weights of least validation loss) is then private too. The training loss would be read off the
examples without noise, so none is told. The validation split is not covered: it chooses weights and a temperature.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from llmkit.console.callbacks import Progress
from llmkit.errors import ConfigError
from llmkit.plain import Json
from llmkit.predicting.learner import ExampleLearner, Network
from llmkit.predicting.settings import Private
from llmkit.store.model_folder import ModelFolder
from llmkit.training import private
from llmkit.training.distributed import Processes
from llmkit.training.learner import Finish


class PrivateLearner(ExampleLearner[Network]):
    """An `ExampleLearner` of a network without dropout; the loss of an example must depend on no other one."""

    def keep_private(self, wanted: Private) -> None:
        """Begin: how much noise the budget of the settings needs. Raises ConfigError where no noise is enough."""
        count, batch_size = len(self.batches.examples), self.batches.batch_size
        if wanted.delta >= 1 / count:
            raise ConfigError(
                f"train.private.delta is {wanted.delta:g}: with {count:,} training rows that allows to publish one of "
                f"them; name less than {1 / count:.1g}, such as {0.1 / count:.0e}"
            )
        self.wanted, self.taken = wanted, 0
        rate, steps = batch_size / count, planned(self.settings.budget, count, batch_size)
        self.noise = private.noise_for(wanted.epsilon, wanted.delta, wanted.clip, rate, steps)
        self.gradients = private.Gradients(self.network, self.noise)

    def step(self, rate: float, spent: float) -> None:
        """One noisy update; returns nothing, for a loss would tell of the examples (`Learner`)."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        batch = self.gradients.drawn(self.batches.examples)
        inputs = self.examples.inputs(batch)
        with torch.no_grad():
            outputs = self.network(*inputs).float()
        outputs.requires_grad_(True)
        pulls = torch.zeros_like(outputs)
        if len(batch):
            [pulls] = torch.autograd.grad(self.objective.loss(outputs, batch, batch, 1, 0.0), [outputs])
        self.gradients.into(inputs, pulls * len(batch), self.step_count)
        self.optimizer.step()
        self.averages.update()
        self.taken += 1
        self.count += self.step_count  # as many as a batch has in the mean

    def distribute(self, processes: Processes) -> None:
        raise ConfigError("train.private: one process draws all of the noise; start it without torchrun")

    def start_from(self, folder: ModelFolder) -> None:
        raise ConfigError("train.private: the weights to start from may tell of the same rows; leave start_from out")

    def teach(self, together: Tensor, temperature: float, mix: float) -> None:
        raise ConfigError("train.private: what teachers say may tell of the same rows; train without them")

    def state(self) -> tuple[dict[str, Tensor], Json]:
        tensors, plain = super().state()
        return tensors, plain | {"taken": self.taken}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        super().load_state(tensors, plain)
        self.taken = plain["taken"]

    def finish(self, val_loss: float, work: Path, progress: Progress) -> Finish:
        """What the objective fits on the validation split, and the bound that the steps planned have."""
        assert self.taken <= self.noise.steps, "more steps were taken than the noise is for"
        found = super().finish(val_loss, work, progress)
        bound = {
            "epsilon": private.epsilon_of(self.noise, self.wanted.delta),
            "delta": self.wanted.delta,
            "noise_multiplier": self.noise.multiplier,
            "clip": self.noise.clip,
        }
        return Finish(found.files, found.metrics | bound, found.warnings)


def planned(budget: tuple[str, float], count: int, batch_size: int) -> int:
    """The steps that a budget in steps or in epochs comes to, by the training loop's own sum."""
    kind, amount = budget
    if kind == "steps":
        return int(amount)
    steps = max(1, math.floor(amount * count / batch_size) - 1)
    while steps * batch_size / count / amount < 1:
        steps += 1
    return steps
