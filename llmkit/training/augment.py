"""Pictures shifted at random, the one augmentation here: it needs no knowledge of what the pictures show."""

import torch
from torch import Tensor
from torch.nn import functional as F


def shifted(pictures: Tensor, most: int) -> Tensor:
    """Pictures (B, C, H, W), each moved by up to `most` pixels down or up and right or left; what is new is its edge's.

    Each move is as likely as another. (Translation as in Zhao et al., arXiv 2006.10738, section 3; edges are continued,
    so that a shift alone makes no picture look unreal.)
    """
    if not most:
        return pictures
    count, channels, height, width = pictures.shape
    padded = F.pad(pictures, (most,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * most + 1, (2, count, 1), device=pictures.device)
    rows = (down + torch.arange(height, device=pictures.device))[:, None, :, None]  # (B, 1, H, 1)
    columns = (right + torch.arange(width, device=pictures.device))[:, None, None, :]  # (B, 1, 1, W)
    which = torch.arange(count, device=pictures.device)[:, None, None, None]
    colours = torch.arange(channels, device=pictures.device)[None, :, None, None]
    return padded[which, colours, rows, columns]
