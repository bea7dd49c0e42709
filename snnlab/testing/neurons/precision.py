"""Promises about number types: float64 is kept, and half precision leaves the state in float32."""

from __future__ import annotations

from collections.abc import Callable

import torch

from snnlab.neurons import Neuron
from snnlab.testing.general import NotApplicable
from snnlab.testing.neurons.probe import STEPS, Make, drive, kind_of, learner, run


def check_float64_is_kept_and_close_to_float32(make: Make) -> None:
    """.double() works with learned constants, and both types tell the same story."""
    exact = drive(make, dtype=torch.float32).double()  # the same currents in both
    fine, coarse = learner(make).double()(exact), learner(make)(exact.float())
    assert fine.outputs.dtype == torch.float64, f"float64 currents give {fine.outputs.dtype} outputs"
    _hold_state(fine.state, torch.float64)
    assert coarse.outputs.dtype == torch.float32, f"float32 currents give {coarse.outputs.dtype} outputs"
    scale = fine.outputs.detach().abs().max()
    off = ((fine.outputs - coarse.outputs).abs() > 1e-3 * scale).double().mean()  # a spike may fall on the other side
    assert float(off) <= 0.02, f"float32 and float64 give other outputs in {100 * float(off):.0f} % of all steps"


def check_no_digits_are_lost_inside(make: Make) -> None:
    """A step rounds to no narrower type than that of the currents."""
    fields = kind_of(make).State._fields
    for dtype, narrow in ((torch.float64, torch.float32), (torch.float32, torch.bfloat16)):
        records = make()(drive(make, dtype=dtype), record=fields).records
        for name, values in records.items():
            few = values.unique().numel() < STEPS  # counts and spikes, which any type holds
            kept = few or not torch.equal(values, values.to(narrow).to(dtype))
            assert kept, f"with {dtype} currents, {name} holds nothing but numbers of {narrow}"


def check_bfloat16_leaves_the_state_in_float32(make: Make) -> None:
    """.bfloat16() works with learned constants; a state that decays over many steps keeps its digits."""
    currents = drive(make, dtype=torch.bfloat16)
    fields = kind_of(make).State._fields
    neuron = learner(make).bfloat16()
    sequence = neuron(currents, record=fields)
    assert sequence.outputs.dtype == torch.bfloat16, f"bfloat16 currents give {sequence.outputs.dtype} outputs"
    _hold_state(sequence.state, torch.float32)
    for name, gradient in run(neuron, currents).gradients.items():
        assert gradient is None or bool(gradient.isfinite().all()), f"in bfloat16 the gradient of {name} is not finite"
    wide, narrow = make()(currents.float(), record=fields), make()(currents, record=fields)
    for name in fields:
        assert torch.equal(wide.records[name], narrow.records[name]), f"inside, {name} is rounded to bfloat16"


def check_autocast_leaves_the_state_in_float32(make: Make) -> None:
    """Under torch.autocast to bfloat16 the step computes what it computes without."""
    currents = drive(make, dtype=torch.float32)
    neuron = learner(make)
    plain = neuron(currents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under, halved = neuron(currents), neuron(currents.bfloat16())
    _hold_state(under.state, torch.float32)
    _hold_state(halved.state, torch.float32)
    assert torch.equal(under.outputs, plain.outputs), "under autocast the same currents give other outputs"


def check_gradients_equal_finite_differences(make: Make) -> None:
    """Without spikes, the gradients of currents and learned constants are those of the function that is computed."""
    if "spikes" in kind_of(make).State._fields:
        raise NotApplicable("it spikes: a surrogate stands in for the derivative")
    neuron: Neuron = learner(make).double()
    currents = drive(make, steps=4, batch=1).requires_grad_()
    names = list(dict(neuron.named_parameters()))

    def outputs(currents: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        given = dict(zip(names, values, strict=True))
        sequence = torch.func.functional_call(neuron, given, (currents,))
        result: torch.Tensor = sequence.outputs
        return result

    inputs = (currents, *(parameter.detach().clone().requires_grad_() for parameter in neuron.parameters()))
    same = torch.autograd.gradcheck(outputs, inputs, raise_exception=False)
    assert same, "the gradients differ from finite differences: is something detached, or hidden from autograd?"


def _hold_state(state: tuple[torch.Tensor, ...], dtype: torch.dtype) -> None:
    for name, field in zip(type(state)._fields, state, strict=True):  # type: ignore[attr-defined]
        assert field.dtype == dtype, f"{name} of the state is {field.dtype}, not {dtype}"


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_float64_is_kept_and_close_to_float32,
    check_no_digits_are_lost_inside,
    check_bfloat16_leaves_the_state_in_float32,
    check_autocast_leaves_the_state_in_float32,
    check_gradients_equal_finite_differences,
)
