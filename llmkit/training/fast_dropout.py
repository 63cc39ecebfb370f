"""Dropout of single numbers by random bytes, several times faster on a CPU than torch's own."""

import torch
from torch import Tensor


def dropped(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout of each number by itself, `p` in steps of 1/256: one is kept by a random byte.

    On a CPU random numbers come one after the other from one generator: eight bytes of each make this several times
    faster than `F.dropout`, which took a sixth of a training step of an LSTM, and an eighth of a Transformer's.
    """
    if not training or p == 0:
        return x
    zeros = min(max(round(256 * p), 1), 255)  # of 256 bytes
    numbers = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
    numbers.random_(torch.iinfo(torch.int64).min, None)  # all 64 bits are random
    random_bytes = numbers.view(torch.uint8)[: x.numel()].view(x.shape)
    return x * ((random_bytes >= zeros) * (256 / (256 - zeros))).to(x.dtype)
