"""Promises about options: none is silently without effect, and no wrong value goes through."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from annotated_types import Ge, Gt, Le, Lt
from torch import Tensor

from snnlab.neurons.constants import AtLeast, as_tensor
from snnlab.options import settings
from snnlab.testing.general import choices
from snnlab.testing.neurons.probe import (
    UNITS,
    Make,
    constant_names,
    drive,
    is_made,
    kind_of,
    other_values,
    run,
)  # fmt: skip


def check_no_option_is_without_effect(make: Make) -> None:
    """Another value changes outputs, a gradient, the parameters, or the noise gain: alone, or beside another option."""
    constants = constant_names(make)
    for name in settings(kind_of(make)):
        if name in ("learn", "share") and not constants:
            continue  # there is nothing that they could be about
        values = [[constant] for constant in constants] if name == "learn" else _others(make, name)
        tried = [value for value in values[:6] if is_made(make, **{name: value})]
        changed = (_changes(make, name, value, beside) for beside in _beside(make, name) for value in tried)
        effective = any(changed)
        told = f"outputs, gradients, parameters and noise gain are the same with {', '.join(map(str, tried))}"
        assert effective or not tried, f"{name} has no effect: {told}"


def check_wrong_options_are_refused(make: Make) -> None:
    """NaN, text and numbers out of range for a constant, and options that do not exist."""
    assert not is_made(make, no_such_option=1.0), "an option that does not exist is not refused"
    for name in constant_names(make):
        for value in (math.nan, math.inf, "1", [], [math.nan], True, None, *_outside(make, name)):
            assert not is_made(make, **{name: value}), f"{name}={value!r} is not refused"
    if constant_names(make):
        assert not is_made(make, learn=["no_such_constant"]), "learn takes a constant that does not exist"


def _others(make: Make, name: str) -> list[Any]:
    try:
        return other_values(make, name)
    except AssertionError:
        return []  # every other value is refused out loud, or none can be derived


def _beside(make: Make, name: str) -> Iterator[dict[str, Any]]:
    """Other options that may have to be set for one to act: none first, then each choice and each learned constant."""
    yield {}
    for constant in constant_names(make):
        if name != "learn":
            yield {"learn": [constant]}
    for other, option in settings(kind_of(make)).items():
        if other not in (name, "share") and (choices(option.annotation) or option.annotation is bool):
            yield from ({other: value} for value in _others(make, other))


def _changes(make: Make, name: str, value: Any, beside: dict[str, Any]) -> bool:
    if not is_made(make, units=[UNITS], **beside) or not is_made(make, units=[UNITS], **{**beside, name: value}):
        return False
    currents = drive(make)
    one, other = (_trace(make, currents, {**beside, **given}) for given in ({}, {name: value}))
    return one.keys() != other.keys() or any(not _same(one[key], other[key]) for key in one)


def _trace(make: Make, currents: Tensor, given: dict[str, Any]) -> dict[str, Tensor | None]:
    neuron = make(units=[UNITS], **given).double()
    found = run(neuron, currents)
    values: dict[str, Tensor | None] = {"outputs": found.outputs, "gradient of currents": found.current_gradient}
    values |= {f"gradient of {name}": gradient for name, gradient in found.gradients.items()}
    return values | {"noise gain": as_tensor(neuron.noise_gain()).detach().double()}


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


def _outside(make: Make, name: str) -> Iterator[float]:
    """Numbers just out of the range of a constant."""
    for mark in settings(kind_of(make))[name].marks:
        if isinstance(mark, Gt | Lt):
            yield float(mark.gt if isinstance(mark, Gt) else mark.lt)  # type: ignore[arg-type]
        if isinstance(mark, Ge | Le):
            yield float(mark.ge) - 1 if isinstance(mark, Ge) else float(mark.le) + 1  # type: ignore[arg-type]
        if isinstance(mark, AtLeast):
            yield float(getattr(make(), mark.option)) / 2


CHECKS: tuple[Callable[[Make], None], ...] = (check_no_option_is_without_effect, check_wrong_options_are_refused)
