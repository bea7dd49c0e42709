"""lif against loops over plain numbers, against its adjoint written by hand, and against the tutorial's recursions."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from snnlab.neurons import LIF

T, N = 25, 3
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}  # float64, some hundred operations
RESETS = ["subtract", "zero", "none"]


def fast_sigmoid(x: float) -> float:
    return 1.0 / (1.0 + 10.0 * abs(x)) ** 2


def simulate(currents, tau, theta, reset, dt=1.0, V=None):
    """One sample, unit by unit and step by step: potentials and spikes, (T, N) lists of plain numbers."""
    steps, units = len(currents), len(currents[0])
    u = [[0.0] * units for _ in range(steps)]
    s = [[0.0] * units for _ in range(steps)]
    for t, i in itertools.product(range(steps), range(units)):
        before, fired = (u[t - 1][i], s[t - 1][i]) if t else (0.0, 0.0)
        recurrent = sum(V[i][j] * s[t - 1][j] for j in range(units)) if V is not None and t else 0.0
        leaked = before * math.exp(-dt / tau)
        if fired and reset == "zero":
            leaked = 0.0
        u[t][i] = leaked + currents[t][i] + recurrent - (theta if fired and reset == "subtract" else 0.0)
        s[t][i] = 1.0 if u[t][i] >= theta else 0.0
    return u, s


def adjoint(currents, tau, theta, reset, c, d, detached=False, dt=1.0, V=None):
    """Gradients of sum c S + d U by the recursion backwards in time: of currents, tau, theta and V."""
    u, s = simulate(currents, tau, theta, reset, dt, V)
    steps, units, alpha = len(u), len(u[0]), math.exp(-dt / tau)
    eps = [[0.0] * units for _ in range(steps + 1)]  # dL/dU, all paths
    g_alpha = g_theta = 0.0
    g_v = [[0.0] * units for _ in range(units)]
    for t, i in itertools.product(reversed(range(steps)), range(units)):
        after = eps[t + 1][i]
        delta = c[t][i]  # dL/dS, all paths
        if V is not None:
            delta += sum(V[k][i] * eps[t + 1][k] for k in range(units))
        if not detached:
            delta -= {"subtract": theta * after, "zero": alpha * u[t][i] * after, "none": 0.0}[reset]
        kept = alpha * (1 - s[t][i]) if reset == "zero" else alpha
        h = fast_sigmoid(u[t][i] - theta)
        eps[t][i] = d[t][i] + delta * h + kept * after
        g_theta -= delta * h + (s[t][i] * after if reset == "subtract" else 0.0)
        g_alpha += after * u[t][i] * ((1 - s[t][i]) if reset == "zero" else 1.0)
        for j in range(units):
            g_v[i][j] += after * s[t][j]
    return eps[:-1], g_alpha * alpha * dt / tau**2, g_theta, g_v


def drawn(rng, *shape):
    return torch.rand(shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("tau", "theta", "dt"), [(20.0, 1.0, 1.0), (3.0, 0.4, 0.5)])
def test_potentials_and_spikes_equal_a_loop_over_plain_numbers(rng, reset, tau, theta, dt):
    currents = 1.2 * drawn(rng, T, 2, N) - 0.2
    sequence = LIF(tau=tau, threshold=theta, reset=reset, dt=dt)(currents, record=["potential"])
    assert 0 < sequence.outputs.mean() < 1
    for sample in range(2):
        u, s = simulate(currents[:, sample].tolist(), tau, theta, reset, dt)
        torch.testing.assert_close(sequence.outputs[:, sample], torch.tensor(s, dtype=torch.float64), rtol=0, atol=0)
        expected = torch.tensor(u, dtype=torch.float64)
        torch.testing.assert_close(sequence.records["potential"][:, sample], expected, **ROUNDING)


@pytest.mark.parametrize("reset", RESETS)
def test_recurrent_weights_act_one_step_later(rng, reset):
    currents, weight = drawn(rng, T, 1, N), 2 * drawn(rng, N, N) - 1
    outputs = LIF(reset=reset)(currents, recurrent=lambda spikes: spikes @ weight.T).outputs
    _, s = simulate(currents[:, 0].tolist(), 20.0, 1.0, reset, V=weight.tolist())
    assert outputs[:, 0].tolist() == s
    assert outputs[:, 0].tolist() != simulate(currents[:, 0].tolist(), 20.0, 1.0, reset)[1]


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("reset", RESETS)
def test_gradients_equal_the_adjoint_written_by_hand(rng, reset, detached):
    currents, weight = drawn(rng, T, 1, N).requires_grad_(), (2 * drawn(rng, N, N) - 1).requires_grad_()
    tau, theta = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (5.0, 0.8))
    c, d = drawn(rng, T, N) - 0.5, drawn(rng, T, N) - 0.5
    neuron = LIF(tau=tau, threshold=theta, reset=reset, detach_reset=detached)
    sequence = neuron(currents, record=["potential"], recurrent=lambda spikes: spikes @ weight.T)
    loss = (c * sequence.outputs[:, 0]).sum() + (d * sequence.records["potential"][:, 0]).sum()
    found = torch.autograd.grad(loss, [currents, tau, theta, weight])
    plain = (currents[:, 0].tolist(), 5.0, 0.8, reset, c.tolist(), d.tolist(), detached, 1.0, weight.tolist())
    for one, other in zip(found, adjoint(*plain), strict=True):
        expected = torch.tensor(other, dtype=torch.float64).reshape(one.shape)
        torch.testing.assert_close(one, expected, **ROUNDING)


def test_the_exact_recursion_of_one_neuron_equals_autograd_and_the_printed_form_does_not(rng):
    """Erratum 5: dU[t]/dW = (alpha - theta s'[t-1]) dU[t-1]/dW + X[t]; printed is the reset of the last step alone."""
    x, w = drawn(rng, 12, 1, 1), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    sequence = LIF(tau=5.0)(w * x, record=["potential"])
    (gradient,) = torch.autograd.grad(sequence.outputs.sum(), w)
    alpha, u = math.exp(-1 / 5.0), sequence.records["potential"].flatten().tolist()
    exact, free = [], []
    for t, entered in enumerate(x.flatten().tolist()):
        carry = alpha - (fast_sigmoid(u[t - 1] - 1.0) if t else 0.0)
        exact.append(entered + (carry * exact[-1] if t else 0.0))
        free.append(entered + (alpha * free[-1] if t else 0.0))
    printed = [free[t] - (fast_sigmoid(u[t - 1] - 1.0) * free[t - 1] if t else 0.0) for t in range(12)]
    assert sum(fast_sigmoid(v - 1.0) * g for v, g in zip(u, exact, strict=True)) == pytest.approx(gradient.item())
    assert exact[:2] == pytest.approx(printed[:2])
    assert exact[2] != pytest.approx(printed[2])


def test_two_layers_equal_the_recursion_forward_in_time(rng):
    """Erratum 6: dU1[t]/dW0 = (alpha - theta s'1[t-1]) dU1[t-1]/dW0 + W1 s'0[t] dU0[t]/dW0, one neuron a layer."""
    x = drawn(rng, 15, 1, 1)
    w0, w1 = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.9, 0.8))
    below = LIF(tau=5.0)(w0 * x, record=["potential"])
    above = LIF(tau=5.0)(w1 * below.outputs, record=["potential"])
    (gradient,) = torch.autograd.grad(above.outputs.sum(), w0)
    u0, u1 = (sequence.records["potential"].flatten().tolist() for sequence in (below, above))
    alpha, p0, p1, total = math.exp(-1 / 5.0), 0.0, 0.0, 0.0
    for t, entered in enumerate(x.flatten().tolist()):
        p0 = (alpha - (fast_sigmoid(u0[t - 1] - 1) if t else 0.0)) * p0 + entered
        p1 = (alpha - (fast_sigmoid(u1[t - 1] - 1) if t else 0.0)) * p1 + 0.8 * fast_sigmoid(u0[t] - 1) * p0
        total += fast_sigmoid(u1[t] - 1) * p1
    assert total == pytest.approx(gradient.item())


def test_recurrent_weights_equal_real_time_recurrent_learning(rng):
    """Erratum 8: P_ijk = (alpha - theta s'_i) P_ijk + sum_l V_il s'_l P_ljk + [i = j] S_k, all of the step before."""
    currents, v = drawn(rng, T, 1, N), (2 * drawn(rng, N, N) - 1).requires_grad_()
    sequence = LIF(tau=5.0)(currents, record=["potential"], recurrent=lambda spikes: spikes @ v.T)
    (gradient,) = torch.autograd.grad(sequence.outputs.sum(), v)
    u, s = sequence.records["potential"][:, 0].detach(), sequence.outputs[:, 0].detach()
    h = 1 / (1 + 10 * (u - 1).abs()) ** 2
    p, total = torch.zeros(N, N, N, dtype=torch.float64), torch.zeros(N, N, dtype=torch.float64)
    eye = torch.eye(N, dtype=torch.float64)
    for t in range(1, T):
        own = (math.exp(-1 / 5.0) - h[t - 1])[:, None, None] * p
        others = torch.einsum("il,l,ljk->ijk", v.detach(), h[t - 1], p)
        p = own + others + torch.einsum("ij,k->ijk", eye, s[t - 1])
        total += torch.einsum("i,ijk->jk", h[t], p)
    torch.testing.assert_close(gradient, total, **ROUNDING)


def test_without_reset_the_tutorials_closed_form_is_exact(rng):
    """dU[t]/dW = sum over k <= t of alpha^(t-k) X[k]."""
    x, w = drawn(rng, T, 1, 1), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    sequence = LIF(tau=5.0, reset="none")(w * x, record=["potential"])
    (gradient,) = torch.autograd.grad(sequence.records["potential"][-1].sum(), w)
    closed = sum(math.exp(-(T - 1 - k) / 5.0) * value for k, value in enumerate(x.flatten().tolist()))
    assert gradient.item() == pytest.approx(closed)


def test_a_potential_at_the_threshold_fires_and_one_just_below_does_not():
    currents = torch.tensor([1.0, math.nextafter(1.0, 0.0)], dtype=torch.float64).reshape(1, 1, 2)
    assert LIF()(currents).outputs.flatten().tolist() == [1.0, 0.0]


def test_reset_by_subtraction_keeps_what_is_above_the_threshold():
    currents = torch.tensor([1.75, 0.0, 0.0], dtype=torch.float64).reshape(3, 1, 1)
    after = {r: LIF(tau=1e12, reset=r)(currents, record=["potential"]).records["potential"].flatten() for r in RESETS}
    assert after["subtract"].tolist() == pytest.approx([1.75, 0.75, 0.75])
    assert after["zero"].tolist() == pytest.approx([1.75, 0.0, 0.0])
    assert after["none"].tolist() == pytest.approx([1.75, 1.75, 1.75])
