"""The public battery over every registered neuron; and each of its checks finds the fault that it is for."""

from __future__ import annotations

import functools
from typing import ClassVar, Literal, NamedTuple

import pytest
import torch
from torch import Tensor

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.neurons import LI, LIF, Milliseconds, Neuron, Positive, decay, reference
from snnlab.neurons.constants import Constant, as_tensor
from snnlab.testing import NotApplicable, check_neuron, words
from snnlab.testing.neurons import CHECKS, maker

BATTERY = [
    pytest.param(check, maker(registry.get("neuron", name)), id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name in registry.names("neuron")
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "make"), BATTERY)
def test_the_neuron_keeps_its_promises(check, make):
    try:
        check(make)
    except NotApplicable as reason:
        assert str(reason)


def test_the_battery_runs_over_the_founding_neurons():
    assert {"lif", "stbp", "cuba", "ctrnn", "li", "linear"} <= set(registry.names("neuron"))


@pytest.mark.parametrize("name", ["lif", "stbp", "cuba"])
def test_no_promise_but_the_smooth_one_is_skipped_for_a_spiking_neuron(name):
    skipped = {words(check) for check in CHECKS if not applies(check, maker(registry.get("neuron", name)))}
    assert skipped <= {"gradients equal finite differences", "the state decays by milliseconds"}


@pytest.mark.parametrize(
    "part",
    [
        functools.partial(LIF, reset="none", surrogate="atan", threshold=0.01),
        functools.partial(LIF, reset="zero", tau=2.0, threshold=300.0),
        functools.partial(LIF, dt=0.1, detach_reset=True),
        functools.partial(LI, dt=5.0, tau=1000.0),
    ],
    ids=["threshold_0.01", "threshold_300", "dt_0.1", "tau_1000"],
)
def test_the_battery_fits_neurons_of_any_scale(part):
    check_neuron(part)


def applies(check, make) -> bool:
    try:
        check(make)
    except NotApplicable:
        return False
    return True


def broken_promises(part) -> set[str]:
    """The promises that a neuron breaks, in words."""
    found = set()
    for check in CHECKS:
        try:
            check(maker(part))
        except NotApplicable:
            continue
        except Exception:
            found.add(words(check))
    return found


class Leaky(Neuron):
    """A leaky integrator that keeps every promise; those below break one each."""

    tau: Milliseconds = 20.0
    delay: ClassVar[int] = 0

    class State(NamedTuple):
        potential: Tensor

    def constants(self) -> dict[str, Constant]:
        return {"alpha": decay(self.dt, self.tau)}

    def output(self, state):
        return state.potential

    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + current)


def test_the_battery_finds_nothing_in_a_sound_neuron():
    assert broken_promises(Leaky) == set()
    check_neuron(Leaky)


class StateOnTheModule(Leaky):
    def step(self, current, state, alpha):
        self.kept = alpha * getattr(self, "kept", 0.0) + current.detach()
        return self.State(alpha * state.potential + current + 0.1 * self.kept)


class Random(Leaky):
    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + current + 0.01 * torch.rand_like(current))


class InPlace(Leaky):
    def step(self, current, state, alpha):
        if not torch.is_grad_enabled():
            return self.State(state.potential.mul_(alpha).add_(current))
        return self.State(alpha * state.potential + current)


class Truncated(Leaky):
    def step(self, current, state, alpha):
        return self.State(alpha * state.potential.detach() + current)


class MixedSamples(Leaky):
    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + current - current.mean(dim=0))


class MixedUnits(Leaky):
    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + current - 0.1 * current.mean(dim=-1, keepdim=True))


class RecordsWithoutGradient(Leaky):
    class State(NamedTuple):
        potential: Tensor
        shown: Tensor

    def step(self, current, state, alpha):
        potential = alpha * state.potential + current
        return self.State(potential, potential.detach() + 0 * state.shown)


class FieldThatNobodyReads(Leaky):
    class State(NamedTuple):
        potential: Tensor
        idle: Tensor

    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + current, current)


class DelayMisstated(Leaky):
    delay: ClassVar[int] = 1


class HiddenDelay(Leaky):
    class State(NamedTuple):
        potential: Tensor
        waiting: Tensor

    def step(self, current, state, alpha):
        return self.State(alpha * state.potential + state.waiting, current)


class DtIgnored(Leaky):
    def constants(self):
        return {"alpha": decay(1.0, self.tau)}


class ClockMisstated(Leaky):
    clock: ClassVar[Literal["ms", "steps"]] = "steps"


class OptionWithoutEffect(Leaky):
    gain: Positive = 1.0


class ChoiceWithoutEffect(Leaky):
    reset: Literal["zero", "subtract"] = "zero"


class ConstantBakedIn(Leaky):
    def constants(self):
        return {"alpha": decay(self.dt, 20.0)}


class ConstantDetached(Leaky):
    def constants(self):
        return {"alpha": decay(self.dt, as_tensor(self.tau).detach())}


class OneValueForAllUnits(Leaky):
    def constants(self):
        return {"alpha": decay(self.dt, as_tensor(self.tau).mean())}


class ChannelsMisplaced(Leaky):
    def step(self, current, state, alpha):
        return self.State(alpha.flatten() * state.potential + current)


class RangeMissing(Leaky):
    tau: Constant = 20.0


class RoundedToFloat32(Leaky):
    def step(self, current, state, alpha):
        return self.State((alpha * state.potential + current).float())


class RoundedToHalf(Leaky):
    def step(self, current, state, alpha):
        return self.State((alpha * state.potential + current).bfloat16().to(current.dtype))


class ProductsUnderAutocast(Leaky):
    def step(self, current, state, alpha):
        one = torch.eye(current.shape[-1], dtype=current.dtype)
        return self.State(alpha * state.potential + current @ one)


class GradientOfAnotherFunction(Leaky):
    def step(self, current, state, alpha):
        kept = alpha * state.potential
        return self.State(kept + current - 0.5 * (current - current.detach()))


EVERY_NEURON: list[Neuron] = []


class KeepsAList(Leaky):
    def constants(self):
        EVERY_NEURON.append(self)
        return {"alpha": decay(self.dt, self.tau)}


@functools.cache
def cached_decay(neuron):
    return decay(neuron.dt, neuron.tau)


class Cached(Leaky):
    def constants(self):
        return {"alpha": cached_decay(self)}


class GlobalGenerator(Leaky):
    def constants(self):
        torch.rand(1)
        return {"alpha": decay(self.dt, self.tau)}


BROKEN = {
    StateOnTheModule: "two equal calls give equal outputs",
    Random: "two equal calls give equal outputs",
    InPlace: "it leaves its inputs as they are",
    Truncated: "gradients equal finite differences",
    MixedSamples: "samples are independent",
    MixedUnits: "units are independent",
    RecordsWithoutGradient: "each field can be recorded",
    FieldThatNobodyReads: "the first state can be learned",
    DelayMisstated: "the delay is the stated one",
    HiddenDelay: "the delay is the stated one",
    DtIgnored: "the state decays by milliseconds",
    ClockMisstated: "the state decays by milliseconds",
    OptionWithoutEffect: "no option is without effect",
    ChoiceWithoutEffect: "no option is without effect",
    ConstantBakedIn: "no option is without effect",
    ConstantDetached: "learned constants get gradients",
    OneValueForAllUnits: "constants may differ from unit to unit",
    ChannelsMisplaced: "units may have channels",
    RangeMissing: "learned constants stay in range",
    RoundedToFloat32: "float64 is kept and close to float32",
    RoundedToHalf: "no digits are lost inside",
    ProductsUnderAutocast: "autocast leaves the state in float32",
    GradientOfAnotherFunction: "gradients equal finite differences",
    KeepsAList: "nothing keeps a deleted neuron alive",
    Cached: "nothing keeps a deleted neuron alive",
    GlobalGenerator: "it leaves the global generator alone",
}


@pytest.mark.parametrize(("part", "promise"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promise_that_is_broken(part, promise):
    assert promise in broken_promises(part)


@pytest.mark.parametrize("part", BROKEN, ids=[part.__name__ for part in BROKEN])
def test_a_broken_neuron_does_not_pass_and_the_error_begins_with_a_promise(part):
    with pytest.raises(AssertionError) as error:
        check_neuron(part)
    assert str(error.value).startswith(tuple(words(check) for check in CHECKS))


def looks_ahead(neuron, currents, state, constants, record, recurrent):
    return reference(neuron, currents + 0.5 * currents.roll(-1, 0), state, constants, record, recurrent)


def test_the_battery_finds_a_loop_that_looks_ahead():
    assert "outputs depend on no later step" in broken_promises(functools.partial(LIF, backend=looks_ahead))


def forgets_recurrence(neuron, currents, state, constants, record, recurrent):
    return reference(neuron, currents, state, constants, record, None)


def test_the_battery_finds_a_loop_without_recurrence():
    broken = broken_promises(functools.partial(LIF, backend=forgets_recurrence))
    assert broken == {"recurrence sees the outputs before a step"}


def forgets_the_state(neuron, currents, state, constants, record, recurrent):
    rest = type(state)(*[torch.zeros_like(field) for field in state])
    return reference(neuron, currents, rest, constants, record, recurrent)


def test_the_battery_finds_a_loop_that_forgets_the_state():
    broken = broken_promises(functools.partial(LIF, backend=forgets_the_state))
    assert "a sequence cut in two equals the whole" in broken


def test_the_battery_finds_a_class_that_pickle_cannot_find():
    class Local(Leaky):
        pass

    assert broken_promises(Local) == {"it can be pickled"}


def test_a_neuron_that_overrides_the_loop_is_refused_when_it_is_defined():
    with pytest.raises(WrongOption, match="overrides forward"):

        class Own(Leaky):
            def forward(self, currents):
                return currents
