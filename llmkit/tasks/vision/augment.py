"""Training pictures changed at random, each in its own way, so that the network learns what does not matter.

Shift, turn and scale are one resampling (bilinear; what comes in from outside is the edge's colour); brightness and
contrast; squares that are erased (DeVries & Taylor, "Cutout", arXiv 1708.04552). Random numbers are torch's.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augment:
    """Pictures (B, C, H, H) with mean 0 and deviation 1 -> others of the same size."""

    shift: float = 0.0
    """Share of the edge, up to which they are shifted."""
    rotate: float = 0.0
    """Degrees, up to which they are turned."""
    scale: float = 0.0
    """Share, up to which they are enlarged or shrunk."""
    flip: str = "none"
    brightness: float = 0.0
    erase: float = 0.0
    """Edge of the square that is set to 0, as a share of the picture's."""

    def __call__(self, pictures: Tensor) -> Tensor:
        if self.flip != "none" or self.shift or self.rotate or self.scale:
            grid = F.affine_grid(self.matrices(len(pictures), pictures.device), list(pictures.shape), False)
            pictures = F.grid_sample(pictures, grid, padding_mode="border", align_corners=False)
        if self.brightness:
            light, contrast = _between(2, len(pictures), most=self.brightness, device=pictures.device)[
                ..., None, None, None
            ]
            pictures = pictures * (1 + contrast) + light
        return self._erased(pictures) if self.erase else pictures

    def matrices(self, count: int, device: torch.device) -> Tensor:
        """(B, 2, 3): where in the picture, from -1 to 1, each place of the new one is taken from."""
        angle = _between(count, most=math.radians(self.rotate), device=device)
        size = torch.exp(_between(count, most=math.log1p(self.scale), device=device))
        across, down = _between(2, count, most=2 * self.shift, device=device)
        mirrored = [self._mirrored(count, way, device) for way in ("horizontal", "vertical")]
        cosine, sine = torch.cos(angle) / size, torch.sin(angle) / size
        first = torch.stack([cosine * mirrored[0], -sine * mirrored[1], across], dim=1)
        second = torch.stack([sine * mirrored[0], cosine * mirrored[1], down], dim=1)
        return torch.stack([first, second], dim=1)

    def _mirrored(self, count: int, way: str, device: torch.device) -> Tensor:
        """(B,): 1, or -1 where a picture is mirrored that way."""
        if self.flip not in (way, "both"):
            return torch.ones(count, device=device)
        return torch.randint(0, 2, (count,), device=device) * 2.0 - 1

    def _erased(self, pictures: Tensor) -> Tensor:
        edge = pictures.shape[-1]
        side = max(1, round(self.erase * edge))
        corner = torch.randint(0, edge - side + 1, (2, len(pictures), 1), device=pictures.device)
        place = torch.arange(edge, device=pictures.device)
        rows, columns = (place >= corner) & (place < corner + side)  # (2, B, H)
        return pictures * ~(rows[:, None, :, None] & columns[:, None, None, :])


def _between(*shape: int, most: float, device: torch.device) -> Tensor:
    """Random numbers, all from -most to most as likely."""
    return (torch.rand(shape, device=device) * 2 - 1) * most
