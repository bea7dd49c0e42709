"""li and linear against their closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from snnlab.errors import WrongOption
from snnlab.neurons import LI, Linear

ROUNDING = {"rtol": 1e-10, "atol": 1e-12}  # float64, some hundred operations


@pytest.mark.parametrize(("tau", "dt"), [(20.0, 1.0), (3.0, 0.5)])
def test_the_potential_is_a_sum_of_faded_currents(rng, tau, dt):
    currents = torch.randn(30, 2, 3, generator=rng, dtype=torch.float64)
    powers = [[math.exp(-dt * (t - k) / tau) if k <= t else 0.0 for k in range(30)] for t in range(30)]
    expected = torch.einsum("tk,kbn->tbn", torch.tensor(powers, dtype=torch.float64), currents)
    sequence = LI(tau=tau, dt=dt)(currents)
    torch.testing.assert_close(sequence.outputs, expected, **ROUNDING)
    assert torch.equal(sequence.state.potential, sequence.outputs[-1])


def test_a_constant_current_ends_at_the_stated_potential():
    outputs = LI(tau=5.0)(torch.full((200, 1, 1), 0.3, dtype=torch.float64)).outputs
    assert outputs[-1].item() == pytest.approx(0.3 / (1 - math.exp(-1 / 5.0)))


def test_the_gradient_of_tau_equals_that_of_the_closed_form():
    tau = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    outputs = LI(tau=tau)(torch.ones(3, 1, 1, dtype=torch.float64)).outputs
    (gradient,) = torch.autograd.grad(outputs[-1].sum(), tau)  # U[3] = 1 + alpha + alpha^2
    alpha = math.exp(-1 / 5.0)
    assert gradient.item() == pytest.approx((1 + 2 * alpha) * alpha / 5.0**2)


def test_linear_gives_its_currents_back(rng):
    currents = torch.randn(4, 2, 3, generator=rng).requires_grad_()
    outputs = Linear()(currents).outputs
    assert torch.equal(outputs, currents)
    (gradient,) = torch.autograd.grad(outputs.sum(), currents)
    assert torch.equal(gradient, torch.ones_like(currents))


def test_linear_refuses_a_learned_first_state():
    with pytest.raises(WrongOption, match=r"linear\.initial: learned.*no memory"):
        Linear(initial="learned", units=[3])
