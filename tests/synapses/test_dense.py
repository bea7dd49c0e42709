"""Dense weights against sums written out, their initial values, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.synapses import Dense


def test_dense_currents_are_weighted_sums(rng):
    synapse, x = Dense(inputs=3, units=2), torch.randn(4, 2, 3, generator=rng)
    currents = synapse(x)
    for step in range(4):
        for sample in range(2):
            for unit in range(2):
                total = float(synapse.bias[unit].detach())
                for i in range(3):
                    total += float(synapse.weight[unit, i].detach()) * float(x[step, sample, i])
                assert float(currents[step, sample, unit].detach()) == pytest.approx(total, abs=1e-6)


def test_features_of_any_shape_are_taken_in_their_order(rng):
    synapse, x = Dense(inputs=12, units=2), torch.randn(4, 2, 3, 2, 2, generator=rng)
    assert torch.equal(synapse(x), synapse(x.reshape(4, 2, 12)))


def test_without_bias_no_input_is_no_current():
    synapse = Dense(inputs=3, units=2, biased=False)
    assert synapse.bias is None
    assert not synapse(torch.zeros(1, 1, 3)).any()


def test_weight_and_bias_start_from_numbers_of_their_own():
    synapse = Dense(inputs=1, units=50, draws=Draws(0))
    assert not torch.equal(synapse.weight.flatten(), synapse.bias)


def test_the_fan_in_of_weight_and_bias_is_the_number_of_inputs():
    synapse = Dense(inputs=25, units=4000, draws=Draws(0))
    for values in (synapse.weight, synapse.bias):  # U(-0.2, 0.2), as in torch.nn.Linear
        assert float(values.detach().abs().max()) == pytest.approx(0.2, rel=1e-3)
        assert float(values.detach().std()) == pytest.approx(0.2 / math.sqrt(3), rel=0.03)


def test_draws_decide_the_start_and_without_them_torchs_own_seed():
    def weight(global_seed, **given):
        torch.manual_seed(global_seed)
        return Dense(inputs=3, units=2, **given).weight

    assert torch.equal(weight(0, draws=Draws(1)), weight(5, draws=Draws(1)))
    assert not torch.equal(weight(0, draws=Draws(1)), weight(0, draws=Draws(2)))
    assert torch.equal(weight(0), weight(0))
    assert not torch.equal(weight(0), weight(5))


@pytest.mark.parametrize("shape", [(4, 2, 2), (4, 2, 3, 2), (4, 3), (3,)])
def test_inputs_of_another_size_are_refused(shape):
    with pytest.raises(WrongOption, match="It takes \\(T, B, \\*features\\), 3 features in all"):
        Dense(inputs=3, units=2)(torch.zeros(shape))


def test_a_single_step_is_refused_where_a_sequence_is_due():
    with pytest.raises(WrongOption, match="dense: inputs of shape \\(4, 1\\)"):
        Dense(inputs=1, units=2)(torch.zeros(4, 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"units": 2}, "dense.inputs: it must be given"),
        ({"inputs": 3, "units": 0}, "dense.units: 0. It takes a whole number > 0"),
        ({"inputs": -3, "units": 2}, "dense.inputs: -3"),
        ({"inputs": 3, "units": 2, "init": "nrmal"}, "Did you mean normal"),
        ({"inputs": 3, "units": 2, "bias_init": {"name": "uniform", "gain": -1.0}}, "bias_init.gain: -1.0"),
        ({"inputs": 3, "units": 2, "biassed": True}, "Did you mean biased"),
    ],
)
def test_what_it_does_not_take_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        Dense(**given)
