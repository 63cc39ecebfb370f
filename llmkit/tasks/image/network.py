"""The two networks of small pictures, after DCGAN (Radford et al., arXiv 1511.06434). Sizes in; they know no settings.

The generator projects to a quarter of the edge (7×7 for 28×28) and doubles it twice; the discriminator halves it twice
with strided convolutions and leaky ReLU. Other than there: no normalization in either (Huang et al., arXiv 2501.05441,
section 4); the generator repeats pixels before its convolutions, which makes no checkerboards (Odena et al. 2016); the
discriminator sees how much a batch varies (Karras et al., arXiv 1710.10196, section 3) and, with labels, judges a
picture as one of its label (projection: Miyato & Koyama, arXiv 1802.05637).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of leaky ReLU below 0
EMBEDDING = 32  # numbers that a label becomes in the generator
HIDDEN = 128  # of the discriminator's last layer but one
TINY = 1e-6


class Generator(nn.Module):
    """Latent numbers (B, Z) and label numbers (B,) -> pictures (B, C, H, H) from -1 to 1."""

    def __init__(self, edge: int, colours: int, labels: int, latent_size: int, width: int):
        """`labels`: how many there are; 0 makes a generator that knows none."""
        super().__init__()
        self.edge, self.colours, self.latent_size, self.width = edge, colours, latent_size, width
        self.embedding = nn.Parameter(torch.randn(labels, EMBEDDING)) if labels else None
        given = latent_size + (EMBEDDING if labels else 0)
        self.project = nn.Linear(given, 2 * width * (edge // 4) ** 2)
        self.first = nn.Conv2d(2 * width, width, 3, padding=1)
        self.second = nn.Conv2d(width, colours, 3, padding=1)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        z = latents * (latents.square().mean(dim=1, keepdim=True) + TINY).rsqrt()  # on a sphere
        if self.embedding is not None:
            z = torch.cat([z, F.embedding(labels, self.embedding)], dim=1)
        h = self.project(z).unflatten(1, (2 * self.width, self.edge // 4, self.edge // 4))
        h = doubled(F.leaky_relu(h, SLOPE), self.first)  # (B, W, H/2, H/2)
        return torch.tanh(doubled(F.leaky_relu(h, SLOPE), self.second))


def doubled(h: Tensor, convolution: nn.Conv2d) -> Tensor:
    """A 3×3 convolution of (B, C, H, W) with every pixel repeated, twice as high and wide."""
    return F.conv_transpose2d(h, expanded(convolution.weight), convolution.bias, stride=2, padding=1)


def expanded(weight: Tensor) -> Tensor:
    """Weights (in, out, 4, 4) of a transposed convolution that does what `doubled` does with those (out, in, 3, 3).

    Each is the sum of those that meet a pixel and its repetitions: so a pixel takes 4 products in place of 9.
    """
    weight = F.pad(weight.transpose(0, 1).flip(2, 3), (1, 1, 1, 1))
    return weight[..., 1:, 1:] + weight[..., :-1, 1:] + weight[..., 1:, :-1] + weight[..., :-1, :-1]


def contracted(weight: Tensor) -> Tensor:
    """The weights (out, in, 3, 3) that `expanded` gives (in, out, 4, 4) for."""
    for axis in (2, 3):
        first, second, _, last = weight.unbind(axis)
        weight = torch.stack([first, second - first, last], axis)
    return weight.flip(2, 3).transpose(0, 1)


class Discriminator(nn.Module):
    """S sets of pictures (S, B, C, H, H) with the label numbers (B,) of each -> how real they look, (S, B)."""

    def __init__(self, edge: int, colours: int, labels: int, width: int):
        super().__init__()
        self.first = nn.Conv2d(colours, width, 4, 2, 1)
        self.second = nn.Conv2d(width, 2 * width, 4, 2, 1)
        self.hidden = nn.Linear(2 * width * (edge // 4) ** 2 + 1, HIDDEN)
        self.last = nn.Linear(HIDDEN, 1)
        self.embedding = nn.Parameter(torch.randn(labels, HIDDEN) * HIDDEN**-0.5) if labels else None

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        h = F.leaky_relu(self.first(pictures.flatten(0, 1)), SLOPE)  # (S·B, W, H/2, H/2)
        h = F.leaky_relu(self.second(h), SLOPE).flatten(1).unflatten(0, pictures.shape[:2])  # (S, B, 2W·H/4·H/4)
        varies = (h.float().var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=1)  # (S,)
        h = torch.cat([h, varies[:, None, None].expand(-1, h.shape[1], 1).to(h.dtype)], dim=2)
        h = F.leaky_relu(self.hidden(h), SLOPE)
        realness = self.last(h)[..., 0]
        if self.embedding is not None:
            realness = realness + (h * F.embedding(labels, self.embedding)).sum(dim=2)
        return realness.float()
