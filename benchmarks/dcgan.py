"""The plain DCGAN for small pictures, as its paper and many tutorials have it: benchmarks/image.py compares with it.

Radford et al., arXiv 1511.06434: 100 latent numbers, projected to a quarter of the edge; two transposed convolutions of
5×5 up, two strided ones of 5×5 down; batch normalization in both networks (not where pictures enter or leave), ReLU and
leaky ReLU, weights from a normal distribution of deviation 0.02, Adam with 2e-4 and beta1 0.5, binary cross-entropy.
Labels are not used. What it gives is what the generator itself gives at the end: nothing is averaged or chosen.
"""

import time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

LATENT, RATE, BETAS, BATCH = 100, 2e-4, (0.5, 0.999), 64


def networks(edge: int, colours: int, filters: int) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator) with `filters` channels at half the edge and twice as many at a quarter."""
    quarter = edge // 4
    generator = nn.Sequential(
        nn.Linear(LATENT, 2 * filters * quarter**2, bias=False),
        nn.Unflatten(1, (2 * filters, quarter, quarter)),
        nn.BatchNorm2d(2 * filters),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * filters, filters, 5, 2, 2, 1, bias=False),
        nn.BatchNorm2d(filters),
        nn.ReLU(),
        nn.ConvTranspose2d(filters, colours, 5, 2, 2, 1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(colours, filters, 5, 2, 2),
        nn.LeakyReLU(0.2),
        nn.Conv2d(filters, 2 * filters, 5, 2, 2, bias=False),
        nn.BatchNorm2d(2 * filters),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(2 * filters * quarter**2, 1),
    )
    for module in [*generator, *discriminator]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return generator, discriminator


def train(pictures: Tensor, seconds: float, filters: int, seed: int) -> tuple[nn.Module, int]:
    """(generator, steps) after so many seconds on pictures (N, C, H, H) from -1 to 1."""
    torch.manual_seed(seed)
    generator, discriminator = networks(pictures.shape[2], pictures.shape[1], filters)
    optimizers = [torch.optim.Adam(network.parameters(), RATE, BETAS) for network in (generator, discriminator)]
    start, steps = time.monotonic(), 0
    while True:
        for batch in torch.randperm(len(pictures)).split(BATCH):
            if time.monotonic() - start > seconds:
                return generator, steps
            real, made = pictures[batch], generator(torch.randn(len(batch), LATENT))
            ones, zeros = torch.ones(len(batch), 1), torch.zeros(len(batch), 1)
            loss = F.binary_cross_entropy_with_logits(discriminator(real), ones)
            loss = loss + F.binary_cross_entropy_with_logits(discriminator(made.detach()), zeros)
            optimizers[1].zero_grad()
            loss.backward()
            optimizers[1].step()
            loss = F.binary_cross_entropy_with_logits(discriminator(made), ones)
            optimizers[0].zero_grad()
            loss.backward()
            optimizers[0].step()
            steps += 1


@torch.no_grad()
def make(generator: nn.Module, count: int, seed: int) -> np.ndarray:
    """Pictures (count, H, H, C) uint8, batch normalization as in use."""
    latents = torch.randn(count, LATENT, generator=torch.Generator().manual_seed(seed))
    generator.eval()
    pictures = torch.cat([generator(part) for part in latents.split(500)])
    generator.train()
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous().numpy()
