"""Muon, an optimizer for weight matrices: momentum whose every step is made orthogonal.

After Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024), with the step's size of Liu et
al., "Muon is Scalable for LLM Training" (arXiv 2502.16982, section 2.2), so that one learning rate serves it and AdamW.
torch.optim.Muon (2.13) is not used because it takes a matrix as one, and the gates of an LSTM are four that lie in one;
and it computes in bfloat16 on processors that have no such arithmetic.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# Of a x + b x^3 + c x^5, the odd polynomial that brings singular values close to 1 as fast as possible (Jordan et al.).
POLYNOMIAL = (3.4445, -4.7750, 2.0315)
ITERATIONS = 3
ADAM_RMS = 0.2  # root mean square of a step of AdamW, as a share of the learning rate (Liu et al.)


class Muon(torch.optim.Optimizer):
    """For matrices (blocks * n, m), each block of n rows a matrix of its own, all in the order of the gates.

    Groups of them may have `blocks` and `scale` of their own.
    `lr` and `weight_decay` (decoupled: lr * weight_decay of a weight is taken off a step) mean what they do for AdamW.
    Steps are `scale` times as long as `lr` says, the decay is not. Steps are made orthogonal in `number_type`; the rest
    is done in the weights' own type.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        blocks: int = 1,
        scale: float = 1.0,
        number_type: torch.dtype = torch.float32,
    ):
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "blocks": blocks, "scale": scale}
        super().__init__(matrices, defaults)
        self.number_type = number_type

    @property
    def flops_per_step(self) -> int:
        """Of the matrix products that make a step orthogonal."""
        total = 0
        for group in self.param_groups:
            for weight in group["params"]:
                short, long = sorted((weight.shape[0] // group["blocks"], weight.shape[1]))
                total += group["blocks"] * ITERATIONS * (4 * short**2 * long + 2 * short**3)
        return total

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]  # it is called without
        """One update from the gradients (`closure` is not used)."""
        found: dict[tuple[int, int], list[tuple[Tensor, dict[str, Any], Tensor]]] = {}
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["momentum"] = torch.zeros_like(weight)
            gradients = [weight.grad for weight in weights]
            means = [self.state[weight]["momentum"] for weight in weights]
            torch._foreach_lerp_(means, gradients, 1 - group["momentum"])
            ahead = torch._foreach_lerp(gradients, means, group["momentum"])  # Nesterov's momentum
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            for weight, direction in zip(weights, ahead, strict=True):
                blocks = direction.view(group["blocks"], -1, weight.shape[1])  # (4H, m) -> (4, H, m)
                short, long = sorted(blocks.shape[1:])
                found.setdefault((short, long), []).append((weight, group, blocks))
        for (_, long), parts in found.items():
            # Matrices of one shape, lying down, are made orthogonal together: products of small ones cost their calls.
            lying = [blocks if blocks.shape[2] == long else blocks.mT for _, _, blocks in parts]
            together = orthogonalized(torch.cat(lying).to(self.number_type)).to(parts[0][0].dtype)
            directions = together.split([len(blocks) for blocks in lying])
            for (weight, group, blocks), direction in zip(parts, directions, strict=True):
                size = group["scale"] * group["lr"] * ADAM_RMS * long**0.5
                step = direction if blocks.shape[2] == long else direction.mT
                weight.add_(step.reshape(weight.shape), alpha=-size)


def orthogonalized(matrices: Tensor) -> Tensor:
    """(K, n, m) -> (K, n, m): about U V' of each matrix U S V', by Newton and Schulz's iteration.

    Singular values above a twentieth of the matrix's (Frobenius) norm end between 0.6 and 1.25, smaller ones grow by
    up to 40 times: three iterations, where five are usual, cost less and train these networks as well.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices  # the products are those of the shorter side
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = POLYNOMIAL
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x
