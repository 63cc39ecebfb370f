"""The objective of predictors of numbers: a number best by its loss, and two spreads that make its interval."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.predicting import number_metrics, numbers
from llmkit.predicting.intervals import Scores
from llmkit.predicting.numbers import Numbering, Scale
from llmkit.store.model_folder import ModelFile
from llmkit.training.learner import Finish

LOW, HIGH = 0.05, 0.95  # the quantiles that the spreads are learnt as; validation stretches them to any coverage


@dataclass(frozen=True)
class Target:
    """What is learnt: the numbers (N,) of all examples, their scale, the loss, and how much each example counts."""

    column: str
    numbers: np.ndarray
    scale: Scale
    loss: str = "squared"
    quantile: float = 0.5
    weights: np.ndarray | None = None
    """(N,), above 0; the mean over a batch is that of the weighted losses."""


class Numbers:
    """Numbers with an interval (an `Objective`). Outputs: z and two raw spreads, see `numbers.py`.

    The spreads' losses do not reach what makes z but through the layers they share: z has gradients of its own loss
    alone.
    """

    output_count = numbers.OUTPUTS

    def __init__(self, target: Target, device: torch.device):
        self.target = target
        self.z = torch.from_numpy(target.scale.to_z(target.numbers).astype(np.float32)).to(device)
        weights = target.weights
        self.weights = None if weights is None else torch.from_numpy(weights.astype(np.float32)).to(device)
        self.teacher: Tensor | None = None  # its outputs (N, 3)

    def loss(self, outputs: Tensor, mine: np.ndarray, batch: np.ndarray, parts: int, teacher_share: float) -> Tensor:
        """The mean loss of z plus that of the spreads' quantiles (`Objective`). A teacher's is the squared distance."""
        which = torch.from_numpy(mine).to(self.z.device)
        truths = self.z[which]
        found = outputs if outputs.ndim == 3 else outputs[:, None]  # (B, K, 3)
        each = self._data_loss(found, truths[:, None]).mean(dim=1)  # (B,)
        if self.teacher is not None:
            distance = (found - self.teacher[which][:, None]).square().mean(dim=(1, 2))
            each = (1 - teacher_share) * each + teacher_share * distance
        if self.weights is None:
            return each.sum() * parts / len(batch)
        total = self.weights[torch.from_numpy(batch).to(self.z.device)].sum()
        return (each * self.weights[which]).sum() * parts / total

    def _data_loss(self, found: Tensor, truths: Tensor) -> Tensor:
        """(B, K) of outputs (B, K, 3) and z (B, 1)."""
        z, target = found[..., 0], self.target
        if target.loss == "squared":
            point = (truths - z).square()
        elif target.loss == "absolute":
            point = (truths - z).abs()
        else:
            point = _pinball(truths - z, target.quantile)
        below, above = F.softplus(found[..., 1]), F.softplus(found[..., 2])
        fixed = z.detach()
        return point + _pinball(truths - (fixed - below), LOW) + _pinball(truths - (fixed + above), HIGH)

    def validate(self, outputs: np.ndarray, examples: np.ndarray) -> dict[str, float]:
        """`val_loss` on the scale of training, and `val_rmse` in the unit of the numbers."""
        target = self.target
        truths, z = target.numbers[examples], outputs[:, 0].astype(np.float64)
        if not np.isfinite(outputs).all():
            return {"val_loss": float("nan"), "val_rmse": float("nan")}
        rmse = number_metrics.of_predictions(truths, target.scale.from_z(z))["rmse"]
        return {
            "val_loss": numbers.loss(z, target.scale.to_z(truths), target.loss, target.quantile),
            "val_rmse": rmse,
        }

    def finish(self, outputs: np.ndarray, examples: np.ndarray) -> Finish:
        """numbers.json: the scale, and the scores of the intervals on the validation split."""
        target = self.target
        truths = target.numbers[examples]
        about = Numbering(target.column, target.loss, target.quantile, target.scale, Scores([], 0))
        about = numbers.fit(about, outputs, truths)
        found = self.validate(outputs, examples)
        found["val_rmse"] = number_metrics.of_predictions(truths, about.predictions(outputs))["rmse"]
        return Finish({numbers.NUMBERS: ModelFile(about.to_bytes())}, found)

    def together(self, outputs: list[Tensor], temperature: float) -> Tensor:
        """Mean outputs (B, 3) of the teachers; numbers have no temperature."""
        return torch.stack(outputs).mean(dim=0)

    def teach(self, together: Tensor, temperature: float) -> None:
        """Learn from outputs (N, 3) too (`Objective`)."""
        self.teacher = together.to(self.z.device)


def _pinball(off: Tensor, quantile: float) -> Tensor:
    return torch.maximum(quantile * off, (quantile - 1) * off)
