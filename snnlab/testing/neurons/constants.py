"""Promises about constants: one number or many, given or learned, they mean the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from snnlab.neurons import Neuron
from snnlab.neurons.constants import AtLeast, as_tensor
from snnlab.options import settings
from snnlab.testing.general import NotApplicable, accepts
from snnlab.testing.neurons.probe import (
    UNITS,
    Make,
    close,
    constant_names,
    drive,
    is_made,
    kind_of,
    learner,
    other_values,
    rest_of,
    run,
    value_of,
)  # fmt: skip

CHANNELS = (2, 3, 2)


def check_constants_may_differ_from_unit_to_unit(make: Make) -> None:
    """A list of values gives what each unit does with its own value."""
    currents = drive(make)
    for name in _constants(make):
        values = _several(make, name, UNITS)
        together = make(**{name: values})(currents).outputs
        apart = [make(**{name: value})(currents[..., i : i + 1]).outputs for i, value in enumerate(values)]
        assert close(together, torch.cat(apart, dim=-1)), (
            f"{name}={values} is not what units apart do with these values"
        )


def check_units_may_have_channels(make: Make) -> None:
    """Units of shape (C, H, W) do what they do in a row; a list of C values gives one to each channel."""
    currents = drive(make, units=CHANNELS)
    row = make()(currents.flatten(2)).outputs.reshape(currents.shape)
    assert close(make()(currents).outputs, row), f"units of shape {CHANNELS} differ from as many in a row"
    for name in constant_names(make):
        values = _several(make, name, CHANNELS[0])
        together = make(**{name: values})(currents).outputs
        apart = [make(**{name: value})(currents[:, :, i : i + 1]).outputs for i, value in enumerate(values)]
        assert close(together, torch.cat(apart, dim=2)), f"{name}={values} does not give one value to each channel"
        for share, shape in (("layer", ()), ("channel", CHANNELS[:1]), ("unit", CHANNELS)):
            neuron = learner(make, [name], units=list(CHANNELS), share=share)
            (parameter,) = neuron.parameters()
            assert tuple(parameter.shape) == shape, f"share={share} learns {tuple(parameter.shape)} values of {name}"
            assert neuron(currents).outputs.shape == currents.shape, f"share={share} changes the shape of the outputs"


def check_constants_may_be_tensors(make: Make) -> None:
    """A tensor means what its numbers mean, and gradients reach it."""
    currents = drive(make)
    for name in _constants(make):
        values = _several(make, name, UNITS)
        tensor = torch.tensor(values, dtype=torch.float64, requires_grad=True)
        outputs = make(**{name: tensor})(currents).outputs
        assert close(outputs, make(**{name: values})(currents).outputs), (
            f"{name} as a tensor differs from {name} as a list"
        )
        assert outputs.requires_grad, f"no gradient reaches {name}: constants() must be made of tensor operations"


def check_learned_constants_get_gradients(make: Make) -> None:
    """Each constant can be learned, starts at its value, and gets a gradient that is finite and not zero."""
    for name in _constants(make):
        for share in ("layer", "channel", "unit"):
            neuron = learner(make, [name], units=[UNITS], share=share).double()
            gradient = run(neuron, drive(make)).gradients[f"{name}_raw"]
            assert gradient is not None, (
                f"learn=[{name}], share={share}: no gradient; does constants() use self.{name}?"
            )
            assert bool(gradient.isfinite().all()), f"learn=[{name}], share={share}: the gradient is not finite"
            assert bool(gradient.any()), f"learn=[{name}], share={share}: the gradient is zero"
        if is_made(make, learn=[name]):
            start, stated = as_tensor(getattr(make(learn=[name]), name)), as_tensor(value_of(make, name))
            near = torch.allclose(start.detach().double(), stated.detach().double(), rtol=1e-5)
            assert near, f"learn=[{name}] starts at {start.tolist()}, not at {stated.tolist()}"


def check_learned_constants_stay_in_range(make: Make) -> None:
    """No step of an optimizer, however large, leads out of the range, or to anything that is not a number."""
    for name in _constants(make):
        for move in (-1e4, -100.0, -20.0, 20.0, 100.0, 1e4):
            neuron = learner(make, [name])
            with torch.no_grad():
                neuron.get_parameter(f"{name}_raw").add_(move)
            _hold_range(neuron, name, getattr(neuron, name).detach())
            told = f"with {name} learned as {getattr(neuron, name).item():g}"
            currents = drive(make, dtype=torch.float32)
            outputs = neuron(currents).outputs
            assert bool(outputs.isfinite().all()), f"{told} outputs are not finite"
            # Through the constants alone: a sequence may multiply a huge one step by step, and rightly overflow.
            constants = neuron.step_constants(currents.shape[2:], currents.device, torch.float32)
            total = torch.stack([constant.sum() for constant in constants.values()]).sum()
            (gradient,) = torch.autograd.grad(total, neuron.get_parameter(f"{name}_raw"))
            assert bool(gradient.isfinite().all()), f"{told} the gradient of the step's constants is not finite"


def check_learned_constants_are_saved(make: Make) -> None:
    """state_dict and load_state_dict carry all that is learned, and nothing else is needed."""
    given: dict[str, Any] = {"units": [UNITS]}
    given |= {"initial": "learned"} if is_made(make, units=[UNITS], initial="learned") else {}
    one, other = learner(make, **given), learner(make, **given)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.1)
    other.load_state_dict(one.state_dict(), strict=True)
    currents = drive(make)
    assert torch.equal(one(currents).outputs, other(currents).outputs), "after load_state_dict the outputs differ"


def check_the_first_state_can_be_learned(make: Make) -> None:
    """initial=learned adds one value per unit to each field at rest, which gets a gradient."""
    if not is_made(make, units=[UNITS], initial="learned"):
        raise NotApplicable("it refuses initial=learned")
    neuron = make(units=[UNITS], initial="learned").double()
    currents = drive(make)
    found = run(neuron, currents)
    for name, gradient in found.gradients.items():
        some = gradient is not None and bool(gradient.isfinite().all()) and bool(gradient.any())
        assert some, f"{name} gets no gradient, or one that is not finite"
    with torch.no_grad():
        for i, parameter in enumerate(neuron.parameters()):
            parameter.add_(0.05 * (i + 1) * torch.arange(1, UNITS + 1))
    rest = rest_of(make(), currents)
    offsets = {name: neuron._parameters.get(f"initial_{name}") for name in rest._fields}
    moved = rest._replace(**{k: getattr(rest, k) + offset for k, offset in offsets.items() if offset is not None})
    assert close(neuron(currents).outputs, make()(currents, moved).outputs), "a learned first state is not rest plus it"


def _constants(make: Make) -> list[str]:
    names = constant_names(make)
    if not names:
        raise NotApplicable("it has no constants")
    return names


def _several(make: Make, name: str, count: int) -> list[float]:
    """As many different values of a constant as there are, over and over."""
    values = [float(value) for value in other_values(make, name)[:count]]
    return [values[i % len(values)] for i in range(count)]


def _hold_range(neuron: Neuron, name: str, value: Tensor) -> None:
    option = settings(kind_of(type(neuron)))[name]
    assert accepts(option, value), f"learn=[{name}] led to {value.item():g}: it takes {option.type}"
    for mark in option.marks:
        if isinstance(mark, AtLeast):
            least = float(getattr(neuron, mark.option))
            assert value.item() >= least, f"learn=[{name}] led to {value.item():g}, below {mark.option} = {least:g}"


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_constants_may_differ_from_unit_to_unit,
    check_units_may_have_channels,
    check_constants_may_be_tensors,
    check_learned_constants_get_gradients,
    check_learned_constants_stay_in_range,
    check_learned_constants_are_saved,
    check_the_first_state_can_be_learned,
)
