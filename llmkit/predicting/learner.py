"""What the training loop drives for a classifier: shuffled batches, one update, averaged weights, calibration.

In: a network, arrays of examples and the settings. The network takes the tensors that `inputs(examples)` gives and
returns logits (B, C), or (B, K, C) while it trains as K members that each have a loss of their own. Out: the averaged
weights, which are what is validated and kept, and `labels.json` with the labels' names and the temperature.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.console.callbacks import Progress
from llmkit.errors import ConfigError
from llmkit.predicting import metrics as figures
from llmkit.predicting.settings import Classifying
from llmkit.predicting.use import LABELS, write_labels
from llmkit.store.model_folder import ModelFolder
from llmkit.training import distillation, distributed, optimizer_state
from llmkit.training.distributed import ALONE, Processes

VALIDATION_BATCH = 1024
POOL_BATCHES = 32  # sorted by length together: enough that batches have little padding, and still random

Inputs = Callable[[np.ndarray], Sequence[Tensor]]


class Batches:
    """Batches of example numbers in random order, pass after pass; each pass shuffles anew, by seed and number.

    With `lengths` (N,) examples of about the same length come together.
    """

    def __init__(self, examples: np.ndarray, batch_size: int, seed: int, lengths: np.ndarray | None = None):
        self.examples, self.batch_size, self.seed, self.lengths = examples, batch_size, seed, lengths
        self.passed, self.position = 0, 0  # passes, batches of the present one
        self._order: list[np.ndarray] = []

    def next(self) -> np.ndarray:
        """Numbers of the next examples (B,); the last batch of a pass may be smaller."""
        if self._order and self.position == len(self._order):
            self.passed, self.position, self._order = self.passed + 1, 0, []
        self._order = self._order or self._shuffled()
        self.position += 1
        return self._order[self.position - 1]

    def state(self) -> dict[str, int]:
        """Where the reading is."""
        return {"passed": self.passed, "position": self.position}

    def load_state(self, state: dict[str, int]) -> None:
        """Go on from what `state` gave."""
        self.passed, self.position = state["passed"], state["position"]
        self._order = self._shuffled() if self.position else []

    def _shuffled(self) -> list[np.ndarray]:
        generator = np.random.default_rng([self.seed, self.passed])
        order = generator.permutation(self.examples)
        if self.lengths is not None:
            pools = [
                order[s : s + POOL_BATCHES * self.batch_size]
                for s in range(0, len(order), POOL_BATCHES * self.batch_size)
            ]
            order = np.concatenate([pool[np.argsort(self.lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        if self.lengths is not None:
            batches = [batches[number] for number in generator.permutation(len(batches))]
        return batches


class ClassifierLearner:
    """A `training.loop.Learner` for any network that turns examples into logits."""

    unit = "examples"

    def __init__(
        self,
        network: nn.Module,
        inputs: Inputs,
        labels: np.ndarray,
        names: list[str],
        train: np.ndarray,
        val: np.ndarray,
        settings: Classifying,
        seed: int,
        device: torch.device,
        number_type: torch.dtype,
        export: Callable[[nn.Module], tuple[Any, dict[str, np.ndarray]]],
        files: dict[str, Path],
        start_from: Callable[[nn.Module, ModelFolder], None],
        lengths: np.ndarray | None = None,
        fit: Callable[[nn.Module], None] | None = None,
    ):
        """`labels` (N,) of all examples, `names` of the C labels; `train` and `val` are the numbers of examples.

        `export(network)` gives graph and weights, `files` go into the model folder with them, and
        `start_from(network, folder)` puts the weights of a trained model into the network. `fit(network)` fills buffers
        of the network that no step changes; a run that goes on finds them in its checkpoint and does without it.
        """
        self.network, self.inputs, self.names, self.val = network.to(device), inputs, names, val
        self.settings, self.device, self.number_type = settings, device, number_type
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self.batches = Batches(train, min(settings.batch_size, len(train)), seed, lengths)
        decayed = [weight for weight in network.parameters() if weight.ndim > 1]
        others = [weight for weight in network.parameters() if weight.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]], settings.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.averaged = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
        self.class_weights: Tensor | None = None
        if settings.class_weights == "balanced":
            counts = np.bincount(labels[train], minlength=len(names))
            weights = len(train) / (len(names) * np.maximum(counts, 1))
            self.class_weights = torch.from_numpy(weights).float().to(device)
        self.taught: tuple[Tensor, float, float] | None = None
        self._export, self._files, self._start_from, self._fit = export, files, start_from, fit
        self.processes: Processes = ALONE
        self.forward: nn.Module = self.network
        self.updates = 0
        self.count = 0
        self.step_count = self.batches.batch_size
        self.validation_count = len(val)

    @property
    def epochs(self) -> float:
        return self.count / len(self.batches.examples)

    def distribute(self, processes: Processes) -> None:
        """Train on this process's part of each batch (`Learner`)."""
        smallest = len(self.batches.examples) % self.step_count or self.step_count
        if self.step_count % processes.count or smallest % processes.count:
            raise ConfigError(
                f"{len(self.batches.examples)} examples in batches of {self.step_count} do not fall into equal parts "
                f"for {processes.count} processes; set another train.batch_size, or start one process"
            )
        self.processes = processes
        self.network.train()
        self.forward = distributed.averaging(self.network, *self.inputs(self.batches.examples[:1]))

    def teach(self, answers: Tensor, temperature: float, mix: float) -> None:
        """Learn from a teacher too: of the loss, `mix` at most is the distance to its `answers`.

        These are probabilities (N, C) at `temperature`, for all examples by their number.
        """
        self.taught = answers.to(self.device), temperature, mix

    def step(self, learning_rate: float) -> Tensor:
        """One update on the next batch; returns its mean loss in nats per example."""
        self._fit_once()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.network.train()
        batch = self.batches.next()
        mine = batch[self.processes.part(len(batch))]
        with self._number_type():
            logits = self.forward(*self.inputs(mine)).float()  # (B, C) or (B, K, C)
        mix = distillation.share(self.taught[2], learning_rate, self.settings.learning_rate) if self.taught else 0.0
        loss = self._loss(logits, mine, batch, mix)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        self.optimizer.step()
        self._average()
        self.count += len(batch)
        return loss.detach()

    def _loss(self, logits: Tensor, mine: np.ndarray, batch: np.ndarray, mix: float) -> Tensor:
        """Of this process's part `mine` of a batch, such that the mean of all processes' is that of the batch.

        `mix` is the teacher's share of it.
        """
        which = torch.from_numpy(mine).to(self.device)
        members = logits.shape[1] if logits.ndim == 3 else 1
        labels, logits = self.labels[which].repeat_interleave(members), logits.flatten(0, -2)  # (B · K, C)
        weight = float(len(batch))
        if self.class_weights is not None:
            weight = self.class_weights[self.labels[torch.from_numpy(batch).to(self.device)]].sum().item()
        share = members * weight / self.processes.count
        smoothing = self.settings.label_smoothing
        loss = F.cross_entropy(logits, labels, self.class_weights, reduction="sum", label_smoothing=smoothing) / share
        if self.taught is None:
            return loss
        answers, temperature, _ = self.taught
        soft = answers[which].repeat_interleave(members, dim=0)
        return (1 - mix) * loss + mix * distillation.loss(logits, labels, soft, temperature, 1.0)

    def _fit_once(self) -> None:
        if self._fit:
            self._fit(self.network)
            for buffer in self.network.buffers():
                buffer.copy_(self.processes.gather(buffer)[0])  # the same bits in all processes
            self.averaged |= {name: buffer.detach().clone() for name, buffer in self.network.named_buffers()}
            self._fit = None

    def _average(self) -> None:
        """Move the running average towards the weights; its decay grows with the steps, so the start is forgotten."""
        self.updates += 1
        decay = min(self.settings.average, self.updates / (self.updates + 9.0))
        present = self.network.state_dict()
        for name, tensor in self.averaged.items():
            if tensor.is_floating_point():
                tensor.lerp_(present[name], 1 - decay)
            else:
                tensor.copy_(present[name])

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """`val_loss` (nats per example) and `val_accuracy` of the averaged weights on the validation split.

        The loss is that of calibrated probabilities, which is what the model will give: weights that tell the labels
        apart better are not worse for being too sure of them.
        """
        self._fit_once()
        examples = self.val[: max(1, round(share * len(self.val)))]
        logits, labels = self._logits(examples), self.labels.cpu().numpy()[examples]
        loss = float("nan")
        if np.isfinite(logits).all():
            loss = figures.log_loss(figures.softmax(logits, figures.fit_temperature(logits, labels)), labels)
        return {"val_loss": loss, "val_accuracy": float((logits.argmax(axis=1) == labels).mean())}

    @torch.no_grad()
    def _logits(self, examples: np.ndarray) -> np.ndarray:
        """Logits (N, C) of examples by the averaged weights."""
        trained = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        self.network.load_state_dict(self.averaged)
        self.network.eval()
        parts = []
        with self._number_type():
            for start in range(0, len(examples), VALIDATION_BATCH):
                found = self.network(*self.inputs(examples[start : start + VALIDATION_BATCH]))
                parts.append(found.float().cpu().numpy())
        self.network.load_state_dict(trained)
        return np.concatenate(parts)

    def _number_type(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.number_type, enabled=self.number_type != torch.float32)

    def weights(self) -> dict[str, Tensor]:
        return self.averaged

    def trained_weights(self) -> dict[str, Tensor]:
        """Those that the steps change, by the names of `weights`, which are their averages."""
        return self.network.state_dict()

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        self.network.load_state_dict(weights)
        self._fit = None
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        tensors |= optimizer_state.to_tensors(self.optimizer, "optimizer")
        return tensors, {"batches": self.batches.state(), "count": self.count, "updates": self.updates}

    def load_state(self, tensors: dict[str, Tensor], plain: dict[str, Any]) -> None:
        part = "network."
        self.network.load_state_dict({n.removeprefix(part): t for n, t in tensors.items() if n.startswith(part)})
        optimizer_state.from_tensors(self.optimizer, "optimizer", tensors)
        self.batches.load_state(plain["batches"])
        self.count, self.updates = plain["count"], plain["updates"]

    def start_from(self, folder: ModelFolder) -> None:
        """Take the weights of a trained model. Raises InputError when it does not fit."""
        self._start_from(self.network, folder)
        self.averaged = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}

    def export(self) -> tuple[Any, dict[str, np.ndarray], dict[str, Path]]:
        """What a model folder holds: graph, weights by name and the task's own files."""
        self.network.load_state_dict(self.averaged)
        self.network.eval()
        return *self._export(self.network), self._files

    def finish(
        self, val_loss: float, folder: Path, progress: Progress
    ) -> tuple[dict[str, Path], dict[str, Any], list[str]]:
        """Fit the temperature on the validation split and write labels.json; `val_loss` is then of what it gives."""
        logits, labels = self._logits(self.val), self.labels.cpu().numpy()[self.val]
        temperature = figures.fit_temperature(logits, labels)
        write_labels(folder, self.names, temperature)
        probabilities = figures.softmax(logits, temperature)
        found = {
            "val_loss": figures.log_loss(probabilities, labels),
            "val_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
            "temperature": temperature,
        }
        return {LABELS: folder / LABELS}, found, []
