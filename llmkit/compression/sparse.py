"""Weights of least importance become zero, a few more with each step, while the rest learns to do without them.

Which: the layer-adaptive magnitude of Lee et al., "Layer-adaptive sparsity for the magnitude-based pruning"
(arXiv 2010.07611), which compares weights of matrices of any scale. When: along the cubic schedule of Zhu & Gupta,
"To prune, or not to prune" (arXiv 1710.01878, section 3). Knows no task: whatever has two dimensions or more is pruned.
"""

import torch
from torch import Tensor

from llmkit.plain import Json
from llmkit.training.learner import Learner, Wrapping

RAMP = 0.5  # of the budget, over which the sparsity rises; the rest is for the weights that stay
UPDATE_STEPS = 20  # between two choices of what is zero, while the sparsity rises


def matrices(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights that are pruned: those of two dimensions or more."""
    return {name: weight for name, weight in weights.items() if weight.dim() > 1 and weight.is_floating_point()}


def masks(weights: dict[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """What stays (true) of matrices when round(sparsity * all weights) of them become zero."""
    scores = torch.cat([_scores(weight).flatten() for weight in weights.values()])
    goes = torch.argsort(scores, stable=True)[: round(sparsity * len(scores))]
    stays = torch.ones_like(scores, dtype=torch.bool)
    stays[goes] = False
    parts = stays.split([weight.numel() for weight in weights.values()])
    return {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)}


def _scores(weight: Tensor) -> Tensor:
    """w² over the sum of the squares of all weights of its matrix that are as large or larger (equation 1)."""
    squares = weight.detach().double().flatten().square()
    ordered, places = torch.sort(squares, stable=True)
    larger = ordered.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(ordered)
    scores[places] = ordered / larger.clamp_min(torch.finfo(torch.float64).tiny)
    return scores.view_as(weight)


@torch.no_grad()
def prune(weights: dict[str, Tensor], sparsity: float) -> dict[str, Tensor]:
    """Set weights to zero where they stand; returns the masks. What is zero already stays so."""
    chosen = matrices(weights)
    found = masks(chosen, sparsity)
    for name, weight in chosen.items():
        weight.mul_(found[name])
    return found


def scheduled(sparsity: float, spent: float) -> float:
    """The sparsity when the share `spent` of the budget is spent."""
    return sparsity * (1 - (1 - min(spent / RAMP, 1.0)) ** 3)


class Pruned(Wrapping):
    """A learner whose matrices become sparse as it learns: what `learner` does, and zeros after each step.

    A validation tells what the weights are worth with the whole sparsity, so that those of an early, fuller network
    are not taken for the best ones: `zero` gives such weights their zeros.
    """

    def __init__(self, learner: Learner, sparsity: float):
        super().__init__(learner)
        self.sparsity = sparsity
        self.steps = 0
        self.stays: dict[str, Tensor] = {}
        self.chosen_for = 0.0  # the sparsity of the masks

    def step(self, rate: float, spent: float) -> Tensor | None:
        """What is zero is chosen anew now and then, by the share of the budget that is spent; then one update."""
        self._choose(spent)
        loss = self.learner.step(rate, spent)
        self._set_zeros()
        self.steps += 1
        return loss

    def _choose(self, spent: float) -> None:
        wanted = scheduled(self.sparsity, spent)
        ended = wanted == self.sparsity and self.chosen_for < wanted
        if self.chosen_for < wanted and (ended or self.steps % UPDATE_STEPS == 1):
            self.stays, self.chosen_for = masks(matrices(self.learner.weights()), wanted), wanted
            self._set_zeros()

    @torch.no_grad()
    def _set_zeros(self) -> None:
        """In the model's weights and, where those are averages, in the ones that the steps change."""
        for weights in (self.learner.weights(), self.learner.trained_weights()):
            for name, weight in matrices(weights).items():
                if name in self.stays:
                    weight.mul_(self.stays[name])

    @torch.no_grad()
    def validate(self, share: float = 1.0) -> dict[str, float]:
        """The metrics with the whole sparsity."""
        if self.chosen_for == self.sparsity:
            return self.learner.validate(share)
        now = matrices(self.learner.weights())
        kept = {name: weight.clone() for name, weight in now.items()}
        prune(now, self.sparsity)
        metrics = self.learner.validate(share)
        for name, weight in now.items():
            weight.copy_(kept[name])
        return metrics

    def zero(self) -> dict[str, int]:
        """Give the weights their zeros for good; returns how many of the matrices' numbers are zero."""
        stays = prune(self.learner.weights(), self.sparsity)
        total = sum(mask.numel() for mask in stays.values())
        return {"zeros": total - sum(int(mask.sum()) for mask in stays.values()), "prunable": total}

    def state(self) -> tuple[dict[str, Tensor], Json]:
        """The learner's state, and the masks."""
        tensors, plain = self.learner.state()
        own = {f"stays.{name}": mask for name, mask in self.stays.items()}
        counts = {"steps": self.steps, "chosen_for": self.chosen_for}
        return tensors | own, {"learner": plain, "pruned": counts}

    def load_state(self, tensors: dict[str, Tensor], plain: Json) -> None:
        """Go on from what `state` returned."""
        own = {name: tensor for name, tensor in tensors.items() if name.startswith("stays.")}
        self.learner.load_state({name: t for name, t in tensors.items() if name not in own}, plain["learner"])
        self.stays = {name.removeprefix("stays."): tensor.to(self.hardware.device) for name, tensor in own.items()}
        counts = plain["pruned"]
        self.steps, self.chosen_for = counts["steps"], counts["chosen_for"]
