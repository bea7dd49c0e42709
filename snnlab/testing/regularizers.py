"""The promises of regularizers, as checks over a built regularizer."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from snnlab.regularizers import Regularizer
from snnlab.testing.general import NotApplicable

STEPS, SAMPLES, UNITS = 6, 4, 12
LENGTHS = (6, 4, 1, 3)


def check_it_gives_one_finite_number(regularizer: Regularizer) -> None:
    """A scalar, neither NaN nor infinite, also where no unit fires and where all do."""
    for spikes in _activities():
        value = regularizer(spikes)
        assert value.shape == (), f"it gives a tensor of shape {tuple(value.shape)}, not one number"
        assert bool(value.isfinite()), f"it gives {value.item()}"


def check_some_activity_gets_a_gradient(regularizer: Regularizer) -> None:
    """Silence, or all units firing all the time, or something between, is pushed elsewhere."""
    gradients = [_value_and_gradient(regularizer, spikes)[1] for spikes in _activities()]
    assert all(bool(gradient.isfinite().all()) for gradient in gradients), "a gradient is NaN or infinite"
    if getattr(regularizer, "weight", 1.0) == 0:
        raise NotApplicable("its weight is 0")
    assert any(bool(gradient.any()) for gradient in gradients), "no activity gets a gradient: it has no effect"


def check_padding_has_no_effect(regularizer: Regularizer) -> None:
    """What stands at invalid steps changes neither the number nor a gradient, and gets none."""
    mask = _mask()
    for spikes in _activities():
        clean = torch.where(mask[..., None], spikes, 0.0)
        value, gradient = _value_and_gradient(regularizer, clean, mask)
        for garbage in (1.0, 1e4, torch.inf):
            padded = torch.where(mask[..., None], clean, garbage)
            other, others = _value_and_gradient(regularizer, padded, mask)
            assert torch.equal(value, other), f"with {garbage:g} at invalid steps it is {other:g} instead of {value:g}"
            assert not others[~mask].any(), f"invalid steps get a gradient where {garbage:g} stands"
            assert torch.equal(gradient, others), f"{garbage:g} at invalid steps changes gradients at valid ones"


def check_more_padding_has_no_effect(regularizer: Regularizer) -> None:
    """A batch padded to more steps is worth the same."""
    mask, more = _mask(), torch.zeros(3, SAMPLES, dtype=torch.bool)
    for spikes in _activities():
        value = regularizer(spikes, mask)
        longer = regularizer(torch.cat([spikes, torch.ones(3, SAMPLES, UNITS)]), torch.cat([mask, more]))
        assert torch.allclose(value, longer), f"it is {value:g}, and {longer:g} where the batch is padded to more steps"


def check_a_mask_of_valid_steps_is_no_mask(regularizer: Regularizer) -> None:
    """True everywhere is the same as None."""
    everywhere = torch.ones(STEPS, SAMPLES, dtype=torch.bool)
    for spikes in _activities():
        masked, plain = regularizer(spikes, everywhere), regularizer(spikes)
        assert torch.allclose(masked, plain), f"it is {plain:g} without a mask, {masked:g} where the mask is all True"


def check_the_shape_of_the_units_has_no_effect(regularizer: Regularizer) -> None:
    """Channels of rows of columns are worth as much as the same units in a row."""
    for spikes in _activities():
        for mask in (None, _mask()):
            flat, folded = regularizer(spikes, mask), regularizer(spikes.reshape(STEPS, SAMPLES, 2, 3, 2), mask)
            assert torch.allclose(flat, folded), f"it is {flat:g} for 12 units in a row, {folded:g} for 2 x 3 x 2"


def check_the_order_of_samples_has_no_effect(regularizer: Regularizer) -> None:
    """A batch in another order is worth the same."""
    order, mask = torch.tensor([2, 0, 3, 1]), _mask()
    for spikes in _activities():
        value, moved = regularizer(spikes, mask), regularizer(spikes[:, order], mask[:, order])
        assert torch.allclose(value, moved), f"it is {value:g}, and {moved:g} with the samples in another order"


def check_it_is_proportional_to_its_weight(regularizer: Regularizer) -> None:
    """Twice the weight is twice the number, and without weight it is 0."""
    for spikes in _activities():
        values = []
        for weight in (0.0, 1.0, 2.0):
            other = copy.copy(regularizer)
            other.weight = weight
            values.append(float(other(spikes)))
        assert values[0] == 0, f"with weight 0 it is {values[0]:g}"
        off = abs(values[2] - 2 * values[1])
        assert off <= 1e-6 * abs(values[1]), f"with weights 1 and 2 it is {values[1]:g} and {values[2]:g}"


def check_float64_is_kept(regularizer: Regularizer) -> None:
    """float64 spikes give a float64 number, and float32 ones nearly the same."""
    for spikes in _activities():
        double, single = regularizer(spikes.double()), regularizer(spikes)
        assert double.dtype == torch.float64, f"float64 spikes give {double.dtype}"
        assert torch.allclose(double.float(), single, rtol=1e-5, atol=1e-7), "float32 and float64 give other numbers"


def check_its_arguments_are_left_as_they_were(regularizer: Regularizer) -> None:
    """Spikes and mask are not changed in place."""
    for spikes in _activities():
        given = (spikes, _mask())
        before = [tensor.clone() for tensor in given]
        regularizer(*given)
        assert all(map(torch.equal, given, before)), "it changes its arguments"


def _activities() -> list[Tensor]:
    """Silence, sparse and dense spikes with other rates for other units, and all units firing all the time."""
    uniform = torch.rand(STEPS, SAMPLES, UNITS, generator=torch.Generator().manual_seed(0))
    rates = torch.linspace(0, 1, UNITS)
    return [torch.zeros_like(uniform), (uniform < rates).float(), torch.ones_like(uniform)]


def _mask() -> Tensor:
    return torch.arange(STEPS)[:, None] < torch.tensor(LENGTHS)


def _value_and_gradient(regularizer: Regularizer, spikes: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    leaf = spikes.detach().clone().requires_grad_()
    value = regularizer(leaf, mask)
    assert value.requires_grad, "no gradient goes through it"
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


CHECKS = (
    check_it_gives_one_finite_number,
    check_some_activity_gets_a_gradient,
    check_padding_has_no_effect,
    check_more_padding_has_no_effect,
    check_a_mask_of_valid_steps_is_no_mask,
    check_the_shape_of_the_units_has_no_effect,
    check_the_order_of_samples_has_no_effect,
    check_it_is_proportional_to_its_weight,
    check_float64_is_kept,
    check_its_arguments_are_left_as_they_were,
)
