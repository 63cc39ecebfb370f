"""What a predictor learns to tell, and how well it does: the loss, the validation, what is fitted at the end.

A network turns examples into outputs (N, C); an objective knows what they should have been. `Labels` is the first one:
the outputs are logits of C labels. What else is predicted (a number, quantiles) brings an objective of its own, and
nothing of the learner changes.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.predicting import metrics
from llmkit.predicting.labels import LABELS, Labelling
from llmkit.predicting.settings import Classifying
from llmkit.store.model_folder import ModelFile
from llmkit.training import distillation
from llmkit.training.learner import Finish


class Objective(Protocol):
    """What the learner of examples asks for. Examples go by their numbers."""

    output_count: int
    """C, the numbers that the network makes of an example."""

    def loss(self, outputs: Tensor, mine: np.ndarray, batch: np.ndarray, parts: int, teacher_share: float) -> Tensor:
        """Of outputs (B, C), or (B, K, C) of K members that each have a loss, for the examples `mine` (B,).

        These are one of `parts` equal parts of a batch: the mean of all parts' losses is that of the batch. A share
        `teacher_share` of the loss is the distance to the teacher, where there is one.
        """

    def validate(self, outputs: np.ndarray, examples: np.ndarray) -> dict[str, float]:
        """`val_loss` and other metrics of outputs (N, C)."""

    def finish(self, outputs: np.ndarray, examples: np.ndarray) -> Finish:
        """What is fitted to the outputs (N, C) on the validation split, and the metrics of what it gives."""

    def together(self, outputs: list[Tensor], temperature: float) -> Tensor:
        """What teachers with outputs (B, C) each say together, (B, C)."""

    def teach(self, together: Tensor, temperature: float) -> None:
        """Learn from teachers too: (N, C) of all examples, as `together` returned them."""


class Labels:
    """Labels by their probabilities: cross-entropy, calibrated by a temperature (an `Objective`)."""

    def __init__(
        self, labels: np.ndarray, names: list[str], train: np.ndarray, settings: Classifying, device: torch.device
    ):
        """`labels` (N,) are the label numbers of all examples, `names` those of the C labels, `train` the examples
        that the classes are weighed by."""
        self.names, self.output_count, self.settings = names, len(names), settings
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self.class_weights: Tensor | None = None
        if settings.class_weights == "balanced":
            counts = np.bincount(labels[train], minlength=len(names))
            weights = len(train) / (len(names) * np.maximum(counts, 1))
            self.class_weights = torch.from_numpy(weights).float().to(device)
        self.teacher: tuple[Tensor, float] | None = None  # its probabilities (N, C), at a temperature

    def loss(self, outputs: Tensor, mine: np.ndarray, batch: np.ndarray, parts: int, teacher_share: float) -> Tensor:
        """Mean cross-entropy in nats per example, labels smoothed and weighed as the settings say (`Objective`).

        The distance to a teacher is the Kullback-Leibler divergence, all labels weighing alike.
        """
        which = torch.from_numpy(mine).to(self.labels.device)
        members = outputs.shape[1] if outputs.ndim == 3 else 1
        labels, logits = self.labels[which].repeat_interleave(members), outputs.flatten(0, -2)  # (B · K, C)
        weight = float(len(batch))
        if self.class_weights is not None:
            weight = self.class_weights[self.labels[torch.from_numpy(batch).to(self.labels.device)]].sum().item()
        share = members * weight / parts
        smoothing = self.settings.label_smoothing
        loss = F.cross_entropy(logits, labels, self.class_weights, reduction="sum", label_smoothing=smoothing) / share
        if self.teacher is None:
            return loss
        probabilities, temperature = self.teacher
        soft = probabilities[which].repeat_interleave(members, dim=0)
        return (1 - teacher_share) * loss + teacher_share * distillation.distance(logits, soft, temperature)

    def validate(self, outputs: np.ndarray, examples: np.ndarray) -> dict[str, float]:
        """`val_loss` (nats per example) and `val_accuracy`.

        The loss is that of probabilities calibrated on these very examples, for the model will be calibrated too:
        weights that tell the labels apart better are not worse for being too sure of them.
        """
        labels, loss = self._of(examples), float("nan")
        if np.isfinite(outputs).all():
            loss = metrics.log_loss(metrics.softmax(outputs, metrics.fit_temperature(outputs, labels)), labels)
        return {"val_loss": loss, "val_accuracy": float((outputs.argmax(axis=1) == labels).mean())}

    def finish(self, outputs: np.ndarray, examples: np.ndarray) -> Finish:
        """labels.json with the temperature of least loss on the validation split."""
        labels = self._of(examples)
        temperature = metrics.fit_temperature(outputs, labels)
        probabilities = metrics.softmax(outputs, temperature)
        found = {
            "val_loss": metrics.log_loss(probabilities, labels),
            "val_accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
            "temperature": temperature,
        }
        return Finish({LABELS: ModelFile(Labelling(self.names, temperature=temperature).to_bytes())}, found)

    def together(self, outputs: list[Tensor], temperature: float) -> Tensor:
        """Mean probabilities (B, C) of the teachers."""
        return distillation.probabilities(outputs, temperature)

    def teach(self, together: Tensor, temperature: float) -> None:
        """Learn from probabilities (N, C) at a temperature (`Objective`)."""
        self.teacher = together.to(self.labels.device), temperature

    def _of(self, examples: np.ndarray) -> np.ndarray:
        return self.labels.cpu().numpy()[examples]
