"""The network: a Transformer that reads a source whole and writes a target a token at a time.

Norms stand before each part and once at the end of each side (Xiong et al., "On layer normalization in the Transformer
architecture", arXiv 2002.04745). Sources, targets and the output share one embedding (Press & Wolf, arXiv 1608.05859).
Places are told by sines (Vaswani et al., arXiv 1706.03762, section 3.5). Knows no settings. On a CPU `fast_layers.py`
computes the layers, elsewhere torch's own parts do: the same numbers but for roundings.
"""

import copy
import functools
import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from llmkit.tasks.translate.fast_layers import Attention, Dense, Placed, Shape
from llmkit.training.fast_dropout import Masks, dropped
from llmkit.training.output_loss import OutputLoss
from llmkit.training.second_process import shared_like

UNSEEN = -1e9  # added to the score of what attention may not see


def frequencies(hidden_size: int) -> np.ndarray:
    """(D / 2,) float32: angles per place, from 1 down to 1 / 10,000."""
    half = hidden_size // 2
    return np.exp(-math.log(10_000) * np.arange(half) / half).astype(np.float32)


@functools.lru_cache(maxsize=256)
def places(length: int, hidden_size: int, device: torch.device) -> Tensor:
    """(length, D): sines, then cosines, of each place."""
    angles = torch.arange(length)[:, None] * torch.from_numpy(frequencies(hidden_size))
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(device)


class Layer(nn.Module):
    """Attention to its own side and two dense layers; of the decoder, attention to the source between them."""

    def __init__(self, size: int, heads: int, feedforward_size: int, dropout: float, reads_source: bool):
        super().__init__()
        self.heads, self.dropout, self.reads_source = heads, dropout, reads_source
        self.own_norm, self.own_in, self.own_out = nn.LayerNorm(size), nn.Linear(size, 3 * size), nn.Linear(size, size)
        if reads_source:
            self.source_norm, self.source_query = nn.LayerNorm(size), nn.Linear(size, size)
            self.source_in, self.source_out = nn.Linear(size, 2 * size), nn.Linear(size, size)
        self.dense_norm = nn.LayerNorm(size)
        self.dense_in, self.dense_out = nn.Linear(size, feedforward_size), nn.Linear(feedforward_size, size)

    def forward(self, x: Tensor, mask: Tensor | None, memory: Tensor | None, memory_mask: Tensor | None) -> Tensor:
        """x (B, T, D) to the same; `mask` (B, 1, 1, T) of its own side, None: each sees those before it and itself."""
        q, k, v = self.own_in(self.own_norm(x)).chunk(3, dim=-1)
        x = x + self._dropped(self.own_out(self._attend(q, k, v, mask)))
        if memory is not None:
            k, v = self.source_in(memory).chunk(2, dim=-1)
            q = self.source_query(self.source_norm(x))
            x = x + self._dropped(self.source_out(self._attend(q, k, v, memory_mask)))
        inner = self._dropped(F.relu(self.dense_in(self.dense_norm(x))))
        return x + self._dropped(self.dense_out(inner))

    def fast(
        self, x: Tensor, shape: Shape, bias: Tensor, memory: Tensor | None, memory_bias: Tensor, masks: Masks | None
    ) -> Tensor:
        """`forward` on a CPU, of rows (B * T, D); the biases, 0 or UNSEEN, are added to scores (B, H, T, S)."""
        scale = masks.scale if masks else 1.0
        mask = masks.next(*x.shape) if masks else None
        x = Attention.apply(x, None, bias, mask, scale, shape, *_weights(self.own_norm, self.own_in, self.own_out))
        if memory is not None:
            mask = masks.next(*x.shape) if masks else None
            weights = _weights(self.source_norm, self.source_query, self.source_out, self.source_in)
            x = Attention.apply(x, memory, memory_bias, mask, scale, shape, *weights)
        inner = masks.next(len(x), len(self.dense_in.weight)) if masks else None
        mask = masks.next(*x.shape) if masks else None
        return Dense.apply(x, inner, mask, scale, *_weights(self.dense_norm, self.dense_in, self.dense_out))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))  # (B, H, T, d)
        # Written out: torch's fused kernel takes twice as long on a CPU, and for some dozens of tokens saves no memory.
        scores = q * q.shape[-1] ** -0.5 @ k.mT  # (B, H, T, S)
        if mask is None:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        shares = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        return (shares @ v).transpose(1, 2).flatten(2)  # (B, T, D)

    def _dropped(self, x: Tensor) -> Tensor:
        return dropped(x, self.dropout, self.training)


def _weights(*modules: Any) -> list[Tensor]:
    """Weight and bias of each module."""
    return [part for module in modules for part in (module.weight, module.bias)]


class TranslationNetwork(nn.Module):
    """Sizes in, logits out; `boundary` is the id that fills up sources, and that no source holds."""

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int,
        *,
        heads: int,
        encoder_layers: int,
        decoder_layers: int,
        feedforward_size: int,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.vocab_size, self.hidden_size, self.heads, self.dropout = vocab_size, hidden_size, heads, dropout
        self.embedding = nn.Parameter(torch.randn(vocab_size, hidden_size) * hidden_size**-0.5)
        self.output_bias = nn.Parameter(torch.zeros(vocab_size))
        sizes = (hidden_size, heads, feedforward_size, dropout)
        self.encoder = nn.ModuleList([Layer(*sizes, reads_source=False) for _ in range(encoder_layers)])
        self.decoder = nn.ModuleList([Layer(*sizes, reads_source=True) for _ in range(decoder_layers)])
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(hidden_size), nn.LayerNorm(hidden_size)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and name != "embedding":
                nn.init.xavier_uniform_(weight)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(
        self,
        sources: Tensor,
        counts: Tensor,
        targets: Tensor,
        wanted: Tensor | None = None,
        smoothing: float | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Logits (B, T, V) of what follows each token of the targets (B, T), which begin with a boundary.

        sources (B, S), filled up; counts (B,) of their tokens. Given what is `wanted` (B, T), below 0 where nothing is:
        the logits (N, V) where something is or, given a label `smoothing` too, their mean loss in nats, a scalar.
        On a CPU dropout draws from `generator`, by default torch's own.
        """
        if sources.device.type == "cpu":
            y = self._read_fast(sources, counts, targets, generator)
        else:
            y = self.read(sources, counts, targets)
        if wanted is not None:
            y = y[wanted >= 0]
            if smoothing is not None:
                if torch.is_autocast_enabled(y.device.type):
                    y = y.to(torch.get_autocast_dtype(y.device.type))
                return OutputLoss.apply(y, self.embedding, self.output_bias, wanted[wanted >= 0], smoothing)
        return F.linear(y, self.embedding.to(y.dtype), self.output_bias.to(y.dtype))

    def read(self, sources: Tensor, counts: Tensor, targets: Tensor) -> Tensor:
        """The same before the output layer (B, T, D), by torch's own parts."""
        mask = (torch.arange(sources.shape[1], device=sources.device) < counts[:, None])[:, None, None, :]
        x = self.embedded(sources)
        for layer in self.encoder:
            x = layer(x, mask, None, None)
        memory = self.encoder_norm(x)
        y = self.embedded(targets)
        for layer in self.decoder:
            y = layer(y, None, memory, mask)
        return self.decoder_norm(y)

    def embedded(self, tokens: Tensor) -> Tensor:
        """Tokens (B, T) to (B, T, D), with their places."""
        x = F.embedding(tokens, self.embedding) * self.hidden_size**0.5
        x = x + places(tokens.shape[1], self.hidden_size, tokens.device)
        return dropped(x, self.dropout, self.training)

    def _read_fast(self, sources: Tensor, counts: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """The same on a CPU, all in the type of autocast or, without it, of the layers' weights."""
        encoder, decoder = (cast(Iterable[Layer], layers) for layers in (self.encoder, self.decoder))
        kind = next(iter(decoder)).own_in.weight.dtype
        if torch.is_autocast_enabled("cpu"):
            kind = torch.get_autocast_dtype("cpu")
        precise = torch.promote_types(kind, torch.float32)
        unseen = torch.arange(sources.shape[1]) >= counts[:, None]
        bias = unseen[:, None, None, :].to(precise).mul_(UNSEEN)  # (B, 1, 1, S)
        later = torch.full([targets.shape[1]] * 2, UNSEEN, dtype=precise).triu_(1)
        masks = None
        if self.training and self.dropout:
            widest = max(self.hidden_size, *(len(layer.dense_in.weight) for layer in decoder))
            most = widest * max(sources.numel(), targets.numel())
            masks = Masks(self.dropout, most, kind, generator or torch.default_generator)
        with torch.autocast("cpu", enabled=False):
            tokens = torch.cat([sources.flatten(), targets.flatten()])
            of_source, of_target = F.embedding(tokens, self.embedding).split([sources.numel(), targets.numel()])
            x = self._placed(of_source, sources.shape[1], masks, kind)
            shape = Shape(sources.shape[0], sources.shape[1], self.heads)
            for layer in encoder:
                x = layer.fast(x, shape, bias, None, bias, masks)
            memory = self.encoder_norm(x)
            y = self._placed(of_target, targets.shape[1], masks, kind)
            shape = Shape(targets.shape[0], targets.shape[1], self.heads)
            for layer in decoder:
                y = layer.fast(y, shape, later, memory, bias, masks)
            return self.decoder_norm(y).view(*targets.shape, -1)

    def _placed(self, embedded: Tensor, length: int, masks: Masks | None, kind: torch.dtype) -> Tensor:
        """Embedded tokens (B * T, D), with their places, and dropout."""
        scale = masks.scale if masks else 1.0
        where = places(length, self.hidden_size, embedded.device) * scale
        mask = masks.next(*embedded.shape) if masks else None
        return Placed.apply(embedded, where, mask, self.hidden_size**0.5 * scale, kind)


def working(network: TranslationNetwork, kind: torch.dtype) -> TranslationNetwork:
    """A network to compute with on a CPU, with weights of its own: those of dense layers in `kind`.

    Weights that are cast for each pass, and their gradients, cost more than it does to copy them once a step. They lie
    in memory that is shared with processes forked later.
    """
    made = copy.deepcopy(network)
    for part in made.modules():
        if isinstance(part, nn.Linear):
            part.to(kind)
    weights = list(made.parameters())
    for weight, place in zip(weights, shared_like(weights), strict=True):
        weight.data = place
    return made
