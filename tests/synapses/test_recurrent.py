"""Recurrent weights against sums written out, their initial values, and their gradients."""

from __future__ import annotations

import pytest
import torch

from snnlab.draws import Draws
from snnlab.synapses import Recurrent


def test_recurrent_currents_are_weighted_sums(rng):
    synapse, x = Recurrent(inputs=3, units=3), torch.randn(2, 3, generator=rng)
    currents = synapse(x)
    for sample in range(2):
        for unit in range(3):
            total = sum(float(synapse.weight[unit, i].detach()) * float(x[sample, i]) for i in range(3))
            assert float(currents[sample, unit].detach()) == pytest.approx(total, abs=1e-6)


def test_without_self_connections_a_unit_does_not_see_itself(rng):
    synapse = Recurrent(inputs=3, units=3, self_connections=False)
    with torch.no_grad():
        synapse.weight.fill_(1.0)
    assert torch.equal(synapse(torch.eye(3)), 1 - torch.eye(3))
    synapse(torch.randn(4, 3, generator=rng)).square().sum().backward()
    assert not synapse.weight.grad.diagonal().any()
    assert bool((synapse.weight.grad.abs().sum(1) > 0).all())


def test_with_self_connections_it_does():
    synapse = Recurrent(inputs=3, units=3)
    with torch.no_grad():
        synapse.weight.fill_(1.0)
    assert torch.equal(synapse(torch.eye(3)), torch.ones(3, 3))


def test_the_fan_in_of_recurrent_weights_is_the_number_of_units():
    values = Recurrent(inputs=100, units=100, init="normal", draws=Draws(0)).weight.detach()
    assert float(values.std()) == pytest.approx(0.1, rel=0.03)
