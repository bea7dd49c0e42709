"""The network of convolutions: its layers, their sizes and parts, and the same numbers written another way."""

from __future__ import annotations

import math

import pytest
import torch

from snnlab.errors import WrongOption
from snnlab.networks import Layer, Network, Plan, conv
from snnlab.neurons import LI, LIF, Linear
from snnlab.synapses import Conv2d, Dense, Pool2d

SMALL = "3C3-P2-8"


def plan(**given) -> Plan:
    return Plan(**{"inputs": (8, 7), "outputs": 4, **given})


def pictures(rng, *shape) -> torch.Tensor:
    return torch.rand(shape, generator=rng, dtype=torch.float64)


def kinds(net: Network) -> list[str]:
    return [f"{type(layer.synapse).__name__} {type(layer.neuron).__name__}" for layer in net.layers]


def test_the_network_of_wu_et_al_has_the_sizes_of_their_paper():
    net = conv(Plan(inputs=(28, 28), outputs=10), hidden="15C5-P2-40C5-P2-300")
    units = [[15, 24, 24], [15, 12, 12], [40, 8, 8], [40, 4, 4], 300, 10]
    assert [layer.synapse.units for layer in net.layers] == units
    assert [layer.neuron.units for layer in net.layers] == [*units[:4], [300], [10]]
    assert [tuple(net.layers[i].synapse.weight.shape) for i in (0, 2, 4)] == [(15, 1, 5, 5), (40, 15, 5, 5), (300, 640)]
    assert all(layer.recurrent is None for layer in net.layers)


def test_poolings_have_no_neuron_and_the_last_layer_has_the_output_neuron():
    net = conv(plan(neuron="cuba", output_neuron="li"), hidden=SMALL)
    assert kinds(net) == ["Conv2d CUBA", "Pool2d Linear", "Dense CUBA", "Dense LI"]


def test_the_network_equals_windows_and_loops_over_steps(rng):
    tau, threshold = 7.0, 0.3
    net = conv(plan(neuron={"name": "lif", "tau": tau, "threshold": threshold}, output_neuron="li"), hidden=SMALL)
    net, x = net.double(), pictures(rng, 6, 5, 8, 7)
    with torch.no_grad():
        net.layers[0].synapse.weight.mul_(4)
        net.layers[2].synapse.weight.mul_(4)
    w, b, w_dense, b_dense, w_out, b_out = (parameter.detach() for parameter in net.parameters())

    def fired(currents: torch.Tensor, state: dict) -> torch.Tensor:
        potential = math.exp(-1 / tau) * state.get("u", 0) + currents - threshold * state.get("s", 0)
        state["u"], state["s"] = potential, (potential >= threshold).double()
        return state["s"]

    first, second, readout = {}, {}, 0.0
    spikes, outputs = [], []
    for frame in x:
        windows = torch.nn.functional.unfold(frame[:, None], 3)  # (B, 9, 6 x 5)
        spikes.append(fired((w.flatten(1) @ windows + b[:, None]).reshape(5, 3, 6, 5), first))
        pooled = spikes[-1][..., :4].reshape(5, 3, 3, 2, 2, 2).mean((3, 5))  # the fifth column is left out
        hidden = fired(pooled.reshape(5, 18) @ w_dense.T + b_dense, second)
        readout = math.exp(-1 / 20) * readout + hidden @ w_out.T + b_out
        outputs.append(readout)
    result = net(x)
    assert torch.equal(result.layers["0"].outputs, torch.stack(spikes))
    assert 0.1 < float(torch.stack(spikes).mean()) < 0.9  # it is a test of spikes and of their absence
    assert torch.allclose(result.outputs, torch.stack(outputs), rtol=1e-12, atol=1e-12)


def test_the_same_network_is_built_by_hand(rng):
    planned = conv(plan(neuron="lif", output_neuron="li"), hidden=SMALL)
    first = Conv2d(inputs=[1, 8, 7], channels=3, kernel=3)
    pool = Pool2d(inputs=first.units, kernel=2)
    third = Dense(inputs=math.prod(pool.units), units=8)
    by_hand = Network(
        Layer(first, LIF()), Layer(pool, Linear()), Layer(third, LIF()), Layer(Dense(inputs=8, units=4), LI())
    )
    by_hand.load_state_dict(planned.state_dict())
    x = 4 * pictures(rng, 5, 2, 8, 7).float()
    assert torch.equal(by_hand(x).outputs, planned(x).outputs)
    assert float(by_hand(x).layers["2"].outputs.detach().mean()) > 0


def test_a_pooling_hands_on_what_fired_in_its_window(rng):
    result = conv(plan(), hidden=SMALL).double()(3 * pictures(rng, 4, 2, 8, 7)).layers
    expected = torch.nn.functional.avg_pool2d(result["0"].outputs.flatten(0, 1), 2)
    assert torch.equal(result["1"].outputs.flatten(0, 1), expected)
    assert bool(((expected > 0) & (expected < 1)).any())


def test_a_pooling_with_a_neuron_fires(rng):
    given = {"name": "lif", "threshold": 0.5}
    net = conv(plan(neuron=given, layers={"1": {"neuron": {"name": "lif", "threshold": 0.4}}}), hidden=SMALL)
    assert kinds(net)[1] == "Pool2d LIF"
    outputs = net.double()(4 * pictures(rng, 4, 2, 8, 7)).layers["1"].outputs
    assert set(outputs.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("inputs", [(8, 7), (1, 8, 7)])
def test_a_picture_without_channels_is_one_channel(inputs, rng):
    x = pictures(rng, 3, 2, 8, 7)
    expected = conv(plan(seed=3), hidden=SMALL).double()(x).outputs
    assert torch.equal(
        conv(plan(inputs=inputs, seed=3), hidden=SMALL).double()(x.reshape(3, 2, *inputs)).outputs, expected
    )


def test_pictures_may_have_channels():
    net = conv(plan(inputs=(2, 8, 7)), hidden=SMALL)
    assert tuple(net.layers[0].synapse.weight.shape) == (3, 2, 3, 3)
    assert net(torch.zeros(3, 2, 2, 8, 7)).outputs.shape == (3, 2, 4)


def test_a_pooling_may_come_first_and_the_output_after_pictures():
    net = conv(plan(inputs=(2, 8, 7)), hidden="P2-5C3")
    assert [layer.synapse.units for layer in net.layers] == [[2, 4, 3], [5, 2, 1], 4]
    assert net.layers[2].synapse.inputs == 10


def test_padding_and_pooling_are_options_of_the_network():
    net = conv(plan(), hidden=SMALL, padding="same", pooling="max")
    assert [layer.synapse.units for layer in net.layers] == [[3, 8, 7], [3, 4, 3], 8, 4]
    assert net.layers[1].synapse.pooling == "max"


def test_a_layer_has_a_stride_or_a_pooling_of_its_own():
    own = {"0": {"synapse": {"stride": 2}}, "1": {"synapse": {"pooling": "max", "stride": 1}}}
    net = conv(plan(layers=own), hidden=SMALL)
    assert [layer.synapse.units for layer in net.layers] == [[3, 3, 3], [3, 2, 2], 8, 4]
    assert net.layers[1].synapse.pooling == "max"


def test_a_pooling_may_be_a_learned_one():
    net = conv(plan(layers={"1": {"synapse": {"name": "conv2d", "stride": 2}}}), hidden=SMALL)
    assert net.layers[1].synapse.units == [3, 3, 2]
    assert tuple(net.layers[1].synapse.weight.shape) == (3, 3, 2, 2)


def test_biases_and_initial_values_of_all_weights_hold_for_convolutions():
    given = {"name": "dense", "biased": False, "init": {"name": "zeros"}}
    net = conv(plan(synapse=given, layers={"2": {"synapse": {"init": "normal"}}}), hidden=SMALL)
    assert [hasattr(layer.synapse, "bias") and layer.synapse.bias is not None for layer in net.layers] == [False] * 4
    largest = [float(layer.synapse.weight.detach().abs().max()) for layer in net.layers if list(layer.parameters())]
    assert largest[0] == largest[2] == 0 < largest[1]


def test_noise_is_for_hidden_layers_that_have_neurons():
    net = conv(plan(layers={"1": {"noise": 0.3}}), hidden="3C3-P2-2C1-P1-8", noise=0.1, readout_noise=0.2)
    assert [layer.noise for layer in net.layers] == [0.1, 0.3, 0.1, 0.0, 0.1, 0.0]
    assert [layer.readout_noise for layer in net.layers] == [0.2, 0.0, 0.2, 0.0, 0.2, 0.0]


def test_constants_are_given_or_learned_per_channel():
    neuron = {"name": "lif", "learn": ["tau"], "share": "channel"}
    own = {"0": {"neuron": {"threshold": [0.5, 1.0, 2.0]}}, "1": {"neuron": {"name": "lif", "tau": [1.0, 2.0, 3.0]}}}
    net = conv(plan(neuron=neuron, layers=own), hidden=SMALL)
    assert [tuple(net.layers[i].neuron.tau_raw.shape) for i in (0, 2, 3)] == [(3,), (8,), (4,)]
    assert net(torch.ones(2, 3, 8, 7)).outputs.shape == (2, 3, 4)


def test_a_constant_input_gives_the_same_bits_as_its_copy(rng):
    net = conv(plan(), hidden=SMALL)
    with torch.no_grad():  # weights of a few bits: their sums are exact in float32, whatever their order
        for parameter in net.parameters():
            parameter.copy_((parameter * 256).round() / 64)
    still = (torch.rand(3, 8, 7, generator=rng) * 16).round() / 16
    one, other = net(still.expand(10, 3, 8, 7)), net(still.repeat(10, 1, 1, 1))
    assert 0 < float(one.layers["0"].outputs.detach().mean()) < 1
    assert torch.equal(one.layers["0"].outputs, other.layers["0"].outputs) and torch.equal(one.outputs, other.outputs)


def test_initial_weights_follow_the_seed_and_the_layer():
    def weights(seed):
        return conv(plan(inputs=(3, 9, 9), seed=seed), hidden="3C3-3C3").state_dict()

    one, same, other = weights(3), weights(3), weights(4)
    assert all(torch.equal(values, same[name]) and not torch.equal(values, other[name]) for name, values in one.items())
    assert not torch.equal(one["layers.0.synapse.weight"], one["layers.1.synapse.weight"])


@pytest.mark.parametrize(
    ("given", "hidden", "message"),
    [
        ({}, "3C9", r"layers\.0 \(3C9\): conv2d: a window of 9 x 9 on pictures of 8 x 7. It takes one that fits"),
        ({}, "3C3-P2-4C5", r"layers\.2 \(4C5\): conv2d: a window of 5 x 5 on pictures of 3 x 2"),
        ({}, "3C3-P6", r"layers\.1 \(P6\): pool2d: a window of 6 x 6 on pictures of 6 x 5"),
        ({"inputs": (64,)}, SMALL, r"network: 3C3 on inputs of shape \(64,\). A convolution takes pictures: \(height"),
        ({"inputs": (2, 3, 8, 8)}, "P2", r"network: P2 on inputs of shape \(2, 3, 8, 8\). A pooling takes pictures"),
        (
            {"layers": {"0": {"synapse": {"kernel": 5}}}},
            SMALL,
            r"layers\.0\.synapse\.kernel: synapse conv2d has no",
        ),
        ({"layers": {"0": {"synapse": {"stride": 0}}}}, SMALL, r"layers\.0\.synapse\.stride: 0"),
        ({"layers": {"0": {"synapse": "dense"}}}, SMALL, r"layers\.0\.synapse=dense: its place .* conv2d or pool2d"),
        ({"layers": {"2": {"synapse": "conv2d"}}}, SMALL, r"layers\.2\.synapse=conv2d: its place .* It takes dense"),
        (
            {"layers": {"0": {"synapse": "pool2d"}}},
            SMALL,
            r"synapse=pool2d: it gives 1 channels, and 3C3 has 3",
        ),
        ({"synapse": "conv2d"}, SMALL, r"synapse=conv2d: its place in a layer is another one. It takes dense"),
        ({"layers": {"4": {}}}, SMALL, r"layers\.4: there is no such layer; the network has 0 to 3"),
        (
            {"layers": {"0": {"neuron": {"tau": [1.0, 2.0]}}}},
            SMALL,
            r"2 values for units of shape \(3, 1, 1\).* per channel",
        ),
        ({"layers": {"1": {"neuron": {"name": "lif", "tau": [1.0, 2.0]}}}}, SMALL, "2 values .* per channel \\(3\\)"),
        ({"layers": {"0": {"synapse": {"padding": "same"}}}}, "3C2", r"layers\.0 \(3C2\): conv2d\.padding: same"),
        ({}, "3C3-x", "network.hidden: 'x' in '3C3-x'"),
    ],
)
def test_what_cannot_be_built_is_refused_before_a_weight_is_made(given, hidden, message, monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: pytest.fail("a weight was drawn"))
    with pytest.raises(WrongOption, match=message):
        conv(plan(**given), hidden=hidden)
