"""The output layer and its loss in one, for training: what is large, the logits, never lies in memory as a whole.

With 8,000 tokens in the vocabulary the logits of a window, their softmax and its gradient are 32 MB each, and moving
them to and fro costs more than the products. Here some rows at a time go all the way from activations to gradients
while they are in the cache (the idea of Wijmans et al., "Cut your losses in large-vocabulary language models",
arXiv 2411.09009, section 4, without its kernels).
"""

from typing import Any

import torch
from torch import Tensor

CHUNK = 1 << 20  # numbers in the logits that are worked on at a time: 4 MB of float32, which a CPU's cache holds
# On a GPU a few large kernels are what counts: so many numbers, or as many as take a share of its memory (the logits
# and their softmax, in float32).
LARGE_CHUNK, MEMORY_SHARE = 1 << 28, 1 / 16


class OutputLoss(torch.autograd.Function):
    """Mean cross-entropy (nats) of `targets` (N,) under softmax(x @ weight.T + bias), with all gradients at once.

    x (N, E) in the type that the products are done in; weight (V, E) and bias (V,) float32, as are their gradients.
    `targets` may be probabilities (N, V) float32, too; of others, `smoothing` is the share that is spread over all V.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
        used = weight.to(x.dtype)
        total = x.new_zeros((), dtype=torch.float32)
        grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        rows = max(1, chunk(x.device) // len(weight))
        for start in range(0, len(x), rows):
            part, wanted = x[start : start + rows], targets[start : start + rows]  # (n, E), (n,) or (n, V)
            logits = (part @ used.T).float().add_(bias)  # (n, V)
            gradient = torch.log_softmax(logits, dim=1)
            if targets.ndim == 1:
                wanted = wanted[:, None]
                total -= (1 - smoothing) * gradient.gather(1, wanted).sum()
                if smoothing:
                    total -= smoothing / len(weight) * gradient.sum()
                gradient.exp_().scatter_add_(1, wanted, torch.full_like(wanted, smoothing - 1, dtype=torch.float32))
                if smoothing:
                    gradient.sub_(smoothing / len(weight))
            else:
                total -= (gradient * wanted).sum()
                gradient.exp_().sub_(wanted)
            gradient.div_(len(x))  # of the mean loss by the logits: (p - 1 where it is the target) / N
            grad_bias += gradient.sum(0)
            gradient = gradient.to(x.dtype)
            torch.mm(gradient, used, out=grad_x[start : start + rows])
            grad_weight += gradient.T @ part
        ctx.save_for_backward(grad_x, grad_weight, grad_bias)
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        [outer] = gradients
        grad_x, grad_weight, grad_bias = ctx.saved_tensors
        return grad_x * outer.to(grad_x.dtype), grad_weight * outer, grad_bias * outer, None, None


def chunk(device: torch.device) -> int:
    """Numbers in the logits that are worked on at a time."""
    if device.type != "cuda":
        return CHUNK
    memory = torch.cuda.get_device_properties(device).total_memory
    return min(LARGE_CHUNK, int(MEMORY_SHARE * memory) // 8)
