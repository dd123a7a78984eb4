"""From noise to a sample along an ordinary differential equation: plain functions of a velocity, or a denoiser, and the times to visit."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

Velocity = Callable[[Tensor, float], Tensor]  # x (N, ...) at time t -> dx/dt (N, ...)
Denoiser = Callable[[Tensor, float], Tensor]  # x (N, ...) at noise sigma -> the mean of the clean x_0 that it may come from (N, ...)
Average = Callable[[Tensor, float, float], Tensor]  # x (N, ...) at t -> the mean velocity on its way from t to r (N, ...)
OnStep = Callable[[int], None]  # is told the number of steps that are done
Settle = Callable[[Tensor, float], Tensor]  # x as a step left it at its end -> x from which the next one goes on

Predicts = Literal["velocity", "data"]  # what a network says of the straight line x_t = (1 - t) x_0 + t x_1: dx/dt, or x_1
NEAR = 0.05  # of the way: nearer to the end a velocity tells of an error there twenty times over, and no more


def euler(velocity: Velocity, x: Tensor, times: Sequence[float], on_step: OnStep | None = None, settle: Settle | None = None) -> Tensor:
    """x at times[-1] of dx/dt = velocity(x, t) from x at times[0]: one evaluation a step, first order."""
    for i in range(len(times) - 1):
        x = x + (times[i + 1] - times[i]) * velocity(x, times[i])
        x = _done(i, x, times[i + 1], on_step, settle)
    return x


def heun(
    velocity: Velocity,
    x: Tensor,
    times: Sequence[float],
    on_step: OnStep | None = None,
    settle: Settle | None = None,
    edge: float = 0.0,
) -> Tensor:
    """As `euler`, of second order: each step is taken with the mean of the slopes at its two ends, two evaluations.

    A step to time `edge` is Euler's, as there the velocity has no value: that of a denoiser at 0 (algorithm 1 of Karras et al. 2022,
    arXiv:2206.00364), and that of lines known by their end at 1."""
    for i in range(len(times) - 1):
        step, slope = times[i + 1] - times[i], velocity(x, times[i])
        there = x + step * slope
        x = there if times[i + 1] == edge else x + step / 2 * (slope + velocity(there, times[i + 1]))
        x = _done(i, x, times[i + 1], on_step, settle)
    return x


def hops(average: Average, x: Tensor, times: Sequence[float], on_step: OnStep | None = None, settle: Settle | None = None) -> Tensor:
    """x at times[-1] by the mean velocity of each step, which leaves no error of its own however long the step is (MeanFlow: Geng et al.
    2025, arXiv:2505.13447, equation 12)."""
    for i in range(len(times) - 1):
        x = x + (times[i + 1] - times[i]) * average(x, times[i], times[i + 1])
        x = _done(i, x, times[i + 1], on_step, settle)
    return x


def ancestral(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Sequence[float],
    noise: Callable[[int], Tensor],
    on_step: OnStep | None = None,
    settle: Settle | None = None,
) -> Tensor:
    """x at noise sigmas[-1] from x at sigmas[0], which fall: each step goes below its end and adds noise(i) (N, ...), standard normal, to
    come back up, so that x is drawn from p(x_s | x_t, x_0 = denoiser(x_t)) (Ho et al. 2020, arXiv:2006.11239, equation 7; in terms of
    sigma: Song et al. 2020, arXiv:2011.13456, appendix F)."""
    for i in range(len(sigmas) - 1):
        t, s = sigmas[i], sigmas[i + 1]
        up = s * math.sqrt(t**2 - s**2) / t
        down = s**2 / t  # down^2 + up^2 = s^2
        clean = denoiser(x, t)
        x = clean + down / t * (x - clean) + up * noise(i)
        x = _done(i, x, s, on_step, settle)
    return x


def _done(i: int, x: Tensor, t: float, on_step: OnStep | None, settle: Settle | None) -> Tensor:
    x = settle(x, t) if settle else x
    if on_step:
        on_step(i + 1)
    return x


def shuffled(latents: Tensor) -> Callable[[int], Tensor]:
    """The noise of an ancestral step i: latents (N, ...) with their numbers shuffled and signs flipped, by a draw of i alone.

    It is standard normal if the latents are, uncorrelated with that of other steps, the same in every batch, and moves with a latent."""

    def noise(i: int) -> Tensor:
        rng = torch.Generator().manual_seed(i)
        flat = latents.flatten(1)
        order = torch.randperm(flat.shape[1], generator=rng).to(latents.device)
        return (flat[:, order] * signs(flat.shape[1:], rng).to(latents)).view_as(latents)

    return noise


METHODS = {"euler": euler, "heun": heun}


def solver(method: str, predicts: Predicts) -> Callable[..., Tensor]:
    """One of METHODS, along straight lines; at t = 1 those that are known by their end have no velocity."""
    known = predicts == "data" and method == "heun"
    return functools.partial(heun, edge=1.0) if known else METHODS[method]


def straight(found: Tensor, x: Tensor, t: Tensor, predicts: Predicts) -> Tensor:
    """The velocity (N, ...) of the line through x (N, ...) at t (N,), of which a network `found` (N, ...) what it predicts: where that is
    the data, the end of the line, (end - x) / (1 - t).

    Data takes few numbers to say, noise all of them: a network that gives the data need not carry the noise through, and a small one is
    sooner right (JiT: Li and He 2025, arXiv:2511.13720)."""
    return found if predicts == "velocity" else (found - x) / across((1 - t).clamp(min=NEAR), x)


def grid(start: float, end: float, steps: int) -> list[float]:
    """The times of so many equal steps from `start` to `end`."""
    return [start + (end - start) * i / steps for i in range(steps)] + [end]


def guided(conditional: Callable[..., Tensor], unconditional: Callable[..., Tensor], scale: float) -> Callable[..., Tensor]:
    """The field that goes `scale` times as far from the unconditional one as the conditional one does; 1 is the conditional one itself
    (classifier-free guidance: Ho and Salimans 2022, arXiv:2207.12598, equation 6 with w = scale - 1)."""
    if isinstance(scale, (int, float)) and scale == 1:  # it is a tensor where a sampling is exported
        return conditional

    def field(x: Tensor, *times: float) -> Tensor:
        plain = unconditional(x, *times)
        return plain + scale * (conditional(x, *times) - plain)

    return field


def of_class(of: Callable[[Tensor | None], Callable[..., Tensor]], y: Tensor | None, none: int, scale: float) -> Callable[..., Tensor]:
    """The field of(y) of classes y (N,), `guided` by that of the class `none`; of(None) without classes."""
    return of(None) if y is None else guided(of(y), of(torch.full_like(y, none)), scale)


def across(t: Tensor, x: Tensor) -> Tensor:
    """t (N,) as (N, 1, ...), to go with x (N, ...)."""
    return t.view(-1, *[1] * (x.dim() - 1))


def signs(shape: Sequence[int], rng: torch.Generator) -> Tensor:
    """1 or -1 each, as likely (*shape), of int64 on the CPU."""
    return 2 * torch.randint(0, 2, tuple(shape), generator=rng) - 1


def along(field: Callable[..., Tensor], at: tuple[Tensor, ...], way: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """field(*at), and how it changes along `way`, by one forward-mode derivative."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels of attention have no such derivative
        warnings.simplefilter("ignore", FutureWarning)  # of torch itself, which loads its rules with torch.jit
        return torch.func.jvp(field, at, way)


def likelihood(velocity: Velocity, x: Tensor, times: Sequence[float], probe: Tensor, scale: float = 1.0) -> Tensor:
    """log p(x) (N,) in nats, where the flow of `velocity` carries x at times[0] to N(0, scale^2) at times[-1].

    d log p / dt = -tr(dv/dx) along the flow, the trace by Hutchinson's estimate e.(dv/dx e) with e = `probe` (N, ...) of signs (FFJORD:
    Grathwohl et al. 2018, arXiv:1810.01367, equations 7 and 8); x and the integral by Heun's steps."""

    def slope(x: Tensor, t: float) -> tuple[Tensor, Tensor]:
        v, change = along(lambda x: velocity(x, t), (x,), (probe,))
        return v, (change * probe).flatten(1).sum(1)

    change = torch.zeros(len(x), device=x.device)
    for i in range(len(times) - 1):
        step = times[i + 1] - times[i]
        v, trace = slope(x, times[i])
        w, there = slope(x + step * v, times[i + 1])
        x, change = x + step / 2 * (v + w), change + step / 2 * (trace + there)
    z = x.flatten(1) / scale
    return change - 0.5 * z.square().sum(1) - z.shape[1] * (0.5 * math.log(2 * math.pi) + math.log(scale))
