"""Promises about the object: it can be copied, sent and forgotten, and it touches nothing global."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable

import torch

from snnlab.testing.neurons.probe import UNITS, Make, drive, learner, run


def check_it_can_be_copied_after_a_call(make: Make) -> None:
    """copy.deepcopy works at any time; the copy is equal and independent."""
    neuron, currents = learner(make, units=[UNITS]).double(), drive(make)
    before = run(neuron, currents).outputs
    twin = copy.deepcopy(neuron)
    assert torch.equal(run(twin, currents).outputs, before), "a copy gives other outputs"
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(0.5)
    assert torch.equal(run(neuron, currents).outputs, before), "a copy shares what is learned with the original"


def check_it_can_be_pickled(make: Make) -> None:
    """It goes to other processes, and so does its state."""
    neuron, currents = learner(make).double(), drive(make)
    sequence = neuron(currents)
    state = type(sequence.state)(*(field.detach() for field in sequence.state))
    try:
        again, other = pickle.loads(pickle.dumps((neuron, state)))
    except Exception as error:
        raise AssertionError(f"it cannot be pickled ({error}): define it at the top of a module") from error
    assert torch.equal(again(currents, other).outputs, neuron(currents, state).outputs), (
        "pickled it gives other outputs"
    )


def check_nothing_keeps_a_deleted_neuron_alive(make: Make) -> None:
    """After a forward and a backward pass no list, cache or graph holds it."""
    neuron = learner(make)
    run(neuron, drive(make, dtype=torch.float32))
    left = weakref.ref(neuron)
    del neuron
    gc.collect()
    assert left() is None, "something keeps a deleted neuron alive: a global list, or a cache over its methods?"


def check_it_leaves_the_global_generator_alone(make: Make) -> None:
    """Whether it was built or run changes no random number that is drawn elsewhere."""
    before = torch.get_rng_state()
    run(learner(make), drive(make, dtype=torch.float32))
    assert torch.equal(before, torch.get_rng_state()), "it draws from the global generator of torch"


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_it_can_be_copied_after_a_call,
    check_it_can_be_pickled,
    check_nothing_keeps_a_deleted_neuron_alive,
    check_it_leaves_the_global_generator_alone,
)
