"""Optimizers, from torch: each a function of the parameters, with the options worth having."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from annotated_types import Ge, Len, Lt
from torch.optim import Optimizer

from snnlab.errors import WrongOption
from snnlab.options import NonNegativeFloat, PositiveFloat
from snnlab.registry import register

Betas = Annotated[list[Annotated[float, Ge(0), Lt(1)]], Len(2, 2)]
Parameters = Iterable[torch.nn.Parameter]


@register("optimizer")
def adam(
    parameters: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    betas: Betas = [0.9, 0.999],
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adam: steps scaled by running means of the gradient and of its square.

    Args:
        lr: learning rate.
        betas: decay per step of the two means.
        weight_decay: L2 penalty, added to the gradient.
    Source: Kingma & Ba 2015; torch.optim.Adam.
    """
    return torch.optim.Adam(parameters, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)


@register("optimizer")
def adamw(
    parameters: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    betas: Betas = [0.9, 0.999],
    weight_decay: NonNegativeFloat = 1e-2,
) -> Optimizer:
    """Adam with weight decay apart from the gradient.

    Args:
        lr: learning rate.
        betas: decay per step of the two means.
        weight_decay: part of a weight that is taken off per step, times lr.
    Source: Loshchilov & Hutter 2019; torch.optim.AdamW.
    """
    return torch.optim.AdamW(parameters, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)


@register("optimizer")
def adamax(
    parameters: Parameters,
    *,
    lr: PositiveFloat = 2e-3,
    betas: Betas = [0.9, 0.999],
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Adam with the largest recent gradient in place of the mean square.

    Args:
        lr: learning rate.
        betas: decay per step of the mean and of the maximum.
        weight_decay: L2 penalty, added to the gradient.
    Source: Kingma & Ba 2015, section 7.1; torch.optim.Adamax.
    """
    return torch.optim.Adamax(parameters, lr=lr, betas=(betas[0], betas[1]), weight_decay=weight_decay)


@register("optimizer")
def sgd(
    parameters: Parameters,
    *,
    lr: PositiveFloat = 1e-2,
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0,
    nesterov: bool = False,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Stochastic gradient descent.

    Args:
        lr: learning rate.
        momentum: part of the last step that goes into this one.
        nesterov: whether the gradient is taken after the momentum's part; needs momentum.
        weight_decay: L2 penalty, added to the gradient.
    Raises: WrongOption, for nesterov without momentum.
    Source: torch.optim.SGD.
    """
    if nesterov and momentum == 0:
        raise WrongOption(
            "optimizer.nesterov: true, and momentum 0. It takes a momentum > 0, as optimizer.momentum=0.9."
        )
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)


@register("optimizer")
def rmsprop(
    parameters: Parameters,
    *,
    lr: PositiveFloat = 1e-3,
    alpha: Annotated[float, Ge(0), Lt(1)] = 0.99,
    weight_decay: NonNegativeFloat = 0.0,
) -> Optimizer:
    """Steps scaled by a running mean of the gradient's square.

    Args:
        lr: learning rate.
        alpha: decay of the mean per step.
        weight_decay: L2 penalty, added to the gradient.
    Source: Tieleman & Hinton 2012; torch.optim.RMSprop.
    """
    return torch.optim.RMSprop(parameters, lr=lr, alpha=alpha, weight_decay=weight_decay)
