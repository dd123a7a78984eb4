"""What a transformer does between its matrices, its gradients by hand: they pass over memory less often than those that PyTorch derives."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEAST = 1e-6  # the root of a mean square below which nothing is made larger


def unit(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """x (..., W) over the root of its mean square, times a weight (W,) where there is one (Zhang and Sennrich 2019, arXiv:1910.07467)."""
    if x.device.type != "cpu":
        return F.rms_norm(x, x.shape[-1:], weight)  # one kernel there, a dozen operations on a CPU
    if x.requires_grad:
        return _Unit.apply(x, weight)
    y = x / _length(x)
    return y if weight is None else y * weight


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x (..., W), its numbers i and i + W / 2 as a point that is turned by an angle (Su et al. 2021, arXiv:2104.09864, equation 34).

    `cos` and `sin`, broadcast to x, are those of the angles; the first half of `sin` is negative."""
    cos, sin = cos.to(x), sin.to(x)
    return _Turned.apply(x, cos, sin) if x.requires_grad else _turned(x, cos, sin)


def turns(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Angles (..., W / 2) -> their cosines and sines (..., W) as `turned` takes them."""
    return torch.cat([angles.cos(), angles.cos()], -1), torch.cat([-angles.sin(), angles.sin()], -1)


def attention(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None = None, causal: bool = False) -> Tensor:
    """What queries q (..., T, D) find in keys and values k, v (..., S, D): F.scaled_dot_product_attention. Where a CPU's step is in bf16
    this part is not, as its gradient takes seven times as long there in bf16 (benchmarks/half.py)."""
    if q.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(q.float(), k.float(), v.float(), seen, is_causal=causal)
    return F.scaled_dot_product_attention(q, k, v, seen, is_causal=causal)


def squared(x: Tensor) -> Tensor:
    """The square of what of x is above 0 (So et al. 2021, arXiv:2109.08668)."""
    return _Squared.apply(x)


class RMSNorm(nn.RMSNorm):
    """`unit`, with a learnt weight."""

    def forward(self, x: Tensor) -> Tensor:
        return unit(x, self.weight)


def _length(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).mul_(x.shape[-1] ** -0.5).clamp_min_(LEAST)


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None) -> Tensor:
        length = _length(x)
        y = x / length
        ctx.save_for_backward(y, length, weight)
        return y if weight is None else y * weight

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor | None]:
        y, length, weight = ctx.saved_tensors
        along = g * y
        if weight is None:
            return torch.addcmul(g, y, along.mean(-1, keepdim=True), value=-1).div_(length), None
        mean = (along @ weight)[..., None] / len(weight)
        return (g * weight).addcmul_(y, mean, value=-1).div_(length), along.flatten(0, -2).sum(0)


def _turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class _Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x, cos, sin)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(g, cos, -sin), None, None


class _Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        above = x.relu()
        ctx.save_for_backward(above)
        return above.square()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (above,) = ctx.saved_tensors
        return (above * g).mul_(2)
