"""Initial values of weights and biases: each a function of shape, fan-in and an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from snnlab.options import NonNegativeFloat
from snnlab.registry import register


@register("init")
def torch_default(
    shape: Sequence[int], fan_in: int, generator: torch.Generator, *, gain: NonNegativeFloat = 1.0
) -> Tensor:
    """torch's default for linear and convolutional layers, weights and biases alike, times a gain.

    w ~ U(-gain / sqrt(fan_in), gain / sqrt(fan_in)), of standard deviation gain / sqrt(3 fan_in)

    Args:
        gain: factor on the bound.
    Source: torch.nn.Linear.reset_parameters, kaiming_uniform_ with a = sqrt(5).
    """
    return _uniform(shape, gain / math.sqrt(fan_in), generator)


@register("init")
def uniform(shape: Sequence[int], fan_in: int, generator: torch.Generator, *, gain: NonNegativeFloat = 1.0) -> Tensor:
    """Uniform values whose sum over the inputs has variance gain^2 for inputs of variance 1.

    w ~ U(-b, b),   b = gain sqrt(3 / fan_in), of standard deviation gain / sqrt(fan_in)

    Args:
        gain: factor on the standard deviation.
    Not: `torch_default`, which is smaller by sqrt(3).
    Source: LeCun et al. 1998, Efficient BackProp, section 4.6.
    """
    return _uniform(shape, gain * math.sqrt(3 / fan_in), generator)


@register("init")
def normal(shape: Sequence[int], fan_in: int, generator: torch.Generator, *, gain: NonNegativeFloat = 1.0) -> Tensor:
    """Normal values whose sum over the inputs has variance gain^2 for inputs of variance 1.

    w ~ N(0, gain^2 / fan_in)

    Args:
        gain: factor on the standard deviation; for recurrent weights the radius of their spectrum.
    Source: LeCun et al. 1998, Efficient BackProp, section 4.6.
    """
    return torch.randn(tuple(shape), generator=generator) * (gain / math.sqrt(fan_in))


@register("init")
def orthogonal(
    shape: Sequence[int], fan_in: int, generator: torch.Generator, *, gain: NonNegativeFloat = 1.0
) -> Tensor:
    """An orthogonal matrix times a gain: all singular values equal, so that repeated products neither grow nor fade.

    w = gain Q,   Q^T Q = 1 (or Q Q^T = 1 where there are fewer rows than columns)

    Args:
        gain: the singular values.
    Source: Saxe, McClelland & Ganguli 2014.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    values = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    q, r = torch.linalg.qr(values)
    q = q * r.diagonal().sign()  # without it Q is not uniform over the orthogonal matrices
    matrix: Tensor = q if rows >= columns else q.T
    return gain * matrix.reshape(tuple(shape))


@register("init")
def zeros(shape: Sequence[int], fan_in: int, generator: torch.Generator) -> Tensor:
    """All zeros: the usual start of a bias."""
    return torch.zeros(tuple(shape))


def _uniform(shape: Sequence[int], bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(tuple(shape), generator=generator) - 1) * bound
