"""A network against a loop over scalars, and over its sequences: step by step, cut in two, with a constant input."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks import Layer, Network
from snnlab.neurons import CTRNN, CUBA, LI, LIF, Linear
from snnlab.synapses import Dense, Recurrent


def network(hidden=None, last=None, *, inputs=3, **numbers) -> Network:
    """inputs - 4 with recurrent weights - 2, in float64, so that rounding cannot make or hide a spike."""
    torch.manual_seed(1)
    large = {"init": {"name": "normal", "gain": 2.0}}
    lower = Layer(
        Dense(inputs=inputs, units=4, **large), hidden or LIF(threshold=0.5), Recurrent(inputs=4, units=4), **numbers
    )
    return Network(lower, Layer(Dense(inputs=4, units=2, **large), last or LI())).double()


def signals(rng, *shape) -> torch.Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def test_a_network_equals_a_loop_over_scalars(rng):
    net = network(LIF(tau=7.0, threshold=0.5, dt=0.5), LI(tau=3.0, dt=0.5))
    x = signals(rng, 6, 2, 3)
    w, b, v, w_out, b_out = (p.tolist() for p in net.parameters())
    expected = []
    for sample in range(2):
        potential, spikes, readout = [0.0] * 4, [0.0] * 4, [0.0] * 2
        for step in range(6):
            before = list(spikes)
            for i in range(4):
                current = b[i]
                for j in range(3):
                    current += w[i][j] * float(x[step, sample, j])
                for j in range(4):
                    current += v[i][j] * before[j]
                potential[i] = math.exp(-0.5 / 7.0) * potential[i] + current - 0.5 * before[i]
                spikes[i] = 1.0 if potential[i] >= 0.5 else 0.0
            for i in range(2):
                current = b_out[i] + sum(w_out[i][j] * spikes[j] for j in range(4))
                readout[i] = math.exp(-0.5 / 3.0) * readout[i] + current
            expected.append((sample, step, list(spikes), list(readout)))
    result = net(x)
    assert 0.1 < float(result.layers["0"].outputs.detach().mean()) < 0.9  # it is a test of spikes and of their absence
    for sample, step, spikes, readout in expected:
        assert result.layers["0"].outputs[step, sample].tolist() == spikes
        assert result.outputs[step, sample].tolist() == pytest.approx(readout, rel=1e-12)


def test_a_step_repeated_equals_one_call(rng):
    net, x = network(), signals(rng, 7, 3, 3)
    whole, state, outputs = net(x), None, []
    for current in x:
        output, state = net.step(current, state)
        outputs.append(output)
    # Not bit by bit: BLAS may add up a product in another order where a matrix has other sizes.
    assert torch.allclose(torch.stack(outputs), whole.outputs, rtol=1e-12)
    assert all(
        torch.allclose(one, other, rtol=1e-12)
        for name in net.names
        for one, other in zip(state[name], whole.state[name], strict=True)
    )


@pytest.mark.parametrize("neuron", [LIF(threshold=0.5), CUBA(threshold=0.5), CTRNN(tau=3.0, activation="sigmoid")])
def test_a_sequence_cut_in_two_equals_the_whole_gradients_too(neuron, rng):
    net, x = network(neuron), signals(rng, 9, 2, 3)
    parameters = list(net.parameters())
    whole = net(x)
    gradients = torch.autograd.grad(whole.outputs.square().sum(), parameters)
    first = net(x[:4])
    second = net(x[4:], state=first.state)
    outputs = torch.cat([first.outputs, second.outputs])
    assert torch.allclose(outputs, whole.outputs, rtol=1e-12)
    for mine, theirs in zip(torch.autograd.grad(outputs.square().sum(), parameters), gradients, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_without_the_state_the_second_half_starts_at_rest(rng):
    net, x = network(), signals(rng, 8, 2, 3)
    first = net(x[:4])
    assert not torch.allclose(net(x[4:]).outputs, net(x[4:], state=first.state).outputs)


def test_recurrent_weights_see_the_rate_of_rest_in_the_first_step(rng):
    """r[0] = f(v[0]): 0.5 for a sigmoid, not 0."""
    net = network(CTRNN(tau=4.0, activation="sigmoid"))
    layer, x = net.layers[0], signals(rng, 1, 2, 3)
    current = layer.synapse(x)[0] + 0.5 * layer.recurrent.weight.sum(1)
    assert torch.allclose(net(x).layers["0"].outputs[0], torch.sigmoid(current / 4), rtol=1e-12)


def test_recurrent_weights_see_the_rate_of_a_learned_first_state(rng):
    net = network(CTRNN(tau=4.0, activation="tanh", initial="learned", units=[4]))
    layer, x, v0 = net.layers[0], signals(rng, 1, 2, 3), torch.tensor([0.3, -0.2, 0.1, 0.5], dtype=torch.float64)
    with torch.no_grad():
        layer.neuron.initial_potential.copy_(v0)
    current = layer.synapse(x)[0] + layer.recurrent.weight @ torch.tanh(v0)
    assert torch.allclose(net(x).layers["0"].outputs[0], torch.tanh(0.75 * v0 + 0.25 * current), rtol=1e-12)


def test_a_learned_first_state_gets_a_gradient_through_the_recurrence(rng):
    layer = Layer(Dense(inputs=3, units=2), Linear(), Recurrent(inputs=2, units=2)).double()
    x = signals(rng, 2, 1, 3)
    first = layer.neuron.State(torch.zeros(1, 2, dtype=torch.float64, requires_grad=True))
    layer(x, first).outputs[0].sum().backward()
    # Linear forgets: what is left is d(V r[0])/d r[0] alone.
    assert torch.allclose(first.potential.grad[0], layer.recurrent.weight.sum(0))


def dyadic(module) -> None:
    """Weights of a few bits: their sums are exact in float32, so that the order of adding up makes no difference."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_((parameter * 64).round() / 64)


@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 2, 2)])
def test_a_constant_input_gives_the_same_bits_as_its_copy(shape, rng):
    inputs = math.prod(shape)
    net = network(inputs=inputs).float()
    dyadic(net)
    still = (torch.rand(3, *shape, generator=rng) * 16).round() / 16
    constant = still.expand(20, 3, *shape)
    assert constant.stride(0) == 0
    one, other = net(constant), net(constant.contiguous())
    assert torch.equal(one.layers["0"].outputs, other.layers["0"].outputs)
    assert torch.equal(one.outputs, other.outputs)
    assert 0 < float(one.layers["0"].outputs.detach().mean()) < 1


def test_a_constant_input_gets_and_gives_the_same_gradients_as_its_copy(rng):
    net = network()
    still = signals(rng, 2, 3).requires_grad_()
    wanted = [still, *net.parameters()]
    one = torch.autograd.grad(net(still.expand(6, 2, 3)).outputs.square().sum(), wanted)
    other = torch.autograd.grad(net(still.repeat(6, 1, 1)).outputs.square().sum(), wanted)
    for mine, theirs in zip(one, other, strict=True):
        assert float(mine.abs().sum()) > 0
        assert torch.allclose(mine, theirs, rtol=1e-10, atol=1e-12)


def test_a_constant_input_is_multiplied_once(monkeypatch):
    rows = []
    linear = torch.nn.functional.linear
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda x, *rest: rows.append(x.numel() // x.shape[-1]) or linear(x, *rest)
    )
    Dense(inputs=3, units=4)(torch.ones(2, 3).expand(50, 2, 3))
    assert rows == [2]


@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_a_copy_that_was_made_after_a_call_computes_the_same(precision, rng):
    net, x = network().to(precision), signals(rng, 5, 2, 3).to(precision)
    before = net(x).outputs
    assert before.dtype == precision
    assert torch.equal(copy.deepcopy(net)(x).outputs, before)


def test_a_state_dict_carries_everything_over(rng):
    one, other = (
        network(LIF(tau=tau, learn=["tau"], threshold=0.5, initial="learned", units=[4])) for tau in (5.0, 9.0)
    )
    x = signals(rng, 5, 2, 3)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter += 0.1
    assert not torch.equal(one(x).outputs, other(x).outputs)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x).outputs, other(x).outputs)


def test_two_batch_sizes_in_a_row_and_samples_that_do_not_see_each_other(rng):
    net, x = network(), signals(rng, 5, 6, 3)
    whole = net(x).outputs
    assert torch.allclose(net(x[:, :1]).outputs, whole[:, :1], rtol=1e-12)
    assert torch.allclose(net(x[:, 1:]).outputs, whole[:, 1:], rtol=1e-12)


def test_under_autocast_weights_are_half_and_states_whole(rng):
    net, x = network(noise=0.1).float(), signals(rng, 5, 2, 3).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert net.layers[0].synapse(x).dtype == torch.bfloat16
        result = net(x, record=("potential",), draws=Draws(0))
        again = net(x, result.state, draws=Draws(1))  # a state of float32 is one to go on from
    fields = [field for state in (*result.state.values(), *again.state.values()) for field in state]
    assert {field.dtype for field in fields} == {torch.float32}
    assert {sequence.records["potential"].dtype for sequence in result.layers.values()} == {torch.float32}
    result.outputs.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in net.parameters())


def test_records_are_what_the_states_went_through(rng):
    net, x = network(), signals(rng, 5, 2, 3)
    result = net(x, record=("potential",))
    for name in net.names:
        assert torch.equal(result.layers[name].records["potential"][-1], result.state[name].potential)
    assert torch.equal(result.layers["1"].records["potential"], result.outputs)  # of a leaky integrator


def test_records_are_asked_of_all_layers_or_of_one(rng):
    net, x = network(), signals(rng, 5, 2, 3)
    of_all = {name: set(sequence.records) for name, sequence in net(x, record="potential").layers.items()}
    assert of_all == {"0": {"potential"}, "1": {"potential"}}
    of_one = net(x, record={"0": ["spikes", "potential"]}).layers
    assert set(of_one["0"].records) == {"spikes", "potential"} and not of_one["1"].records


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(5, 3)}, "input of shape \\(5, 3\\)"),
        ({"x": torch.zeros(0, 2, 3)}, "T and B at least 1"),
        ({"x": torch.zeros(5, 2, 4)}, "dense: inputs of shape \\(5, 2, 4\\).* 3 features"),
        ({"x": torch.zeros(2, 4).expand(5, 2, 4)}, "3 features"),
        ({"record": ("potental",)}, "Did you mean potential"),
        ({"record": {"7": ("potential",)}}, "layer '7'"),
        ({"record": ("spikes",)}, "li: record='spikes'"),
        ({"state": {}}, "a state of another network"),
        ({"state": {"0": None}}, "a state of another network"),
        ({"state": {"0": None, "1": None, "2": None}}, "a state of another network"),
        ({"state": {"0": (torch.zeros(2, 4),), "1": None}}, "a state of another kind"),
        ({"state": {"0": LIF.State(torch.zeros(3, 4), torch.zeros(3, 4)), "1": None}}, "a state of another kind"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    net = network().float()
    with pytest.raises(WrongOption, match=message):
        net(**{"x": torch.zeros(5, 2, 3), **arguments})


def test_a_network_without_layers_is_refused():
    with pytest.raises(WrongOption, match="no layer"):
        Network()


@pytest.mark.parametrize(
    "numbers", [{"noise": -0.1}, {"readout_noise": -0.1}, {"noise": math.nan}, {"noise": math.inf}]
)
def test_noise_that_is_no_standard_deviation_is_refused(numbers):
    with pytest.raises(WrongOption, match="standard deviation"):
        Layer(Dense(inputs=3, units=4), LIF(), **numbers)


@pytest.mark.parametrize("size", [{"inputs": 5, "units": 5}, {"inputs": 5, "units": 4}])
def test_recurrent_weights_of_another_size_are_refused(size):
    with pytest.raises(WrongOption, match="layer: recurrent weights of 5 inputs"):
        Layer(Dense(inputs=3, units=4), LIF(), Recurrent(**size))
