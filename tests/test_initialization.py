"""Initial values: the standard deviation and shape of each, written out again."""

from __future__ import annotations

import math

import pytest
import torch

from snnlab.draws import Draws
from snnlab.initialization import normal, orthogonal, torch_default, uniform, zeros

FAN_IN = 64


def values(init, shape=(500, FAN_IN), **options) -> torch.Tensor:
    return init(shape, FAN_IN, Draws(0).generator("weight"), **options)


@pytest.mark.parametrize("gain", [1.0, 0.5, 3.0])
@pytest.mark.parametrize(
    ("init", "std"),
    [(torch_default, 1 / math.sqrt(3 * FAN_IN)), (uniform, 1 / math.sqrt(FAN_IN)), (normal, 1 / math.sqrt(FAN_IN))],
)
def test_the_standard_deviation_is_that_of_the_docstring_times_the_gain(init, std, gain):
    found = values(init, gain=gain)  # 32,000 numbers: 5 standard errors are 2 %
    assert float(found.std()) == pytest.approx(gain * std, rel=0.02)
    assert float(found.mean()) == pytest.approx(0.0, abs=5 * gain * std / math.sqrt(found.numel()))


@pytest.mark.parametrize(("init", "bound"), [(torch_default, 1 / 8), (uniform, math.sqrt(3) / 8)])
def test_uniform_values_fill_their_range_and_stay_in_it(init, bound):
    found = values(init, gain=2.0)
    assert float(found.max()) == pytest.approx(2 * bound, rel=1e-3) and float(found.max()) <= 2 * bound
    assert float(found.min()) == pytest.approx(-2 * bound, rel=1e-3) and float(found.min()) >= -2 * bound


def test_normal_values_are_not_uniform():
    found = values(normal) / values(normal).std()
    assert float((found.abs() > 2).float().mean()) == pytest.approx(0.0455, abs=0.005)


def test_torch_default_has_the_spread_of_torchs_own_layer():
    torch.manual_seed(0)
    theirs = torch.nn.Linear(FAN_IN, 500)
    assert float(values(torch_default).std()) == pytest.approx(float(theirs.weight.detach().std()), rel=0.02)
    assert float(values(torch_default, (500,)).std()) == pytest.approx(float(theirs.bias.detach().std()), rel=0.1)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5), (4, 3, 2)])
def test_all_singular_values_of_an_orthogonal_start_are_the_gain(shape):
    found = values(orthogonal, shape, gain=1.5).reshape(shape[0], -1)
    assert torch.linalg.svdvals(found).tolist() == pytest.approx([1.5] * min(found.shape), rel=1e-5)


def test_orthogonal_starts_are_uniform_over_all_rotations():
    """The signs of R's diagonal taken out: without, Q's own diagonal is nearly always negative."""
    found = [orthogonal((3, 3), 3, torch.Generator().manual_seed(seed)) for seed in range(300)]
    positive = torch.stack([matrix.diagonal() > 0 for matrix in found]).float().mean(0)
    assert positive.tolist() == pytest.approx([0.5] * 3, abs=0.12)  # 4 standard errors
    assert float(torch.stack([matrix.det() for matrix in found]).gt(0).float().mean()) == pytest.approx(0.5, abs=0.12)


def test_a_random_recurrent_matrix_has_its_gain_as_spectral_radius():
    radius = torch.linalg.eigvals(normal((400, 400), 400, Draws(0).generator("weight"), gain=0.9)).abs().max()
    assert float(radius) == pytest.approx(0.9, rel=0.06)


def test_zeros_are_zero():
    assert not values(zeros).any()


def test_a_gain_of_zero_is_zero():
    assert not any(values(init, gain=0.0).any() for init in (torch_default, uniform, normal, orthogonal))
