"""Losses: outputs of every step of the last layer and a target, to the one number that a run makes smaller."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from snnlab.errors import WrongOption
from snnlab.options import Fraction
from snnlab.parts import Declared
from snnlab.readouts import (
    REDUCTIONS,
    Field,
    at_valid_steps,
    check_outputs,
    mean_over_time,
    precise,
    sum_over_time,
    valid_steps,
)
from snnlab.registry import register, snake_case


class Loss(Declared):
    """Outputs of every step and a target to one number, a mean over samples.

    A loss declares its options, `field` and `readout`, and writes `__call__`. It makes one number of a sample's valid
    steps by itself; invalid ones have no effect on it and get no gradient.
    """

    field: ClassVar[Field]
    """What of the last layer it looks at."""
    readout: ClassVar[str]
    """The readout whose scores are to be compared with the target, unless a run names another."""
    takes: ClassVar[Literal["classes", "values", "either"]] = "classes"
    """What targets it takes: class numbers, floats, or either."""

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch, a scalar.

        Args:
            outputs: the field, (T, B, units).
            target: class numbers (B,), or floats (B, units).
            mask: (T, B), True at valid steps; None where all are valid.
        Raises: WrongOption, for shapes, types and classes that do not fit.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__: a loss must write it")


@register("loss")
class RateMSE(Loss):
    """Squared distance between mean firing rates and target rates.

    L = 1/(2 B) sum_samples sum_units (Y - 1/T sum_t S[t])^2   over the T valid steps of the sample

    Shape: spikes (T, B, units), class numbers (B,) or rates (B, units) -> ().
    Args:
        on_rate: target of the right class's unit, in spikes per step.
        off_rate: target of the other units, in spikes per step.
    Not: torch's mse_loss of the rates, which is 2/units of it.
    Source: Wu et al. 2018, their loss over S samples: one-hot targets, 1 and 0.
    """

    field: ClassVar[Field] = "spikes"
    readout: ClassVar[str] = "mean_rate"
    takes: ClassVar[Literal["classes", "values", "either"]] = "either"

    on_rate: Fraction = 1.0
    off_rate: Fraction = 0.0

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        _refuse_swapped(self, "on_rate", "off_rate")

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        check_outputs(self, outputs, mask)
        rates = mean_over_time(outputs, mask)  # (B, units)
        error = rates - wanted(self, target, outputs, self.on_rate, self.off_rate)
        return error.square().sum(1).mean() / 2


@register("loss")
class SpikeCount(Loss):
    """Distance between spike counts and target counts, squared or with its sign.

    L = 1/(2 B) sum_samples sum_units E^2,   E = sum_t S[t] - y   over valid steps
    power 1:  L = 1/B sum_samples sum_units E

    Shape: spikes (T, B, units), class numbers (B,) or counts (B, units) -> ().
    Args:
        correct: target count of the right class's unit, as a part of the sample's valid steps.
        incorrect: target count of the other units, as a part of the sample's valid steps.
        power: of the error E; 1 pushes every count down, whatever the target: it is least when all are silent.
    Not: rate_mse: its gradient grows with the number of steps, and long samples weigh more.
    Source: the LIF tutorial among the founding texts, whose E has power 1; target parts .8 and .2 from snnTorch's
        tutorials, where counts are rounded down and the square is divided by T and by units, not by 2.
    """

    field: ClassVar[Field] = "spikes"
    readout: ClassVar[str] = "spike_count"
    takes: ClassVar[Literal["classes", "values", "either"]] = "either"

    correct: Fraction = 0.8
    incorrect: Fraction = 0.2
    power: Literal[1, 2] = 2

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        _refuse_swapped(self, "correct", "incorrect")

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        check_outputs(self, outputs, mask)
        counts = sum_over_time(outputs, mask)  # (B, units)
        steps = outputs.shape[0] if mask is None else mask.sum(0)[:, None].to(counts.dtype)  # (B, 1)
        error = counts - wanted(self, target, outputs, self.correct * steps, self.incorrect * steps)
        return error.sum(1).mean() if self.power == 1 else error.square().sum(1).mean() / 2


@register("loss")
class CountCrossEntropy(Loss):
    """Softmax cross-entropy of spike counts.

    L = -1/B sum_samples log softmax(sum_t S[t])[class]   over valid steps

    Shape: spikes (T, B, units), class numbers (B,) -> ().
    Not: the cross-entropy of the spikes of each step, averaged (snnTorch's ce_rate_loss); nor that of rates: one more
        spike multiplies the odds by e, however long the sample is.
    """

    field: ClassVar[Field] = "spikes"
    readout: ClassVar[str] = "spike_count"

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        check_outputs(self, outputs, mask)
        return cross_entropy(sum_over_time(outputs, mask), class_numbers(self, target, outputs))


@register("loss")
class MembraneCrossEntropy(Loss):
    """Softmax cross-entropy of the potential.

    max, mean, last, sum: time first, then one cross-entropy for each sample, over its valid steps
        L = -1/B sum_samples log softmax(z)[class],   z = max_t U[t], 1/T sum_t U[t], U[T] or sum_t U[t]
    each_step, each_step_mean: a cross-entropy for each valid step first, then their sum or their mean
        L = -1/B sum_samples sum_t log softmax(U[t])[class],   or 1/T of it

    Shape: potential (T, B, units), class numbers (B,); for each_step and each_step_mean also (T, B) -> ().
    Args:
        over_time: how time is reduced; the first four before the cross-entropy, the two of each_step after it. Classes
            (T, B) are scored by readout=every_step, which a run has to name.
    Not: alike: sum takes the cross-entropy of the summed potential, each_step the sum of the steps' cross-entropies.
    Source: max from SpyTorch; each_step from snnTorch's tutorial 5, which adds up the losses of the steps.
    """

    field: ClassVar[Field] = "potential"
    readout: ClassVar[str] = "max_over_time"

    over_time: Literal["max", "mean", "last", "sum", "each_step", "each_step_mean"] = "max"

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        # An instance knows what its time reduction is scored by; the class only what the default is.
        self.readout = _READOUTS[self.over_time]  # type: ignore[misc]

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        check_outputs(self, outputs, mask)
        if self.over_time in REDUCTIONS:
            scores = REDUCTIONS[self.over_time](outputs, mask)  # (B, units)
            return cross_entropy(scores, class_numbers(self, target, outputs))
        classes = classes_of_steps(self, target, outputs, mask).flatten()
        scores = at_valid_steps(precise(outputs), mask).flatten(0, 1)  # (T B, units)
        losses = cross_entropy(scores, classes, "none").view(outputs.shape[:2])
        total = at_valid_steps(losses, mask).sum(0)  # (B,)
        return (total if self.over_time == "each_step" else total / valid_steps(outputs, mask)).mean()


_READOUTS = {
    "max": "max_over_time",
    "mean": "mean_over_time",
    "last": "last_step",
    "sum": "sum_over_time",
    "each_step": "sum_over_time",
    "each_step_mean": "mean_over_time",
}


@register("loss")
class TraceMSE(Loss):
    """Mean squared distance between the potential and a target at every step: regression.

    L = 1/(B T units) sum_samples sum_t sum_units (U[t] - y[t])^2   over the T valid steps of each sample

    Shape: potential (T, B, units), target (T, B, units), or (B, units) held at every step -> ().
    Not: for class numbers, which it refuses. A long sample weighs as much as a short one.
    """

    field: ClassVar[Field] = "potential"
    readout: ClassVar[str] = "every_step"
    takes: ClassVar[Literal["classes", "values", "either"]] = "values"

    def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        """The loss of a batch."""
        check_outputs(self, outputs, mask)
        potential = precise(outputs)
        if target.shape != outputs.shape or not target.is_floating_point():
            target = values(self, target, outputs, f", or {tuple(outputs.shape)}")
        error = at_valid_steps(potential - target.to(potential.dtype), mask)
        return mean_over_time(error.square(), mask).mean()


def cross_entropy(scores: Tensor, classes: Tensor, reduction: Literal["mean", "none"] = "mean") -> Tensor:
    """The softmax cross-entropy of scores (N, units) and classes (N,), none of which is skipped."""
    # Left to itself torch skips rows of class -100: the one unknown class that would go through on other devices.
    return functional.cross_entropy(scores, classes, reduction=reduction, ignore_index=-(2**62))


def class_numbers(loss: Loss, target: Tensor, outputs: Tensor) -> Tensor:
    """The target as class numbers (B,), int64.

    Raises: WrongOption, for another shape or type; on the CPU also for a class without an output unit (elsewhere
        asking would make the device wait, and torch stops by itself).
    """
    where, (_, samples, units) = snake_case(type(loss).__name__), outputs.shape
    if target.is_floating_point() or target.dtype == torch.bool or target.shape != (samples,):
        raise WrongOption(
            f"{where}: a target of {target.dtype}, shape {tuple(target.shape)}. "
            f"It takes a class number for each sample, whole numbers of shape ({samples},)."
        )
    _refuse_unknown(target, units, where)
    return target.long()


def classes_of_steps(loss: Loss, target: Tensor, outputs: Tensor, mask: Tensor | None) -> Tensor:
    """The target as class numbers (T, B), int64: one for each step, or each sample's at all of its steps.

    Raises: WrongOption, as class_numbers; what stands at invalid steps is not looked at.
    """
    if target.shape != outputs.shape[:2] or target.is_floating_point() or target.dtype == torch.bool:
        return class_numbers(loss, target, outputs).expand(outputs.shape[:2])
    target = target.long() if mask is None else torch.where(mask, target.long(), 0)
    _refuse_unknown(target, outputs.shape[2], snake_case(type(loss).__name__))
    return target


def values(loss: Loss, target: Tensor, outputs: Tensor, also: str = "") -> Tensor:
    """The target as floats (B, units), in the precision of the scores; (B,) is taken where there is one unit.

    Args:
        loss: whose target it is.
        target: the target.
        outputs: what it is compared with, (T, B, units).
        also: what else the loss takes, for the error.
    Raises: WrongOption, for another shape or type.
    """
    samples, units = outputs.shape[1:]
    if target.is_floating_point() and target.shape == (samples,) and units == 1:
        target = target[:, None]
    if not target.is_floating_point() or target.shape != (samples, units):
        raise WrongOption(
            f"{snake_case(type(loss).__name__)}: a target of {target.dtype}, shape {tuple(target.shape)}. "
            f"It takes floats of shape ({samples}, {units}){also}."
        )
    return target.to(torch.promote_types(outputs.dtype, torch.float32))


def wanted(loss: Loss, target: Tensor, outputs: Tensor, on: Tensor | float, off: Tensor | float) -> Tensor:
    """What each unit should reach, (B, units): floats as they are; class numbers as `on` for theirs, `off` for others.

    Raises: WrongOption, for a target that is neither.
    """
    if target.is_floating_point() or target.shape != outputs.shape[1:2]:
        return values(loss, target, outputs, f", or a class number for each sample, shape ({outputs.shape[1]},)")
    chosen = functional.one_hot(class_numbers(loss, target, outputs), outputs.shape[2])
    return off + (on - off) * chosen.to(torch.promote_types(outputs.dtype, torch.float32))


def _refuse_swapped(loss: Loss, on: str, off: str) -> None:
    high, low = getattr(loss, on), getattr(loss, off)
    if high <= low:
        where = snake_case(type(loss).__name__)
        raise WrongOption(f"{where}.{on}: {high}, and {off} {low}. It takes {on} above {off}.")


def _refuse_unknown(target: Tensor, units: int, where: str) -> None:
    if target.device.type != "cpu":
        return
    unknown = target[(target < 0) | (target >= units)]
    if len(unknown):
        raise WrongOption(
            f"{where}: class {int(unknown[0])} for {units} outputs. It takes class numbers 0 … {units - 1}."
        )
