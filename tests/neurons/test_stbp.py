"""stbp against loops over plain numbers and Wu et al.'s delta and eps recursions, in the form without misprints."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from snnlab.neurons import STBP

T, TAU, V_TH = 12, 0.3, 0.5
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}  # float64, some hundred operations
GATES = {
    "paper": (lambda o: TAU * math.exp(-o / TAU), lambda o: -math.exp(-o / TAU)),
    "code": (lambda o: TAU * (1 - o), lambda o: -TAU),
}


def rectangular(x: float) -> float:
    return 1.0 if abs(x) < 0.5 else 0.0


def simulate(currents, gate):
    """u[t] = u[t-1] f(o[t-1]) + x[t] of one sample, (T, units) lists of plain numbers."""
    f, _ = GATES[gate]
    u, o = [[0.0] * len(currents[0])], [[0.0] * len(currents[0])]
    for row in currents:
        u.append([before * f(fired) + x for before, fired, x in zip(u[-1], o[-1], row, strict=True)])
        o.append([float(potential >= V_TH) for potential in u[-1]])
    return u[1:], o[1:]


def recursions(u, o, direct, gate, w_above=None, eps_above=None, delta_above=None, misprinted=False):
    """delta = dL/do and eps = dL/du of one layer; `misprinted`: cases 3 and 4 as the founding text prints them."""
    f, slope = GATES[gate]
    steps, units = len(u), len(u[0])
    eps, delta = ([[0.0] * units for _ in range(steps + 1)] for _ in range(2))
    for t, i in itertools.product(reversed(range(steps)), range(units)):
        later = eps[t + 1][i]
        if misprinted and t + 1 < steps:
            later = delta[t + 1][i] * rectangular(u[t + 1][i] - V_TH)
        delta[t][i] = direct[t][i] + later * u[t][i] * slope(o[t][i])
        for k in range(len(w_above or ())):
            above = delta_above[t][k] * rectangular(eps_above[t][k]) if misprinted else eps_above[t][k]
            delta[t][i] += w_above[k][i] * above
        eps[t][i] = delta[t][i] * rectangular(u[t][i] - V_TH) + eps[t + 1][i] * f(o[t][i])
    return eps[:-1], delta[:-1]


def drawn(rng, *shape):
    return torch.rand(shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("gate", GATES)
def test_potentials_and_spikes_equal_a_loop_over_plain_numbers(rng, gate):
    currents = drawn(rng, T, 1, 5) - 0.2
    sequence = STBP(tau=TAU, threshold=V_TH, forget_gate=gate)(currents, record=["potential"])
    u, o = simulate(currents[:, 0].tolist(), gate)
    assert sequence.outputs[:, 0].tolist() == o
    assert 0 < sequence.outputs.mean() < 1
    torch.testing.assert_close(sequence.records["potential"][:, 0], torch.tensor(u, dtype=torch.float64), **ROUNDING)


def test_the_gates_keep_what_the_docstring_says():
    currents = torch.tensor([0.4, 0.3, 0.0], dtype=torch.float64).reshape(3, 1, 1)  # silent, fires, then the gate alone
    for gate, kept in (("paper", TAU * math.exp(-1 / TAU)), ("code", 0.0)):
        neuron = STBP(tau=TAU, threshold=0.41, forget_gate=gate)
        potential = neuron(currents, record=["potential"]).records["potential"].flatten()
        assert potential.tolist() == pytest.approx([0.4, 0.4 * TAU + 0.3, (0.4 * TAU + 0.3) * kept])
        assert neuron(currents).outputs.flatten().tolist() == [0.0, 1.0, 0.0]


def two_layers(rng, gate, samples=3):
    """Wu et al.'s network: 4 inputs, 5 and 2 neurons with biases, rate MSE. What its gradients need, and they."""
    x = (drawn(rng, T, samples, 4) < 0.5).double()
    w0, w1 = ((2 * drawn(rng, *shape) - 0.7).requires_grad_() for shape in ((5, 4), (2, 5)))
    b0, b1 = ((0.2 * drawn(rng, units)).requires_grad_() for units in (5, 2))
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    make = {"tau": TAU, "threshold": V_TH, "forget_gate": gate, "surrogate": "rectangular"}
    below = STBP(**make)(x @ w0.T + b0, record=["potential"])
    above = STBP(**make)(below.outputs @ w1.T + b1, record=["potential"])
    loss = ((target - above.outputs.mean(dim=0)) ** 2).sum() / (2 * samples)
    found = torch.autograd.grad(loss, [w0, b0, w1, b1])
    direct = -(target - above.outputs.detach().mean(dim=0)) / (T * samples)
    return x, w1, below, above, direct, found


def by_hand(x, w1, below, above, direct, gate, misprinted=False):
    """dL/dW = sum_t eps[t] o_below[t]^T and dL/db = sum_t eps[t], summed over samples, from the recursions."""
    totals = [torch.zeros(s, dtype=torch.float64) for s in ((5, 4), (5,), (2, 5), (2,))]
    for n in range(x.shape[1]):
        u0, o0, u1, o1 = (
            field[:, n].detach().tolist()
            for sequence in (below, above)
            for field in (sequence.records["potential"], sequence.outputs)
        )
        eps1, delta1 = recursions(u1, o1, [direct[n].tolist()] * T, gate, misprinted=misprinted)
        seen = [[u - V_TH for u in row] for row in u1] if misprinted else eps1
        eps0, _ = recursions(u0, o0, [[0.0] * 5] * T, gate, w1.tolist(), seen, delta1, misprinted)
        eps0, eps1 = torch.tensor(eps0, dtype=torch.float64), torch.tensor(eps1, dtype=torch.float64)
        below_outputs = torch.tensor(o0, dtype=torch.float64)
        parts = (eps0.T @ x[:, n], eps0.sum(dim=0), eps1.T @ below_outputs, eps1.sum(dim=0))
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
    return totals


@pytest.mark.parametrize("gate", GATES)
def test_gradients_of_two_layers_equal_the_recursions(rng, gate):
    *network, found = two_layers(rng, gate)
    assert all(gradient.abs().max() > 1e-6 for gradient in found)
    for one, other in zip(found, by_hand(*network, gate), strict=True):
        torch.testing.assert_close(one, other, **ROUNDING)


def test_the_printed_cases_3_and_4_are_another_gradient(rng):
    *network, found = two_layers(rng, "paper")
    printed = by_hand(*network, "paper", misprinted=True)
    assert not torch.allclose(found[0], printed[0], rtol=0.05)


def test_the_gradient_of_tau_equals_finite_differences_while_no_spike_moves():
    currents = torch.tensor([0.3, 0.35, 0.1, 0.05], dtype=torch.float64).reshape(4, 1, 1)

    def end(tau):
        sequence = STBP(tau=tau, threshold=0.4, detach_reset=True, surrogate=torch.zeros_like)(currents)
        assert sequence.outputs.flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
        return sequence.state.potential.sum()

    tau = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(end(tau), tau)
    assert gradient.item() == pytest.approx((end(0.4 + 1e-6) - end(0.4 - 1e-6)).item() / 2e-6, rel=1e-6)


def test_dt_has_no_effect(rng):
    currents = drawn(rng, T, 1, 4)
    assert torch.equal(STBP(dt=1.0)(currents).outputs, STBP(dt=0.1)(currents).outputs)
