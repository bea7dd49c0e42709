"""ctrnn against Euler steps in plain numbers, finite differences, and the variance that each noise scaling promises."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks.layer import Layer
from snnlab.neurons import CTRNN
from snnlab.synapses import Dense, Recurrent

T, N = 20, 3
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}  # float64, some hundred operations
ACTIVATIONS = {
    "relu": lambda v: max(0.0, v),
    "tanh": math.tanh,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    "retanh": lambda v: max(0.0, math.tanh(v)),
    "softplus": lambda v: math.log(1 + math.exp(v)),
}


def simulate(currents, a, f, W_rc, b):
    """v[t+1] = (1 - a) v[t] + a (W_rc f(v[t]) + u[t] + b): the rates r[1] … r[T] of one sample, v[0] = 0."""
    v, rates = [0.0] * N, []
    for u in currents:
        r = [f(value) for value in v]
        drive = [sum(W_rc[i][j] * r[j] for j in range(N)) + u[i] + b[i] for i in range(N)]
        v = [(1 - a) * v[i] + a * drive[i] for i in range(N)]
        rates.append([f(value) for value in v])
    return rates


def drawn(rng, *shape):
    return torch.rand(shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("tau", "dt"), [(100.0, 1.0), (8.0, 2.0), (5.0, 5.0)])
def test_rates_equal_euler_steps_in_plain_numbers(rng, activation, tau, dt):
    currents, weight, bias = 4 * drawn(rng, T, 1, N) - 2, 2 * drawn(rng, N, N) - 1, drawn(rng, N)
    outputs = CTRNN(tau=tau, dt=dt, activation=activation)(currents + bias, recurrent=lambda r: r @ weight.T).outputs
    plain = currents[:, 0].tolist(), dt / tau, ACTIVATIONS[activation], weight.tolist(), bias.tolist()
    torch.testing.assert_close(outputs[:, 0], torch.tensor(simulate(*plain), dtype=torch.float64), **ROUNDING)


def test_the_first_recurrent_term_is_f_of_0(rng):
    seen = []
    currents = drawn(rng, 2, 1, N)
    CTRNN(activation="sigmoid")(currents, recurrent=lambda r: seen.append(r) or torch.zeros_like(r))
    assert seen[0].tolist() == [[0.5] * N]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_equal_finite_differences(rng, activation):
    currents, weight = drawn(rng, 6, 1, N), 2 * drawn(rng, N, N) - 1
    c = drawn(rng, 6, 1, N)
    inputs = [currents, weight, torch.tensor(7.0, dtype=torch.float64)]

    def loss(currents, weight, tau):
        neuron = CTRNN(tau=tau, activation=activation)
        return (c * neuron(currents, recurrent=lambda r: r @ weight.T).outputs).sum()

    found = torch.autograd.grad(loss(*(leaves := [x.clone().requires_grad_() for x in inputs])), leaves)
    for k, gradient in enumerate(found):
        for index in itertools.product(*map(range, gradient.shape)):
            up, down = ([x.clone() for x in inputs] for _ in range(2))
            up[k][index] += 1e-6
            down[k][index] -= 1e-6
            slope = (loss(*up) - loss(*down)).item() / 2e-6
            assert gradient[index].item() == pytest.approx(slope, rel=1e-5, abs=1e-8)


def variance_at_rest(noise_scaling, a, sigma, rng):
    """Of the potential, measured over 4000 units from when the start is forgotten."""
    neuron = CTRNN(tau=1.0 / a, noise_scaling=noise_scaling)
    eps = sigma * torch.randn(200, 1, 4000, generator=rng, dtype=torch.float64)
    gain = torch.as_tensor(neuron.noise_gain())
    v = neuron(gain * eps, record=["potential"]).records["potential"]
    return v[round(10 / a) :].var().item()


@pytest.mark.parametrize("a", [0.1, 0.5, 1.0])
@pytest.mark.parametrize(
    ("noise_scaling", "promised"),
    [("printed", lambda a: a / (2 - a)), ("exact", lambda a: 1.0), ("song2016", lambda a: 1 / (1 - a / 2))],
    ids=["printed", "exact", "song2016"],
)
def test_the_variance_at_rest_is_the_stated_one(rng, noise_scaling, promised, a):
    sigma = 0.3
    measured = variance_at_rest(noise_scaling, a, sigma, rng) / sigma**2
    # some 20,000 independent values: the standard error of a variance is 1 %
    assert measured == pytest.approx(promised(a), rel=0.05)


def test_the_noise_of_a_layer_has_the_promised_variance():
    layer = Layer(Dense(inputs=1, units=4000, biased=False), CTRNN(tau=2.0, noise_scaling="exact"), noise=0.3)
    x = torch.zeros(60, 1, 1)
    with torch.no_grad():
        v = layer(x, record=["potential"], draws=Draws(0)).records["potential"][20:]
    assert v.var().item() == pytest.approx(0.09, rel=0.05)


def test_noise_in_the_current_goes_on_and_noise_in_the_readout_does_not():
    recurrent = Recurrent(inputs=4, units=4)
    parts = Dense(inputs=1, units=4), CTRNN(tau=2.0, activation="tanh"), recurrent
    x = torch.ones(5, 1, 1)
    quiet = Layer(*parts)(x, record=["potential"])
    read = Layer(*parts, readout_noise=0.5)(x, record=["potential"], draws=Draws(0))
    noisy = Layer(*parts, noise=0.5)(x, record=["potential"], draws=Draws(0))
    assert torch.equal(quiet.records["potential"], read.records["potential"])
    assert not torch.equal(quiet.outputs, read.outputs)
    assert not torch.equal(quiet.records["potential"], noisy.records["potential"])
    assert torch.equal(noisy.outputs, torch.tanh(noisy.records["potential"]))


@pytest.mark.parametrize("tau", [0.5, [5.0, 0.9]])
def test_a_tau_below_dt_is_refused(tau):
    with pytest.raises(WrongOption, match=r"ctrnn\.tau: .*at least dt \(1 ms\)"):
        CTRNN(tau=tau)


def test_tau_equal_to_dt_is_the_current_itself(rng):
    currents = drawn(rng, T, 1, N)
    torch.testing.assert_close(CTRNN(tau=1.0)(currents).outputs, currents, **ROUNDING)


def test_a_learned_tau_never_falls_below_dt():
    neuron = CTRNN(tau=2.5, dt=2.0, learn=["tau"])
    assert neuron.tau.item() == pytest.approx(2.5)
    optimizer = torch.optim.SGD(neuron.parameters(), lr=1e4)
    for _ in range(5):
        optimizer.zero_grad()
        (-neuron(torch.ones(10, 1, 1)).outputs.sum()).backward()  # larger outputs: a shorter tau
        optimizer.step()
    assert 2.0 <= neuron.tau.item() < 2.001
    assert neuron(torch.ones(10, 1, 1)).outputs.isfinite().all()
