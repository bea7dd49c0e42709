"""The noise of a layer: how much, where it goes, and that it depends on its key alone."""

from __future__ import annotations

import pytest
import torch

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks import Layer, Network
from snnlab.neurons import CTRNN, LI, LIF, Linear
from snnlab.synapses import Conv2d, Dense, Recurrent

STILL = torch.zeros(2000, 4, 3)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def layer(neuron, *, recurrent=False, units=5, **numbers) -> Layer:
    torch.manual_seed(1)
    weights = Recurrent(inputs=units, units=units) if recurrent else None
    return Layer(Dense(inputs=3, units=units, bias_init="zeros"), neuron, weights, **numbers)


@pytest.mark.parametrize("noise", ["noise", "readout_noise"])
def test_noise_has_the_stated_standard_deviation(noise):
    outputs = layer(Linear(), **{noise: 0.3})(STILL, draws=Draws(0)).outputs
    assert float(outputs.std()) == pytest.approx(0.3, rel=0.02)  # of 40,000 numbers: 5 standard errors are 1.8 %
    assert float(outputs.mean()) == pytest.approx(0.0, abs=0.008)


@pytest.mark.parametrize(("scaling", "gain"), [("printed", 1.0), ("exact", 3.0**0.5), ("song2016", 2.0)])
def test_the_noise_in_the_current_is_scaled_by_the_neurons_gain(scaling, gain):
    """a = dt / tau = 0.5: sqrt((2 - a) / a) = sqrt(3), sqrt(2 / a) = 2."""
    neuron = CTRNN(tau=2.0, noise_scaling=scaling)
    first = layer(neuron, noise=0.1)(torch.zeros(1, 9000, 3), draws=Draws(0), record=("potential",))
    assert float(first.records["potential"].std()) == pytest.approx(0.5 * 0.1 * gain, rel=0.02)


def test_the_exact_scaling_keeps_the_variance_at_rest_whatever_the_time_constant():
    neuron = CTRNN(tau=[1.0, 2.0, 5.0, 10.0, 20.0], noise_scaling="exact", units=[5])
    potentials = layer(neuron, noise=0.1)(torch.zeros(2000, 40, 3), draws=Draws(0), record=("potential",))
    spread = potentials.records["potential"][200:].std((0, 1))
    assert spread.tolist() == pytest.approx([0.1] * 5, rel=0.05)


def test_the_gain_of_a_channel_scales_the_noise_of_that_channel():
    neuron = CTRNN(tau=[1.0, 4.0], noise_scaling="song2016", units=[2, 2, 2])
    synapse = Conv2d(inputs=[1, 3, 3], channels=2, kernel=2, biased=False)
    sequence = Layer(synapse, neuron, noise=1.0)(torch.zeros(1, 4000, 3, 3), draws=Draws(0), record=("potential",))
    spread = sequence.records["potential"].std((0, 1))  # a sqrt(2 / a) = sqrt(2 a): sqrt(2), sqrt(0.5)
    assert spread[0].flatten().tolist() == pytest.approx([2**0.5] * 4, rel=0.06)
    assert spread[1].flatten().tolist() == pytest.approx([0.5**0.5] * 4, rel=0.06)


def test_noise_in_the_current_goes_on_and_readout_noise_does_not():
    quiet, draws = torch.zeros(3, 2, 3), Draws(0)
    inside = layer(LI(tau=50.0), recurrent=True, noise=1.0)(quiet, draws=draws, record=("potential",))
    outside = layer(LI(tau=50.0), recurrent=True, readout_noise=1.0)(quiet, draws=draws, record=("potential",))
    assert float(inside.state.potential.abs().min()) > 0
    assert float(outside.records["potential"].abs().max()) == 0  # neither through the state nor through the recurrence
    assert float(outside.outputs.abs().min()) > 0


def test_readout_noise_reaches_the_layer_above():
    net = Network(layer(LIF(), readout_noise=1.0), layer(Linear(), units=3)).requires_grad_(False)
    net.layers[1].synapse = Dense(inputs=5, units=3)
    quiet = torch.zeros(3, 2, 3)
    outputs = [net(quiet, draws=Draws(seed)).outputs for seed in (0, 1)]
    assert not torch.equal(*outputs)


def test_the_same_draws_give_the_same_noise_and_others_give_other():
    net = Network(layer(LI(), noise=0.5, readout_noise=0.5))
    x = torch.zeros(4, 2, 3)
    assert torch.equal(net(x, draws=Draws(3, "train")).outputs, net(x, draws=Draws(3, "train")).outputs)
    assert not torch.equal(net(x, draws=Draws(3, "train")).outputs, net(x, draws=Draws(3, "val")).outputs)


def test_layers_and_the_two_kinds_of_noise_have_numbers_of_their_own():
    two = Network(layer(Linear(), noise=1.0), layer(Linear(), noise=1.0, readout_noise=1.0))
    with torch.no_grad():
        two.layers[1].synapse = Dense(inputs=5, units=5, init="zeros", bias_init="zeros")
    x = torch.zeros(4, 2, 3)
    lower, upper = (two(x, draws=Draws(0), record=("potential",)).layers[name] for name in ("0", "1"))
    inside, outside = upper.records["potential"], upper.outputs - upper.records["potential"]
    assert not torch.allclose(lower.outputs, inside)
    assert not torch.allclose(inside, outside)


@pytest.mark.parametrize(("size", "world"), [(6, 2), (7, 2), (7, 3)])
def test_the_noise_of_all_ranks_put_together_is_that_of_a_single_process(size, world):
    net = Network(layer(LI(), recurrent=True, noise=0.5, readout_noise=0.5))
    x = torch.randn(4, size, 3, generator=torch.Generator().manual_seed(0))
    whole = net(x, draws=Draws(5, size=size)).outputs
    for rank in range(world):
        mine = slice(rank, None, world)
        draws = Draws(5, rank=rank, world=world, size=size)
        assert torch.allclose(net(x[:, mine], draws=draws).outputs, whole[:, mine], atol=1e-6)


def test_the_noise_of_a_layer_is_that_of_its_name():
    net = Network(layer(Linear(), noise=0.5, readout_noise=0.25))
    quiet, draws = torch.zeros(4, 2, 3), Draws(0, "train", 3)
    inside, outside = (draws.normal(f"layers.0.{kind}", (4, 2, 5), quiet) for kind in ("noise", "readout_noise"))
    assert torch.allclose(net(quiet, draws=draws).outputs, 0.5 * inside + 0.25 * outside)


def test_noise_leaves_the_global_generator_alone():
    net = Network(layer(LI(), noise=0.5, readout_noise=0.5))
    before = torch.get_rng_state()
    net(torch.zeros(4, 2, 3), draws=Draws(0))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("noise", ["noise", "readout_noise"])
def test_small_noise_on_a_large_current_survives_autocast(noise):
    """Numbers of bfloat16 near 1.5 are 0.0078 apart."""
    steady = Dense(inputs=3, units=5, init="zeros", bias_init="zeros")
    steady.bias.fill_(1.5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = Layer(steady, Linear(), **{noise: 0.001})(STILL, draws=Draws(0)).outputs
    assert float(outputs.double().std()) == pytest.approx(0.001, rel=0.02)
    assert float(outputs.double().mean()) == pytest.approx(1.5, abs=1e-4)


def test_noise_leaves_a_layer_that_is_half_as_a_whole_in_half_precision():
    assert layer(LI(), noise=0.5).bfloat16()(STILL.bfloat16(), draws=Draws(0)).outputs.dtype == torch.bfloat16


@torch.enable_grad()
def test_a_learned_time_constant_gets_the_gradient_through_the_gain_of_the_noise():
    """One step from rest: V = a (I + 0.5 sqrt((2 - a) / a) n), a = dt / tau, and the state's own share is 0."""
    neuron = CTRNN(tau=4.0, noise_scaling="exact", learn=["tau"])
    quiet = layer(neuron, noise=0.5).double()
    x = torch.zeros(1, 3, 3, dtype=torch.float64)
    outputs = quiet(x, draws=Draws(0), record=("potential",)).records["potential"]
    (found,) = torch.autograd.grad(outputs.sum(), neuron.tau_raw)
    tau = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    sample = Draws(0).normal("layer.noise", (1, 3, 5), x)
    expected = (0.5 * ((2 - 1 / tau) / tau).sqrt() * sample).sum()
    (slope,) = torch.autograd.grad(expected, tau)
    inner = torch.autograd.grad(neuron.tau, neuron.tau_raw)[0]
    assert float(found) == pytest.approx(float(slope * inner), rel=1e-6)


@pytest.mark.parametrize("noise", ["noise", "readout_noise"])
def test_noise_without_draws_is_refused(noise):
    net = Network(layer(LI(), **{noise: 0.1}))
    with pytest.raises(WrongOption, match=r"layers\.0: it has noise, and no draws"):
        net(torch.zeros(4, 2, 3))
