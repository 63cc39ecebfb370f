"""The objective of forecasts: quantiles of what comes, by the pinball loss (an `Objective` of `predicting`)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.predicting.forecast_metrics import LEVELS, MEDIAN
from llmkit.store.model_folder import ModelFile
from llmkit.tasks.series import forecasting, windows
from llmkit.tasks.series.examples import Examples
from llmkit.tasks.series.forecasting import Forecasting
from llmkit.training.learner import Finish


class Quantiles:
    """Outputs are those of `windows.quantiles`, H·Q of an example.

    The loss of an example is that of its errors in units halfway between its window's spread and its series' scale: of
    the first alone, calm stretches would count most, of the second alone, wild series.
    """

    def __init__(self, examples: Examples, about: Forecasting, device: torch.device):
        self.examples, self.about, self.device = examples, about, device
        self.output_count = about.horizon * len(LEVELS)
        self.levels = torch.tensor(LEVELS, dtype=torch.float32, device=device)
        self.teacher: Callable[[np.ndarray], Tensor] | None = None  # outputs (B, C) for examples

    def loss(self, outputs: Tensor, mine: np.ndarray, batch: np.ndarray, parts: int, teacher_share: float) -> Tensor:
        """The mean pinball loss of all quantiles (`Objective`). A teacher's is the mean distance to its quantiles."""
        found = outputs if outputs.ndim == 3 else outputs[:, None]
        before = self.examples.windows(mine)
        truth = before.scaled(self.examples.truth(mine))
        units = 2 * before.spread / (before.spread + self.examples.scales[self.examples.series[mine]])
        weights = self._tensor(units[:, None] * np.isfinite(truth))[:, None, :, None]  # (B, 1, H, 1)
        given = of_outputs(found, self._tensor(before.base)[:, None])  # (B, K, H, Q)
        wanted = self._tensor(np.clip(np.nan_to_num(truth), -1e6, 1e6))[:, None, :, None]
        each = torch.maximum(self.levels * (wanted - given), (self.levels - 1) * (wanted - given)) * weights
        loss = 2 * each.mean()
        if self.teacher is not None and teacher_share:
            theirs = of_outputs(self.teacher(mine)[:, None], self._tensor(before.base)[:, None])
            distance = ((given - theirs).abs() * weights).mean()
            loss = (1 - teacher_share) * loss + teacher_share * distance
        return loss * len(mine) * parts / len(batch)

    def validate(self, outputs: np.ndarray, examples: np.ndarray) -> dict[str, float]:
        """val_loss, that of `forecasting.loss`, and the mean absolute scaled error."""
        found = self._quantiles(outputs, examples, None)
        truth, scales = self.examples.truth(examples), self.examples.scales[self.examples.series[examples]]
        mase = float(np.nanmean(np.abs(truth - found[..., MEDIAN]) / scales[:, None]))
        return {"val_loss": forecasting.loss(found, truth, scales), "val_mase": mase}

    def finish(self, outputs: np.ndarray, examples: np.ndarray) -> Finish:
        """series.json: how the quantiles are stretched, so that they hold as many of the validation values as they
        say."""
        about = self.about.fitted(outputs, self.examples.windows(examples), self.examples.truth(examples), examples)
        found = self._quantiles(outputs, examples, about)
        truth, scales = self.examples.truth(examples), self.examples.scales[self.examples.series[examples]]
        metrics = self.validate(outputs, examples) | {"val_loss": forecasting.loss(found, truth, scales)}
        return Finish({forecasting.FILE: ModelFile(about.to_bytes())}, metrics)

    def _quantiles(self, outputs: np.ndarray, examples: np.ndarray, about: Forecasting | None) -> np.ndarray:
        return (about or self.about).quantiles(outputs, self.examples.windows(examples))

    def together(self, outputs: list[Tensor], temperature: float) -> Tensor:
        """Mean outputs (B, C) of the teachers; quantiles have no temperature."""
        return torch.stack(outputs).mean(dim=0)

    def teach(self, together: Tensor, temperature: float) -> None:
        """Learn from outputs (N, C) of all origins, which may be gigabytes: `compress.taught` sets `teacher` itself."""
        self.teacher = lambda examples: together[torch.from_numpy(examples).to(together.device)]

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array, np.float32)).to(self.device)


def of_outputs(outputs: Tensor, base: Tensor) -> Tensor:
    """`windows.quantiles` of outputs (…, H·Q) beside base (…, H), for torch: (…, H, Q)."""
    raw = outputs.unflatten(-1, (-1, len(LEVELS)))
    steps = F.softplus(raw, threshold=windows.STEEPEST)
    above = steps[..., MEDIAN + 1 :].cumsum(dim=-1)
    below = steps[..., :MEDIAN].flip(-1).cumsum(dim=-1).flip(-1)
    distances = torch.cat([-below, torch.zeros_like(above[..., :1]), above], dim=-1)
    return (base + raw[..., MEDIAN])[..., None] + distances
