"""The promises of synapses, as checks over the built part."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from snnlab.synapses import Synapse
from snnlab.testing.general import NotApplicable


def check_shapes_are_those_stated(synapse: Synapse) -> None:
    """(T, B, *inputs) becomes (T, B, *units), or (B, units) stays (B, units) where it is called in each step."""
    x = _inputs(synapse)
    currents = synapse(x)
    lead = 1 if synapse.takes == "step" else 2
    expected = (*x.shape[:lead], *_shape(synapse.units))
    assert currents.shape == expected, f"it turns {tuple(x.shape)} into {tuple(currents.shape)}, not into {expected}"


def check_samples_are_independent(synapse: Synapse) -> None:
    """What one sample gets does not depend on which others are in the batch."""
    x = _inputs(synapse)
    axis = _axis_of_samples(synapse)
    alone = synapse(x.narrow(axis, 1, 1))
    _close(synapse(x).narrow(axis, 1, 1), alone, "a sample's currents change with the other samples of its batch")


def check_two_equal_calls_give_equal_currents(synapse: Synapse) -> None:
    """Nothing is kept from call to call."""
    x = _inputs(synapse)
    first = synapse(x)
    synapse(2 * x)
    assert torch.equal(synapse(x), first), "a second call with the same input gives other currents"


def check_a_constant_input_equals_its_copy(synapse: Synapse) -> None:
    """A view of one step, as encoder `constant` gives it, acts as the same values in memory."""
    if synapse.takes == "step":
        raise NotApplicable("it is called in each step")
    x = _inputs(synapse)
    still = x[:1].expand(x.shape)
    _close(synapse(still), synapse(still.contiguous()), "a view of one step gives other currents than its copy")


def check_every_parameter_gets_a_gradient(synapse: Synapse) -> None:
    """What is trained acts on the currents."""
    named = dict(synapse.named_parameters())
    if not named:
        raise NotApplicable("it has no parameters")
    loss = synapse(_inputs(synapse)).square().sum()
    gradients = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None and bool((gradient != 0).any()), f"{name} gets no gradient"


def check_the_input_gets_a_gradient(synapse: Synapse) -> None:
    """The layer below can learn."""
    x = _inputs(synapse).requires_grad_()
    (gradient,) = torch.autograd.grad(synapse(x).square().sum(), x, allow_unused=True)
    assert gradient is not None and bool((gradient != 0).any()), "the input gets no gradient"


def check_float64_is_kept(synapse: Synapse) -> None:
    """`.double()` gives currents of float64."""
    double = copy.deepcopy(synapse).double()
    dtype = double(_inputs(synapse).double()).dtype
    assert dtype == torch.float64, f"in float64 it gives {dtype}"


def check_a_copy_computes_the_same(synapse: Synapse) -> None:
    """deepcopy, and a state_dict that is loaded, carry everything over."""
    x = _inputs(synapse)
    other = copy.deepcopy(synapse)
    assert torch.equal(other(x), synapse(x)), "its deepcopy gives other currents"
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    other.load_state_dict(synapse.state_dict())
    assert torch.equal(other(x), synapse(x)), "its state_dict does not hold all that it computes with"


def _inputs(synapse: Synapse) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    # The outputs of a layer go back to the layer itself: as many as it has units.
    shape = (3, *_shape(synapse.units)) if synapse.takes == "step" else (5, 3, *_shape(synapse.inputs))
    return torch.randn(shape, generator=generator)


def _shape(size: int | list[int]) -> tuple[int, ...]:
    return (size,) if isinstance(size, int) else tuple(size)


def _axis_of_samples(synapse: Synapse) -> int:
    return 0 if synapse.takes == "step" else 1


def _close(one: Tensor, other: Tensor, what: str) -> None:
    # A product may be added up in another order where a matrix has other sizes.
    assert torch.allclose(one, other, rtol=1e-5, atol=1e-5), what


CHECKS: tuple[Callable[[Synapse], None], ...] = (
    check_shapes_are_those_stated,
    check_samples_are_independent,
    check_two_equal_calls_give_equal_currents,
    check_a_constant_input_equals_its_copy,
    check_every_parameter_gets_a_gradient,
    check_the_input_gets_a_gradient,
    check_float64_is_kept,
    check_a_copy_computes_the_same,
)
