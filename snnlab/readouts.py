"""Readouts: outputs of every step to the scores of a sample, which metrics compare with the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.parts import Declared
from snnlab.registry import register, snake_case

Field = Literal["spikes", "potential"]
"""What of the last layer is looked at."""


class Readout(Declared):
    """Outputs of every step of the last layer to scores: the highest one names the class.

    A readout declares its options and its `field`, and writes `__call__`. Steps that the mask calls invalid have no
    effect on it.
    """

    field: ClassVar[Field]
    """What of the last layer it looks at."""

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Scores (B, units); or (T, B, units), one row for each step.

        Args:
            outputs: the field, (T, B, units).
            mask: (T, B), True at valid steps; None where all are valid.
        Raises: WrongOption, for shapes that do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__: a readout must write it")


@register("readout")
class SpikeCount(Readout):
    """Number of spikes of each output unit.

    score = sum_t S[t]   over valid steps

    Shape: spikes (T, B, units) -> (B, units).
    Not: free of ties: two units often have the same count, and then the first of them counts.
    """

    field: ClassVar[Field] = "spikes"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Counts."""
        check_outputs(self, outputs, mask)
        return sum_over_time(outputs, mask)


@register("readout")
class MeanRate(Readout):
    """Mean firing rate of each output unit, in spikes per step.

    score = 1/T sum_t S[t]   over the T valid steps of the sample

    Shape: spikes (T, B, units) -> (B, units).
    """

    field: ClassVar[Field] = "spikes"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Rates."""
        check_outputs(self, outputs, mask)
        return mean_over_time(outputs, mask)


@register("readout")
class MaxOverTime(Readout):
    """Highest potential that each output unit reaches.

    score = max_t U[t]   over valid steps

    Shape: potential (T, B, units) -> (B, units).
    """

    field: ClassVar[Field] = "potential"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Maxima."""
        check_outputs(self, outputs, mask)
        return max_over_time(outputs, mask)


@register("readout")
class MeanOverTime(Readout):
    """Mean potential of each output unit.

    score = 1/T sum_t U[t]   over the T valid steps of the sample

    Shape: potential (T, B, units) -> (B, units).
    """

    field: ClassVar[Field] = "potential"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Means."""
        check_outputs(self, outputs, mask)
        return mean_over_time(outputs, mask)


@register("readout")
class SumOverTime(Readout):
    """Potential of each output unit, added up over time.

    score = sum_t U[t]   over valid steps

    Shape: potential (T, B, units) -> (B, units).
    """

    field: ClassVar[Field] = "potential"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Sums."""
        check_outputs(self, outputs, mask)
        return sum_over_time(outputs, mask)


@register("readout")
class LastStep(Readout):
    """Potential of each output unit at the last valid step.

    score = U[t]   t: the last valid step of the sample

    Shape: potential (T, B, units) -> (B, units).
    Not: the last step of the batch, which is padding for all but the longest samples.
    """

    field: ClassVar[Field] = "potential"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Last values."""
        check_outputs(self, outputs, mask)
        return last_step(outputs, mask)


@register("readout")
class EveryStep(Readout):
    """Potential at every step, each scored by itself.

    score[t] = U[t]   at valid steps, 0 at others

    Shape: potential (T, B, units) -> (T, B, units).
    """

    field: ClassVar[Field] = "potential"

    def __call__(self, outputs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The potential itself."""
        check_outputs(self, outputs, mask)
        return at_valid_steps(precise(outputs), mask)


def sum_over_time(outputs: Tensor, mask: Tensor | None = None) -> Tensor:
    """The sum over valid steps: (T, B, units) to (B, units)."""
    return at_valid_steps(precise(outputs), mask).sum(0)


def mean_over_time(outputs: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over the valid steps of each sample: (T, B, units) to (B, units)."""
    steps = valid_steps(outputs, mask)
    return sum_over_time(outputs, mask) / (steps if isinstance(steps, int) else steps[:, None])


def max_over_time(outputs: Tensor, mask: Tensor | None = None) -> Tensor:
    """The largest value at a valid step: (T, B, units) to (B, units). Steps that reach it alike share its gradient."""
    return at_valid_steps(precise(outputs), mask, -torch.inf).amax(0)


def last_step(outputs: Tensor, mask: Tensor | None = None) -> Tensor:
    """The value at the last valid step of each sample: (T, B, units) to (B, units)."""
    if mask is None:
        return precise(outputs[-1])
    steps, samples = (torch.arange(size, device=mask.device) for size in mask.shape)
    last = torch.where(mask, steps[:, None], -1).amax(0)  # (B,)
    return precise(outputs[last, samples])


REDUCTIONS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {
    "max": max_over_time,
    "mean": mean_over_time,
    "last": last_step,
    "sum": sum_over_time,
}
"""Ways to make one value of a unit's values over time."""


def at_valid_steps(outputs: Tensor, mask: Tensor | None, other: float = 0.0) -> Tensor:
    """The outputs (T, B, …), and `other` at invalid steps, which get no gradient whatever stands there."""
    if mask is None:
        return outputs
    # Not a product with the mask: infinity and NaN would go through it.
    return torch.where(mask.reshape(*mask.shape, *[1] * (outputs.dim() - 2)), outputs, other)


def valid_steps(outputs: Tensor, mask: Tensor | None) -> Tensor | int:
    """The number of valid steps: T, or one number for each sample, (B,)."""
    return outputs.shape[0] if mask is None else mask.sum(0)


def precise(outputs: Tensor) -> Tensor:
    """The same numbers in float32 at least: sums over time in half precision lose spikes."""
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))


def check_outputs(part: object, outputs: Tensor, mask: Tensor | None) -> None:
    """Refuse outputs and masks that do not fit.

    Whether each sample has a valid step is looked at on the CPU only: elsewhere asking would make the device wait.
    Raises: WrongOption, naming the part.
    """
    where = snake_case(type(part).__name__)
    if outputs.dim() != 3 or 0 in outputs.shape or not outputs.is_floating_point():
        raise WrongOption(f"{where}: {outputs.dtype} of shape {tuple(outputs.shape)}. It takes floats (T, B, units).")
    if mask is None:
        return
    if mask.dtype != torch.bool or mask.shape != outputs.shape[:2]:
        raise WrongOption(
            f"{where}: a mask of {mask.dtype}, shape {tuple(mask.shape)}. "
            f"It takes booleans (T, B), here {tuple(outputs.shape[:2])}, True at valid steps."
        )
    if mask.device.type == "cpu" and not bool(mask.any(0).all()):
        empty = int(mask.any(0).logical_not().nonzero()[0])
        raise WrongOption(f"{where}: sample {empty} has no valid step in the mask. Each sample needs one at least.")
