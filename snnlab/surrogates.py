"""Surrogate derivatives of the spike: functions of the distance x = potential - threshold."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snnlab.options import PositiveFloat
from snnlab.registry import register

Derivative = Callable[[Tensor], Tensor]


class _Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, distance: Tensor, derivative: Derivative) -> Tensor:
        ctx.save_for_backward(distance)
        ctx.derivative = derivative
        return (distance >= 0).to(distance.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (distance,) = ctx.saved_tensors
        return gradient * ctx.derivative(distance), None


def heaviside(distance: Tensor, derivative: Derivative) -> Tensor:
    """Theta(x): 1 where x >= 0, else 0, in x's type; `derivative` stands in for its own, which is 0 or undefined."""
    spikes: Tensor = _Heaviside.apply(distance, derivative)  # type: ignore[no-untyped-call]
    return spikes


@register("surrogate")
def rectangular(x: Tensor, *, a: PositiveFloat = 1.0) -> Tensor:
    """A rectangle: the same gradient everywhere near the threshold, none beyond.

    h(x) = 1/a  where |x| < a/2, else 0.   Peak 1/a, area 1, full width at half maximum a.

    Args:
        a: width, in units of the potential.
    Not: a way back for units that are silent by more than a/2; they get no gradient at all.
    Source: Wu et al. 2018, h1.
    """
    return (x.abs() < a / 2).to(x.dtype) / a


@register("surrogate")
def polynomial(x: Tensor, *, a: PositiveFloat = 1.0) -> Tensor:
    """A triangle of unit area that grows narrower as a grows.

    h(x) = (sqrt(a)/2 - a/4 |x|)  where positive, else 0.   Peak sqrt(a)/2, area 1, support |x| < 2/sqrt(a),
    full width at half maximum 2/sqrt(a).

    Args:
        a: steepness; the support shrinks as 1/sqrt(a).
    Not: `triangle`, whose option is the width.
    Source: Wu et al. 2018, h2.
    """
    return (math.sqrt(a) / 2 - a / 4 * x.abs()).clamp(min=0)


@register("surrogate")
def sigmoid_derivative(x: Tensor, *, a: PositiveFloat = 1.0) -> Tensor:
    """The derivative of a logistic function of x/a: unit area, tails that never end.

    h(x) = 1/a e^(x/a) / (1 + e^(x/a))^2.   Peak 1/(4a), area 1, full width at half maximum 3.525 a.

    Args:
        a: scale, in units of the potential.
    Not: `sigmoid`, whose option is a slope, the inverse of a.
    Source: Wu et al. 2018, h3.
    """
    s = torch.sigmoid(x / a)
    return s * (1 - s) / a


@register("surrogate")
def gaussian(x: Tensor, *, a: PositiveFloat = 1.0) -> Tensor:
    """The density of a normal distribution of variance a.

    h(x) = 1/sqrt(2 pi a) exp(-x^2 / (2a)).   Peak 1/sqrt(2 pi a), area 1, full width at half maximum 2.355 sqrt(a).

    Args:
        a: variance, in units of the potential squared.
    Source: Wu et al. 2018, h4.
    """
    return torch.exp(x * x / (-2 * a)) / math.sqrt(2 * math.pi * a)


@register("surrogate")
def fast_sigmoid(x: Tensor, *, slope: PositiveFloat = 10.0) -> Tensor:
    """SuperSpike's derivative: that of a fast sigmoid, scaled to peak 1, with heavy tails.

    h(x) = 1 / (1 + slope |x|)^2.   Peak 1, area 2/slope, full width at half maximum 2 (sqrt(2) - 1)/slope.

    Args:
        slope: steepness, per unit of potential.
    Source: Zenke & Ganguli 2018 (SuperSpike), eq. for sigma'; SpyTorch uses slope 100.
    """
    return 1 / (1 + slope * x.abs()) ** 2


@register("surrogate")
def atan(x: Tensor, *, alpha: PositiveFloat = 2.0) -> Tensor:
    """The derivative of an arc tangent, as the common libraries scale it.

    h(x) = alpha / (2 (1 + (pi/2 alpha x)^2)).   Peak alpha/2, area 1, full width at half maximum 4/(pi alpha).

    Args:
        alpha: steepness, per unit of potential; with 2: 1 / (1 + (pi x)^2).
    Source: Fang et al. 2021 (PLIF); snnTorch's and SpikingJelly's default.
    """
    return alpha / 2 / (1 + (math.pi / 2 * alpha * x) ** 2)


@register("surrogate")
def triangle(x: Tensor, *, peak: PositiveFloat = 0.3, width: PositiveFloat = 1.0) -> Tensor:
    """A triangle of a given peak and half-base.

    h(x) = peak max(0, 1 - |x| / width).   Peak `peak`, area peak * width, full width at half maximum `width`.

    Args:
        peak: value at the threshold.
        width: distance from the threshold to where it ends, in units of the potential.
    Source: Bellec et al. 2018 (LSNN), where x is divided by the threshold and peak is 0.3.
    """
    return peak * (1 - x.abs() / width).clamp(min=0)


@register("surrogate")
def sigmoid(x: Tensor, *, slope: PositiveFloat = 1.0) -> Tensor:
    """sigma'(slope x), the derivative of a logistic function of slope x, per unit of x.

    h(x) = slope sigma(slope x) (1 - sigma(slope x)).   Peak slope/4, area 1, full width at half maximum 3.525/slope.

    Args:
        slope: steepness, per unit of potential; 1 is the tutorial's sigma'.
    Not: `sigmoid_derivative`, whose option is a scale, the inverse of the slope.
    Source: the LIF tutorial among the founding texts.
    """
    s = torch.sigmoid(slope * x)
    return slope * s * (1 - s)


@register("surrogate")
def multi_gaussian(
    x: Tensor, *, sigma: PositiveFloat = 0.5, height: PositiveFloat = 0.15, scale: PositiveFloat = 6.0
) -> Tensor:
    """A Gaussian with a negative lobe at each side: it pushes back potentials that wait below the threshold.

    h(x) = (1 + height) N(x; 0, sigma) - height N(x; sigma, scale sigma) - height N(x; -sigma, scale sigma)
    with N the normal density by mean and standard deviation.   Area 1 - height;
    peak at 0: ((1 + height) - 2 height/scale exp(-1/(2 scale^2))) / (sqrt(2 pi) sigma); full width at half maximum
    1.14 at the defaults.

    Args:
        sigma: standard deviation of the middle, in units of the potential.
        height: weight of the lobes.
        scale: width of the lobes over that of the middle.
    Source: Yin, Corradi & Bohté 2021, eq. (6).
    """

    def normal(mean: float, deviation: float) -> Tensor:
        return torch.exp(-0.5 * ((x - mean) / deviation) ** 2) / (math.sqrt(2 * math.pi) * deviation)

    lobes = normal(sigma, scale * sigma) + normal(-sigma, scale * sigma)
    return (1 + height) * normal(0.0, sigma) - height * lobes
