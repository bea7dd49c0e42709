"""cuba against the printed recurrence in plain numbers, and against its adjoint written by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from snnlab.neurons import CUBA

T, N = 30, 3
ROUNDING = {"rtol": 1e-10, "atol": 1e-12}  # float64, some hundred operations
RESETS = ["subtract", "zero", "none"]


def atan_derivative(x: float) -> float:
    return 1.0 / (1.0 + (math.pi * x) ** 2)


def simulate(below, tau_mem, tau_syn, theta, reset, V, dt=1.0):
    """The printed recurrence: I[n+1] and U[n+1] from I[n], U[n], S[n], n = 0 … T; lists of T + 1 rows."""
    alpha, beta = math.exp(-dt / tau_syn), math.exp(-dt / tau_mem)
    current, u, s = ([[0.0] * N for _ in range(len(below) + 1)] for _ in range(3))
    for n, i in itertools.product(range(len(below)), range(N)):
        current[n + 1][i] = alpha * current[n][i] + below[n][i] + sum(V[i][j] * s[n][j] for j in range(N))
        leaked = 0.0 if s[n][i] and reset == "zero" else beta * u[n][i]
        u[n + 1][i] = leaked + current[n][i] - (theta if s[n][i] and reset == "subtract" else 0.0)
        s[n + 1][i] = 1.0 if u[n + 1][i] >= theta else 0.0
    return current, u, s


def adjoint(below, tau_mem, tau_syn, theta, reset, V, c):
    """Gradients of sum over n of c[n] S[n+1], backwards in time: of what comes from below, both taus, theta and V."""
    current, u, s = simulate(below, tau_mem, tau_syn, theta, reset, V)
    alpha, beta, steps = math.exp(-1 / tau_syn), math.exp(-1 / tau_mem), len(below)
    g_i, g_u = ([[0.0] * N for _ in range(steps + 2)] for _ in range(2))
    g_alpha = g_beta = g_theta = 0.0
    g_v = [[0.0] * N for _ in range(N)]
    for n, i in itertools.product(range(steps, -1, -1), range(N)):
        after_i, after_u = g_i[n + 1][i], g_u[n + 1][i]
        stays = (1 - s[n][i]) if reset == "zero" else 1.0
        delta = (c[n - 1][i] if n else 0.0) + sum(V[k][i] * g_i[n + 1][k] for k in range(N))
        delta -= {"subtract": theta, "zero": beta * u[n][i], "none": 0.0}[reset] * after_u
        h = atan_derivative(u[n][i] - theta) if n else 0.0  # S[0] = 0 is given, not computed
        g_u[n][i] = delta * h + beta * stays * after_u
        g_i[n][i] = after_u + alpha * after_i
        g_theta -= delta * h + (s[n][i] * after_u if reset == "subtract" else 0.0)
        g_alpha += after_i * current[n][i]
        g_beta += after_u * u[n][i] * stays
        for j in range(N):
            g_v[i][j] += after_i * s[n][j]
    return g_i[1 : steps + 1], g_beta * beta / tau_mem**2, g_alpha * alpha / tau_syn**2, g_theta, g_v


def drawn(rng, *shape):
    return torch.rand(shape, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("reset", RESETS)
@pytest.mark.parametrize(("tau_mem", "tau_syn", "theta", "dt"), [(10.0, 5.0, 1.0, 1.0), (4.0, 9.0, 0.7, 0.5)])
def test_the_state_equals_the_printed_recurrence(rng, reset, tau_mem, tau_syn, theta, dt):
    currents, weight = 0.4 * drawn(rng, T, 1, N), drawn(rng, N, N) - 0.5
    neuron = CUBA(tau_mem=tau_mem, tau_syn=tau_syn, threshold=theta, reset=reset, dt=dt)
    sequence = neuron(currents, record=neuron.State._fields, recurrent=lambda spikes: spikes @ weight.T)
    plain = simulate(currents[:, 0].tolist(), tau_mem, tau_syn, theta, reset, weight.tolist(), dt)
    assert 0 < sequence.outputs.mean() < 1
    assert sequence.outputs[:, 0].tolist() == plain[2][1:]
    for name, expected in zip(neuron.State._fields, plain, strict=True):
        expected = torch.tensor(expected[1:], dtype=torch.float64)
        torch.testing.assert_close(sequence.records[name][:, 0], expected, **ROUNDING)


@pytest.mark.parametrize("reset", RESETS)
def test_gradients_equal_the_adjoint_written_by_hand(rng, reset):
    currents, weight = (0.5 * drawn(rng, T, 1, N)).requires_grad_(), (drawn(rng, N, N) - 0.5).requires_grad_()
    constants = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (6.0, 3.0, 0.8)]
    c = drawn(rng, T, N) - 0.5
    tau_mem, tau_syn, theta = constants
    neuron = CUBA(tau_mem=tau_mem, tau_syn=tau_syn, threshold=theta, reset=reset, surrogate="atan")
    outputs = neuron(currents, recurrent=lambda spikes: spikes @ weight.T).outputs
    found = torch.autograd.grad((c * outputs[:, 0]).sum(), [currents, *constants, weight])
    expected = adjoint(currents[:, 0].tolist(), 6.0, 3.0, 0.8, reset, weight.tolist(), c.tolist())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, torch.tensor(other, dtype=torch.float64).reshape(one.shape), **ROUNDING)


def test_a_spike_acts_one_step_later_and_the_last_step_not_at_all():
    currents = torch.zeros(4, 1, 1, dtype=torch.float64)
    currents[1] = 5.0
    assert CUBA()(currents).outputs.flatten().tolist() == [0.0, 0.0, 1.0, 1.0]
    last = torch.zeros(4, 1, 1, dtype=torch.float64)
    last[3] = 5.0
    assert not CUBA()(last).outputs.any()


def test_a_detached_reset_hides_from_the_gradient(rng):
    currents = (0.5 * drawn(rng, T, 1, N)).requires_grad_()
    shown, hidden = (CUBA(detach_reset=flag)(currents).outputs for flag in (False, True))
    assert torch.equal(shown, hidden)
    weights = drawn(rng, *shown.shape)
    one, other = (torch.autograd.grad((weights * outputs).sum(), currents)[0] for outputs in (shown, hidden))
    assert not torch.allclose(one, other)
    free = CUBA(reset="none", detach_reset=True)(currents), CUBA(reset="none")(currents)
    one, other = (torch.autograd.grad((weights * sequence.outputs).sum(), currents)[0] for sequence in free)
    assert torch.equal(one, other)
