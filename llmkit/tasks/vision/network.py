"""The network of pictures: a convolution, three stages of residual blocks, the mean over all places, a linear layer.

Sizes in, logits out; it knows no settings. Blocks are those of He et al., "Deep residual learning for image
recognition" (arXiv 1512.03385, section 3.3), with a 1×1 convolution where the number of channels changes. Pictures of
64 pixels or more are halved by the first convolution, those of 128 twice. Normalization (Ioffe & Szegedy, arXiv
1502.03167) is part of the convolutions once the network is exported (`graph.py`).
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = 3


class Convolution(nn.Module):
    """A convolution without bias, normalized; k×k, with `stride`."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int):
        super().__init__()
        self.stride, self.padding = stride, size // 2
        self.weight = nn.Parameter(torch.empty(outputs, inputs, size, size, memory_format=torch.channels_last))
        self.norm = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(F.conv2d(x, self.weight, stride=self.stride, padding=self.padding))


class Block(nn.Module):
    """Two convolutions and the way around them; the first one has the stride."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.first = Convolution(inputs, outputs, 3, stride)
        self.second = Convolution(outputs, outputs, 3, 1)
        self.around = Convolution(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None
        nn.init.zeros_(self.second.norm.weight)  # a block is no block at first (Goyal et al., arXiv 1706.02677, 5.1)

    def forward(self, x: Tensor) -> Tensor:
        around = x if self.around is None else self.around(x)
        return F.relu(self.second(F.relu(self.first(x))) + around)


class VisionNetwork(nn.Module):
    """Pictures (B, H, H, C) uint8 -> logits (B, labels)."""

    def __init__(
        self,
        edge: int,
        mean: Sequence[float],
        deviation: Sequence[float],
        output_count: int,
        *,
        width: int,
        blocks: int,
        dropout: float = 0.0,
        augment: Callable[[Tensor], Tensor] | None = None,
    ):
        """`mean` and `deviation` (C) are those of the pixels; `augment` changes training pictures, once scaled."""
        super().__init__()
        self.edge, self.output_count, self.dropout, self.augment = edge, output_count, dropout, augment
        self.width, self.blocks = width, blocks
        self.mean, self.deviation = torch.tensor(mean), torch.tensor(deviation)
        self.stem = Convolution(len(mean), width, 3, first_stride(edge))
        sizes = [width * 2**stage for stage in range(STAGES)]
        made: list[Block] = []
        for stage, size in enumerate(sizes):
            for number in range(blocks):
                inputs = size if number or not stage else sizes[stage - 1]
                made.append(Block(inputs, size, 2 if stage and not number else 1))
        self.body = nn.ModuleList(made)
        self.last = nn.Linear(sizes[-1], output_count)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.features(pictures)
        return self.last(F.dropout(x, self.dropout, self.training))

    def features(self, pictures: Tensor) -> Tensor:
        """What the last layer sees, (B, 4 · width)."""
        x = pictures.float()
        x = (x - self.mean.to(x.device)) / self.deviation.to(x.device)
        x = x.permute(0, 3, 1, 2)  # (B, C, H, H) in the memory of (B, H, H, C): channels last
        if self.training and self.augment:
            x = self.augment(x)
        x = F.relu(self.stem(x))
        for block in self.residual():
            x = block(x)
        return x.mean(dim=(2, 3))

    def residual(self) -> Iterator[Block]:
        """The blocks, in their order."""
        for block in self.body:
            assert isinstance(block, Block)
            yield block

    def convolutions(self) -> Iterator[tuple[str, Convolution]]:
        """All of them, by their names."""
        for name, module in self.named_modules():
            if isinstance(module, Convolution):
                yield name, module


def first_stride(edge: int) -> int:
    """That of the first convolution: 1, 2 from 64 pixels on, 4 of 128."""
    return 4 if edge >= 128 else 2 if edge >= 64 else 1
