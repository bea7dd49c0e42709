"""Promises about time: the stated delay, and a decay in milliseconds whatever the length of a step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from snnlab.testing.general import NotApplicable
from snnlab.testing.neurons.probe import UNITS, Make, drive, kind_of, rest_of, strength

KICK = -1e-3  # away from any threshold
FIRST_ORDER = 0.1  # an Euler step of dt differs from two of dt/2 by dt / (4 tau) in the exponent


def check_the_delay_is_the_stated_one(make: Make) -> None:
    """`delay` steps lie between a current and the earliest output that it changes."""
    stated, steps = kind_of(make).delay, max(12, kind_of(make).delay + 4)
    neuron = make()
    measured = []
    for currents in (torch.zeros(steps, 1, UNITS, dtype=torch.float64), drive(make, steps, 1)):
        for factor in (1.0, -1.0, 10.0, -10.0, 1e3, -1e3):
            changed = currents.clone()
            changed[0] += factor * strength(make)
            different = (neuron(changed).outputs != neuron(currents).outputs).flatten(1).any(dim=1)
            measured += [int(different.int().argmax())] if bool(different.any()) else []
    assert measured, "no current in the first step changes any output"
    assert min(measured) == stated, f"delay says {stated}, and a current changes the output {min(measured)} steps later"


def check_the_state_decays_by_milliseconds(make: Make) -> None:
    """With dt halved, what is left of a small change of the state after the same milliseconds is the same."""
    dt = float(make().dt)
    if kind_of(make).clock == "steps":
        currents = drive(make)
        same = torch.equal(make(dt=dt)(currents).outputs, make(dt=dt / 2)(currents).outputs)
        assert same, "clock says that it counts steps, and dt changes its outputs"
        raise NotApplicable("it counts steps: clock is 'steps', and dt has no effect")
    rates = {name: _rates(make, dt, name) for name in kind_of(make).State._fields if name != "spikes"}
    compared = {name: pair for name, pair in rates.items() if pair is not None}
    if not compared:
        raise NotApplicable("no field of its state is kept for longer than a step")
    for name, (whole, halved) in compared.items():
        near = abs(whole - halved) <= FIRST_ORDER * abs(whole) + 1e-9
        assert near, f"{name} decays by {whole:.4g} per ms at dt = {dt:g}, and by {halved:.4g} at dt = {dt / 2:g}"


def _rates(make: Make, dt: float, name: str) -> tuple[float, float] | None:
    """Rates of decay per ms with dt and with dt/2, over a time in which a good part goes; None: no memory."""
    for steps in (2, 4, 8, 16, 32, 64, 128):
        whole, halved = _left(make, dt, name, steps), _left(make, dt / 2, name, 2 * steps)
        if min(whole, halved) <= 1e-9:  # gone at once, or swung to the other side
            return None if steps == 2 else (0.0, whole - halved)
        if whole < 0.9:
            break
    return -math.log(whole) / (steps * dt), -math.log(halved) / (steps * dt)


def _left(make: Make, dt: float, name: str, steps: int) -> float:
    """Part of a small change of one field that is left after some steps without currents."""
    neuron = make(dt=dt)
    currents = torch.zeros(steps, 1, 1, dtype=torch.float64)
    rest = rest_of(neuron, currents)
    kicked = rest._replace(**{name: getattr(rest, name) + KICK})
    ends: list[Tensor] = [getattr(neuron(currents, state).state, name) for state in (kicked, rest)]
    return float((ends[0] - ends[1]).detach()) / KICK


CHECKS: tuple[Callable[[Make], None], ...] = (check_the_delay_is_the_stated_one, check_the_state_decays_by_milliseconds)
