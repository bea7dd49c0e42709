"""What the checks of neurons share: currents that a neuron answers to, and what it does with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.neurons import Neuron
from snnlab.neurons.constants import is_constant
from snnlab.options import Option, settings
from snnlab.testing.general import candidates, required_values

Make = Callable[..., Neuron]

STEPS, BATCH, UNITS = 30, 3, 4


class Run(NamedTuple):
    """What a neuron did with currents, and the gradients of a weighted sum of its outputs."""

    outputs: Tensor
    current_gradient: Tensor
    gradients: dict[str, Tensor | None]


def maker(part: Callable[..., Neuron]) -> Make:
    """A factory of neurons: the class, or functools.partial of it, with a value for each option that has no default."""
    kind = kind_of(part)
    given = getattr(part, "keywords", {})
    return functools.partial(kind, **{**required_values(kind), **given})


def kind_of(make: Make) -> type[Neuron]:
    """The class that a factory makes instances of."""
    kind = make.func if isinstance(make, functools.partial) else make
    assert isinstance(kind, type) and issubclass(kind, Neuron), f"{kind} is no class of neurons"
    return kind


def value_of(make: Make, name: str) -> Any:
    """What an option is unless a check says otherwise."""
    given = getattr(make, "keywords", {})
    return given[name] if name in given else settings(kind_of(make))[name].default


def constant_names(make: Make) -> list[str]:
    """The options that are constants of the dynamics."""
    return [name for name, option in settings(kind_of(make)).items() if is_constant(option)]


def other_values(make: Make, name: str, count: int = 1) -> list[Any]:
    """Values that the neuron takes for an option beside the one it has, as far as it takes any.

    Raises: AssertionError, where there are fewer than `count`.
    """
    option = settings(kind_of(make))[name]
    option = Option(name, option.annotation, value_of(make, name), option.help)
    values = [value for value in dict.fromkeys(candidates(option)) if is_made(make, **{name: value})]
    assert len(values) >= count, f"{name}: no {count} other values were found that it takes"
    return values


def is_made(make: Make, **given: Any) -> bool:
    """Whether the neuron takes these options together."""
    try:
        make(**given)
    except WrongOption:
        return False
    return True


def learner(make: Make, names: Sequence[str] | None = None, **given: Any) -> Neuron:
    """The neuron with learned constants, all by default; one that starts on the edge of its range is moved inside."""
    names = constant_names(make) if names is None else list(names)
    moved: dict[str, Any] = {}
    for name in names:
        if name in given or is_made(make, learn=[name], **given):
            continue
        inside = [value for value in other_values(make, name) if is_made(make, learn=[name], **{**given, name: value})]
        assert inside, f"learn=[{name}] is refused at every value"
        moved[name] = inside[0]
    return make(learn=names, **given, **moved)


def drive(
    make: Make,
    steps: int = STEPS,
    batch: int = BATCH,
    units: Sequence[int] = (UNITS,),
    dtype: torch.dtype = torch.float64,
) -> Tensor:
    """Random currents (steps, batch, *units) to which the neuron answers, mostly of one sign; the same each time."""
    generator = torch.Generator().manual_seed(20)
    noise = torch.rand((steps, batch, *units), generator=generator, dtype=torch.float64) * 2 - 0.5
    return (noise * strength(make)).to(dtype)


def strength(make: Make) -> float:
    """How strong currents must be for a tenth of the outputs to differ from those without any."""
    generator = torch.Generator().manual_seed(21)
    noise = torch.rand((STEPS, 2, UNITS), generator=generator, dtype=torch.float64) * 2 - 0.5
    neuron = make()
    silent = neuron(torch.zeros_like(noise)).outputs
    spiking = "spikes" in neuron.State._fields
    for power in range(-6 if spiking else 0, 16):
        scale = 2.0**power
        if float((neuron(scale * noise).outputs != silent).double().mean()) >= 0.1:
            return scale
    raise AssertionError(f"currents of up to {scale:g} change no output")


def rest_of(neuron: Neuron, currents: Tensor) -> Any:
    """The state before the first step, in the type of the currents."""
    constants = neuron.step_constants(currents.shape[2:], currents.device, currents.dtype)
    return neuron.first_state(constants, currents.shape[1:], currents.dtype, currents.device)


def weights_like(outputs: Tensor) -> Tensor:
    """Fixed random weights of both signs, so that no gradient cancels by accident."""
    generator = torch.Generator().manual_seed(22)
    return torch.randn(outputs.shape, generator=generator, dtype=torch.float64).to(outputs)


def run(neuron: Neuron, currents: Tensor) -> Run:
    """Outputs, and the gradients of their weighted sum."""
    currents = currents.detach().clone().requires_grad_()
    outputs = neuron(currents).outputs
    loss = (outputs * weights_like(outputs)).sum()
    names, parameters = list(dict(neuron.named_parameters())), list(neuron.parameters())
    inputs = [currents, *parameters]
    found: Sequence[Tensor | None] = [None] * len(inputs)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
    first = torch.zeros_like(currents) if found[0] is None else found[0]
    return Run(outputs.detach(), first, dict(zip(names, found[1:], strict=True)))


def close(one: Tensor, other: Tensor) -> bool:
    """Equal up to the rounding of float64, which may differ between vectors of different length."""
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-9, atol=1e-12)
