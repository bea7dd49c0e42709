"""Convolutions against sums written out and against a dense layer over windows, their shapes, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks import Layer
from snnlab.neurons import LI, LIF
from snnlab.synapses import Conv2d


def conv(**given) -> Conv2d:
    return Conv2d(**{"inputs": [2, 5, 4], "channels": 3, "kernel": 3, "draws": Draws(0), **given}).double()


def pictures(rng, *shape) -> torch.Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def summed(synapse: Conv2d, picture: list, margin: int) -> list:
    """Currents [channel][row][column] of one picture [channel][row][column], by loops over numbers."""
    weight, bias = synapse.weight.tolist(), synapse.bias.tolist()
    height, width, kernel, stride = len(picture[0]), len(picture[0][0]), synapse.kernel, synapse.stride
    found = []
    for channel, b in zip(weight, bias, strict=True):
        rows = []
        for top in range(-margin, height + margin - kernel + 1, stride):
            row = []
            for left in range(-margin, width + margin - kernel + 1, stride):
                total = b
                for below in range(len(picture)):
                    for m in range(kernel):
                        for n in range(kernel):
                            if 0 <= top + m < height and 0 <= left + n < width:
                                total += channel[below][m][n] * picture[below][top + m][left + n]
                row.append(total)
            rows.append(row)
        found.append(rows)
    return found


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("kernel", "padding", "margin"), [(3, "valid", 0), (3, "same", 1), (1, "same", 0), (2, "valid", 0)]
)
def test_currents_are_weighted_sums_over_windows(kernel, padding, margin, stride, rng):
    synapse, x = conv(kernel=kernel, padding=padding, stride=stride), pictures(rng, 2, 3, 2, 5, 4)
    currents = synapse(x)
    assert list(currents.shape) == [2, 3, *synapse.units]
    for step in range(2):
        for sample in range(3):
            expected = torch.tensor(summed(synapse, x[step, sample].tolist(), margin), dtype=torch.float64)
            assert torch.allclose(currents[step, sample], expected, rtol=1e-12, atol=1e-12)


def test_gradients_are_those_of_dense_weights_over_windows(rng):
    synapse, x = conv(), pictures(rng, 2, 3, 2, 5, 4).requires_grad_()
    wanted = [x, synapse.weight, synapse.bias]
    windows = torch.nn.functional.unfold(x.flatten(0, 1), 3)  # (T B, 2 3 3, places)
    dense = torch.einsum("cw,nwp->ncp", synapse.weight.flatten(1), windows) + synapse.bias[:, None]
    probe = pictures(rng, *dense.shape)
    expected = torch.autograd.grad((dense * probe).sum(), wanted)
    found = torch.autograd.grad((synapse(x).flatten(0, 1).flatten(2) * probe).sum(), wanted)
    for mine, theirs in zip(found, expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """The number of pictures in each product."""
    counts, product = [], torch.nn.functional.conv2d

    def counting(x, *rest, **more):
        counts.append(len(x))
        return product(x, *rest, **more)

    monkeypatch.setattr(torch.nn.functional, "conv2d", counting)
    return counts


def test_samples_and_steps_do_not_see_each_other(rng):
    synapse, x = conv(), pictures(rng, 3, 4, 2, 5, 4)
    whole = synapse(x)
    assert torch.allclose(synapse(x[:, 1:2]), whole[:, 1:2], rtol=1e-12)
    assert torch.allclose(synapse(x[2:]), whole[2:], rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 5, 4), (1, 5, 4)])
def test_a_constant_input_is_multiplied_once_and_gives_the_same(shape, rng, counted):
    synapse, still = conv(inputs=list(shape)), pictures(rng, 3, *shape).expand(50, 3, *shape)
    expected = synapse(still.contiguous())
    assert torch.allclose(synapse(still), expected, rtol=1e-12)
    assert counted == [150, 3]  # steps and samples in one product; of a view of one step, its samples alone


def test_a_single_channel_may_be_left_out(rng):
    synapse, x = conv(inputs=[1, 5, 4]), pictures(rng, 2, 3, 5, 4)
    assert torch.equal(synapse(x), synapse(x[:, :, None]))


def test_without_bias_no_input_is_no_current():
    synapse = conv(biased=False)
    assert synapse.bias is None
    assert not synapse(torch.zeros(1, 1, 2, 5, 4, dtype=torch.float64)).any()


def test_the_fan_in_of_weight_and_bias_is_the_number_of_weights_of_a_unit():
    synapse = Conv2d(inputs=[4, 9, 9], channels=4000, kernel=5, draws=Draws(0))  # 100 weights a unit
    for values in (synapse.weight, synapse.bias):  # U(-0.1, 0.1), as in torch.nn.Conv2d
        assert float(values.detach().abs().max()) == pytest.approx(0.1, rel=1e-3)
        assert float(values.detach().std()) == pytest.approx(0.1 / math.sqrt(3), rel=0.03)


def test_weight_and_bias_start_from_numbers_of_their_own():
    synapse = Conv2d(inputs=[1, 1, 1], channels=50, kernel=1, draws=Draws(0))
    assert not torch.equal(synapse.weight.flatten(), synapse.bias)


def test_every_channel_decays_by_its_own_constant(rng):
    tau = [1.0, 5.0, 20.0]
    synapse, x = conv(), pictures(rng, 4, 2, 2, 5, 4)
    outputs = Layer(synapse, LI(tau=tau, units=synapse.units))(x).outputs
    currents, potential = synapse(x), torch.zeros(2, *synapse.units, dtype=torch.float64)
    for step in range(4):
        for channel in range(3):
            potential[:, channel] = math.exp(-1 / tau[channel]) * potential[:, channel] + currents[step, :, channel]
        assert torch.allclose(outputs[step], potential, rtol=1e-12)


def test_a_constant_learned_per_channel_gets_the_gradient_of_its_channel(rng):
    synapse = conv()
    neuron = LIF(threshold=[0.1, 0.2, 0.3], learn=["threshold", "tau"], share="channel", units=synapse.units).double()
    assert neuron.threshold_raw.shape == neuron.tau_raw.shape == (3,)
    outputs = Layer(synapse, neuron)(pictures(rng, 4, 2, 2, 5, 4)).outputs
    for gradient in torch.autograd.grad(outputs[:, :, 1].sum(), [neuron.threshold_raw, neuron.tau_raw]):
        assert gradient[1] != 0 and gradient[0] == gradient[2] == 0


def test_a_constant_learned_per_unit_has_the_shape_of_the_units():
    neuron = LIF(learn=["tau"], share="unit", units=conv().units, initial="learned")
    assert neuron.tau_raw.shape == neuron.initial_potential.shape == (3, 3, 2)


@pytest.mark.parametrize(
    ("given", "units"),
    [
        ({"inputs": [1, 28, 28], "kernel": 5}, [3, 24, 24]),
        ({"inputs": [1, 28, 28], "kernel": 5, "padding": "same"}, [3, 28, 28]),
        ({"inputs": [7, 28, 12], "kernel": 5, "padding": "same", "stride": 2}, [3, 14, 6]),
        ({"inputs": [7, 8, 9], "kernel": 3, "stride": 2}, [3, 3, 4]),
        ({"inputs": [1, 3, 3], "kernel": 3}, [3, 1, 1]),
        ({"inputs": [1, 1, 1], "kernel": 3, "padding": "same"}, [3, 1, 1]),
    ],
)
def test_its_units_follow_from_its_options(given, units):
    synapse = conv(**given)
    assert synapse.units == units
    assert list(synapse(torch.zeros(1, 1, *given["inputs"], dtype=torch.float64)).shape[2:]) == units


@pytest.mark.parametrize("shape", [(4, 2, 2, 4, 5), (4, 2, 40), (4, 2, 5, 4), (4, 2, 3, 5, 4), (4, 2), (2, 2, 5, 4)])
def test_inputs_of_another_shape_are_refused(shape):
    with pytest.raises(WrongOption, match=r"conv2d: inputs of shape .* It takes \(T, B, 2, 5, 4\)"):
        conv()(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kernel": 6}, "conv2d: a window of 6 x 6 on pictures of 5 x 4. It takes one that fits"),
        ({"kernel": 5}, "conv2d: a window of 5 x 5 on pictures of 5 x 4"),
        ({"kernel": 4, "padding": "same"}, "conv2d.padding: same. With an even kernel \\(4\\) it takes valid"),
        ({"padding": "full"}, "conv2d.padding: 'full'"),
        ({"inputs": [5, 4]}, "conv2d.inputs: \\[5, 4\\]. It takes pictures: \\[channels, height, width\\]"),
        ({"inputs": []}, "conv2d.inputs: \\[\\]. It takes pictures"),
        ({"inputs": 20}, "conv2d.inputs: 20"),
        ({"inputs": [2, 5, 0]}, "conv2d.inputs: \\[2, 5, 0\\]"),
        ({"channels": 0}, "conv2d.channels: 0"),
        ({"kernel": 0}, "conv2d.kernel: 0"),
        ({"stride": 0}, "conv2d.stride: 0"),
        ({"units": [3, 3, 2]}, "conv2d.units: there is no such option"),
    ],
)
def test_what_it_does_not_take_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        conv(**given)


def test_a_window_that_does_not_fit_is_refused_before_a_weight_is_made(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: pytest.fail("a weight was drawn"))
    with pytest.raises(WrongOption, match="a window of 9 x 9"):
        conv(kernel=9)


def test_under_autocast_currents_are_half_and_gradients_whole(rng):
    synapse, x = conv().float(), pictures(rng, 2, 3, 2, 5, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        currents = synapse(x)
    assert currents.dtype == torch.bfloat16
    currents.float().sum().backward()
    assert synapse.weight.grad.dtype == torch.float32
