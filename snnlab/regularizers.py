"""Regularizers: penalties on the firing rates of a layer, added to the loss."""

from __future__ import annotations

import torch
from torch import Tensor, distributed

from snnlab.options import Fraction, NonNegativeFloat
from snnlab.parts import Declared
from snnlab.readouts import at_valid_steps, check_outputs, precise
from snnlab.registry import register


class Regularizer(Declared):
    """Spikes of one layer to a penalty.

    A regularizer declares its options and writes `__call__`, which multiplies by `weight` itself. Steps that the mask
    calls invalid have no effect on it and get no gradient.

    Args:
        weight: factor of the penalty.
    """

    weight: NonNegativeFloat = 1.0

    def __call__(self, spikes: Tensor, mask: Tensor | None = None) -> Tensor:
        """The penalty, a scalar.

        Args:
            spikes: outputs of the layer, (T, B, *units).
            mask: (T, B), True at valid steps; None where all are valid.
        Raises: WrongOption, for shapes that do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__: a regularizer must write it")


@register("regularizer")
class RateLower(Regularizer):
    """Penalty on units that fire too little, so that none falls silent for good.

    R = weight / units sum_units max(0, bound - rate)^2,   rate: mean over samples and their valid steps

    Shape: spikes (T, B, *units) -> ().
    Args:
        bound: rate below which a unit is penalized, in spikes per step.
    """

    bound: Fraction = 0.01

    def __call__(self, spikes: Tensor, mask: Tensor | None = None) -> Tensor:
        """The penalty."""
        return self.weight * (self.bound - mean_rates(self, spikes, mask)).relu().square().mean()


@register("regularizer")
class RateUpper(Regularizer):
    """Penalty on units that fire too much.

    R = weight / units sum_units max(0, rate - bound)^2,   rate: mean over samples and their valid steps

    Shape: spikes (T, B, *units) -> ().
    Args:
        bound: rate above which a unit is penalized, in spikes per step.
    """

    bound: Fraction = 0.5

    def __call__(self, spikes: Tensor, mask: Tensor | None = None) -> Tensor:
        """The penalty."""
        return self.weight * (mean_rates(self, spikes, mask) - self.bound).relu().square().mean()


@register("regularizer")
class RateL2(Regularizer):
    """Penalty on the squared rates of all units.

    R = weight / units sum_units rate^2,   rate: mean over samples and their valid steps

    Shape: spikes (T, B, *units) -> ().
    Not: SpyTorch's penalty on squared counts, which is (T B)^2 of it.
    """

    def __call__(self, spikes: Tensor, mask: Tensor | None = None) -> Tensor:
        """The penalty."""
        return self.weight * mean_rates(self, spikes, mask).square().mean()


def mean_rates(part: Regularizer, spikes: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of each unit over samples and their valid steps, (units,), however many axes the units have.

    Of several processes that train together all must ask at once: it is the mean over the samples of all.

    Raises: WrongOption, for shapes that do not fit.
    """
    spikes = spikes.flatten(2) if spikes.dim() > 3 else spikes
    check_outputs(part, spikes, mask)
    steps, samples = spikes.shape[:2]
    fired = at_valid_steps(precise(spikes), mask).sum((0, 1))  # (units,)
    valid = fired.new_full((), steps * samples) if mask is None else mask.sum().to(fired)
    if distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1:
        fired, valid = _of_all_processes(fired, valid, samples)
    return fired / valid


def _of_all_processes(fired: Tensor, valid: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Spikes and valid steps over the samples of all processes.

    The gradient of the own samples alone passes, samples of all / own times as large: a run weighs what each process
    finds by its part of the samples.
    """
    whole = torch.cat([fired.detach(), valid[None], valid.new_full((1,), samples)])  # (units + 2,)
    distributed.all_reduce(whole)
    own = (fired - fired.detach()) * (whole[-1] / samples)
    return whole[:-2] + own, whole[-2]
