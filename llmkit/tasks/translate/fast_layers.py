"""The parts of a layer on a CPU, each one step of automatic differentiation with its gradient written out.

In: activations as rows (B * T, D) of one number type, and weights. Out: what `network.Layer` computes from torch's own
parts, a few times as fast: a step of a network of this size is bound by what lies between its products. Here
activations keep their type, the softmax over a dozen tokens is taken by sums over all rows at once (torch's own goes
row by row), and dropout reads ready masks.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from llmkit.training.fast_dropout import masked, masked_

EPS = 1e-5  # of the norms, as in nn.LayerNorm
Gradients = tuple[Tensor | None, ...]


class Shape(NamedTuple):
    """Of the activations: B sequences of T tokens, and the heads of attention."""

    batch: int
    length: int
    heads: int


def softmaxed(scores: Tensor, bias: Tensor, scale: float) -> Tensor:
    """softmax(scale * scores + bias) over the last axis, for scores (B, H, T, S) and a bias that broadcasts to them."""
    shares = torch.add(bias, scores.to(bias.dtype), alpha=scale)
    shares.sub_(shares.amax(dim=-1, keepdim=True)).exp_()
    return shares.div_(shares.sum(dim=-1, keepdim=True))


def softmaxed_backward(shares: Tensor, grad: Tensor, scale: float) -> Tensor:
    """Gradient of the scores from that of the shares."""
    grad = grad * shares
    return grad.addcmul_(shares, grad.sum(dim=-1, keepdim=True), value=-1).mul_(scale)


def by_heads(rows: Tensor, parts: int, shape: Shape) -> Tensor:
    """(B * T, parts * D) to (parts, B * H, T, D / H)."""
    batch, length, heads = shape
    split = rows.view(batch, length, parts, heads, -1).permute(2, 0, 3, 1, 4)
    return split.reshape(parts, batch * heads, length, -1)


def by_rows(split: Tensor, shape: Shape) -> Tensor:
    """The inverse of `by_heads`."""
    batch, length, heads = shape
    rows = split.view(-1, batch, heads, length, split.shape[-1]).permute(1, 3, 0, 2, 4)
    return rows.reshape(batch * length, -1)


class Attention(torch.autograd.Function):
    """x + dropped(attention(norm(x), norm(x) or memory)): of rows x (B * T, D) to each other or to memory (B * S, D).

    `weights`: norm_weight, norm_bias, in_weight, in_bias, out_weight, out_bias, where `in` gives queries, keys and
    values of x; with a memory, queries alone, and then come weight and bias of the memory's keys and values. `bias`,
    float32 at least, is added to the scores (B, H, T, S); `mask` (B * T, D) is one of `Masks`, whose `scale` is given.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        memory: Tensor | None,
        bias: Tensor,
        mask: Tensor | None,
        scale: float,
        shape: Shape,
        *weights: Tensor,
    ) -> Tensor:
        batch, length, heads = shape
        kind, size = x.dtype, x.shape[-1]
        norm_weight, norm_bias, in_weight, in_bias, out_weight, out_bias, *source = weights
        used = [in_weight.to(kind), out_weight.to(kind)]
        rows, mean, rstd = torch.native_layer_norm(x, (size,), norm_weight, norm_bias, EPS)
        projected = F.linear(rows, used[0], in_bias.to(kind))
        if memory is None:
            q, k, v = by_heads(projected, 3, shape)
        else:
            used.append(source[0].to(kind))
            [q] = by_heads(projected, 1, shape)
            projected = F.linear(memory, used[2], source[1].to(kind))
            k, v = by_heads(projected, 2, Shape(batch, len(memory) // batch, heads))
        scores = torch.bmm(q, k.mT).view(batch, heads, length, -1)
        inverse = (size // heads) ** -0.5
        shares = softmaxed(scores, bias, inverse).to(kind).view(batch * heads, length, -1)
        found = by_rows(torch.bmm(shares, v), shape)
        added = F.linear(found, used[1], out_bias.to(kind))
        saved = (x, rows, mean, rstd, memory, q, k, v, shares, found, mask, *used, norm_weight, norm_bias)
        ctx.save_for_backward(*saved)
        ctx.plain = shape, scale, inverse, bias.dtype, in_weight.dtype
        if mask is not None:
            masked_(added, mask)
        return torch.add(x, added, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        [outer] = gradients
        shape, scale, inverse, precise, weight_type = ctx.plain
        x, rows, mean, rstd, memory, q, k, v, shares, found, mask, *used, norm_weight, norm_bias = ctx.saved_tensors
        grad = outer if mask is None else masked(outer, mask).mul_(scale)
        out_weight, out_bias = grad.T @ found, grad.sum(0)
        [grad] = by_heads(grad @ used[1], 1, shape)  # of the heads' answers (B * H, T, D / H)
        of_shares = torch.bmm(grad, v.mT).to(precise)
        of_scores = softmaxed_backward(shares.to(precise), of_shares, inverse).to(q.dtype)
        source, of_memory = [], None
        if memory is None:
            of_q, of_k, of_v = together = q.new_empty(3, *q.shape)
        else:
            of_q = q.new_empty(q.shape)
            of_k, of_v = together = k.new_empty(2, *k.shape)
        torch.bmm(of_scores, k, out=of_q)
        torch.bmm(of_scores.mT, q, out=of_k)
        torch.bmm(shares.mT, grad, out=of_v)
        if memory is not None:
            projected = by_rows(together, Shape(shape.batch, k.shape[1], shape.heads))
            of_memory, source = projected @ used[2], [projected.T @ memory, projected.sum(0)]
            together = of_q
        projected = by_rows(together, shape)
        in_weight, in_bias = projected.T @ rows, projected.sum(0)
        of_x, *of_norm = _normed_backward(projected @ used[0], x, mean, rstd, norm_weight, norm_bias)
        weights = [part.to(weight_type) for part in (in_weight, in_bias, out_weight, out_bias, *source)]
        return of_x.add_(outer), of_memory, None, None, None, None, *of_norm, *weights


class Dense(torch.autograd.Function):
    """x + dropped(out(dropped(relu(in(norm(x)))))), for rows x (B * T, D), with a mask (B * T, units) and one of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, inner_mask: Tensor | None, mask: Tensor | None, scale: float, *weights: Tensor
    ) -> Tensor:
        norm_weight, norm_bias, in_weight, in_bias, out_weight, out_bias = weights
        kind = x.dtype
        used = [in_weight.to(kind), out_weight.to(kind)]
        rows, mean, rstd = torch.native_layer_norm(x, x.shape[-1:], norm_weight, norm_bias, EPS)
        inner = F.linear(rows, used[0], in_bias.to(kind)).relu_()
        if inner_mask is not None:
            masked_(inner, inner_mask)
            used[1] = used[1] * scale
        added = F.linear(inner, used[1], out_bias.to(kind))
        ctx.save_for_backward(x, rows, mean, rstd, inner, mask, *used, norm_weight, norm_bias)
        ctx.plain = scale, in_weight.dtype
        if mask is not None:
            masked_(added, mask)
        return torch.add(x, added, alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        [outer] = gradients
        scale, weight_type = ctx.plain
        x, rows, mean, rstd, inner, mask, *used, norm_weight, norm_bias = ctx.saved_tensors
        grad = outer if mask is None else masked(outer, mask).mul_(scale)
        out_weight, out_bias = grad.T @ inner, grad.sum(0)
        if mask is not None:
            out_weight.mul_(scale)
        # 0 where the activation is, by relu or by dropout.
        of_inner = torch.ops.aten.threshold_backward(grad @ used[1], inner, 0)
        in_weight, in_bias = of_inner.T @ rows, of_inner.sum(0)
        of_x, *of_norm = _normed_backward(of_inner @ used[0], x, mean, rstd, norm_weight, norm_bias)
        weights_ = [part.to(weight_type) for part in (in_weight, in_bias, out_weight, out_bias)]
        return of_x.add_(outer), None, None, None, *of_norm, *weights_


class Placed(torch.autograd.Function):
    """Rows (B * T, D) of an embedding's numbers for tokens, times `times`, plus their places (T, D); dropped."""

    @staticmethod
    def forward(ctx: Any, embedded: Tensor, places: Tensor, mask: Tensor | None, times: float, kind: Any) -> Tensor:
        ctx.save_for_backward(mask)
        ctx.plain = times, embedded.dtype
        length, size = places.shape
        x = torch.add(places, embedded.view(-1, length, size), alpha=times).to(kind).view(-1, size)
        return x if mask is None else masked_(x, mask)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Gradients:
        [outer] = gradients
        [mask], (times, number_type) = ctx.saved_tensors, ctx.plain
        grad = outer if mask is None else masked(outer, mask)
        return grad.to(number_type) * times, None, None, None, None


def _normed_backward(grad: Tensor, x: Tensor, *saved: Tensor) -> list[Tensor]:
    """Gradients of x, weight and bias of a norm; `saved`: means, 1 / deviations, weight and bias."""
    backward = torch.ops.aten.native_layer_norm_backward
    return list(backward(grad, x, x.shape[-1:], *saved, [True, True, True]))
