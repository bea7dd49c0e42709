"""Readouts against loops over plain numbers and figures worked out by hand; their battery finds its faults."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.readouts import (
    EveryStep,
    LastStep,
    MaxOverTime,
    MeanOverTime,
    MeanRate,
    Readout,
    SpikeCount,
    SumOverTime,
    last_step,
    max_over_time,
)
from snnlab.testing.readouts import CHECKS

T, B, N = 5, 4, 3
LENGTHS = (5, 3, 1, 4)
NAMES = registry.names("readout")
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # float64, some ten operations


def of_a_unit(name: str, values: list[float]) -> float:
    """The score of one unit of one sample, from its valid steps."""
    if name == "max_over_time":
        return max(values)
    if name == "last_step":
        return values[-1]
    return sum(values) / (len(values) if name in ("mean_rate", "mean_over_time") else 1)


def mask_of(lengths):
    return torch.arange(T)[:, None] < torch.tensor(lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["unmasked", "masked"])
@pytest.mark.parametrize("name", [name for name in NAMES if name != "every_step"])
def test_a_readout_equals_loops_over_samples_steps_and_units(name, lengths, rng):
    outputs = torch.randn(T, B, N, generator=rng, dtype=torch.float64)
    wanted = [
        [of_a_unit(name, [outputs[t, b, i].item() for t in range(length)]) for i in range(N)]
        for b, length in enumerate(lengths or (T,) * B)
    ]
    scores = registry.build("readout", name)(outputs, None if lengths is None else mask_of(lengths))
    torch.testing.assert_close(scores, torch.tensor(wanted, dtype=torch.float64), **ROUNDING)


def test_every_step_is_the_potential_itself_and_0_where_there_is_none(rng):
    outputs, mask = torch.randn(T, B, N, generator=rng), mask_of(LENGTHS)
    assert torch.equal(EveryStep()(outputs), outputs)
    masked = EveryStep()(outputs, mask)
    assert torch.equal(masked[mask], outputs[mask])
    assert not masked[~mask].any()


# Three steps, two samples, one unit; the second sample has two steps, and padding that would win.
POTENTIAL = torch.tensor([[[1.0], [-4.0]], [[3.0], [-2.0]], [[2.0], [9.0]]])
TWO_STEPS = torch.tensor([[True, True], [True, True], [True, False]])


@pytest.mark.parametrize(
    ("readout", "unmasked", "masked"),
    [
        (SpikeCount(), [6, 3], [6, -6]),
        (SumOverTime(), [6, 3], [6, -6]),
        (MeanRate(), [2, 1], [2, -3]),
        (MeanOverTime(), [2, 1], [2, -3]),
        (MaxOverTime(), [3, 9], [3, -2]),
        (LastStep(), [2, 9], [2, -2]),
    ],
)
def test_the_scores_of_two_samples_worked_out_by_hand(readout, unmasked, masked):
    assert readout(POTENTIAL).flatten().tolist() == unmasked
    assert readout(POTENTIAL, TWO_STEPS).flatten().tolist() == masked


def test_the_last_valid_step_counts_also_where_earlier_ones_are_invalid():
    mask = torch.tensor([[True, False], [False, True], [True, False]])
    assert LastStep()(POTENTIAL, mask).flatten().tolist() == [2, -2]
    assert MeanOverTime()(POTENTIAL, mask).flatten().tolist() == [1.5, -2]


def test_padding_is_below_any_potential():
    mask = torch.tensor([[True], [False]])
    assert MaxOverTime()(torch.full((2, 1, 1), -1e30), mask).item() == torch.tensor(-1e30).item()


def test_steps_that_reach_the_maximum_alike_share_its_gradient():
    potential = torch.tensor([[[2.0]], [[1.0]], [[2.0]], [[2.0]]], requires_grad=True)
    max_over_time(potential, torch.tensor([[True], [True], [True], [False]])).backward()
    assert potential.grad.flatten().tolist() == [0.5, 0, 0.5, 0]


def test_the_last_step_alone_gets_a_gradient():
    potential = POTENTIAL.clone().requires_grad_()
    last_step(potential, TWO_STEPS).sum().backward()
    assert potential.grad[..., 0].tolist() == [[0, 0], [0, 1], [1, 0]]


def test_long_bfloat16_spike_trains_are_counted_exactly():
    spikes = torch.ones(257, 1, 1, dtype=torch.bfloat16)  # 257 is no bfloat16
    assert SpikeCount()(spikes).item() == 257


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [
        ((T, N), None, "float32 of shape (5, 3). It takes floats (T, B, units)."),
        ((T, 0, N), None, "float32 of shape (5, 0, 3). It takes floats"),
        ((T, B, N), torch.ones(T, dtype=torch.bool), "shape (5,). It takes booleans (T, B), here (5, 4)"),
        ((T, B, N), mask_of((5, 3, 1, 0)), "sample 3 has no valid step in the mask"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(name, shape, mask, message):
    with pytest.raises(WrongOption) as error:
        registry.build("readout", name)(torch.zeros(shape), mask)
    assert str(error.value).startswith(f"{name}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_looked_at_where_that_would_make_a_device_wait(name):
    outputs, mask = torch.zeros(T, B, N, device="meta"), torch.ones(T, B, device="meta").bool()
    scores = registry.build("readout", name)(outputs, mask)  # nobody can look at values on meta
    assert scores.device.type == "meta"


BATTERY = [
    pytest.param(check, registry.build("readout", name), id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name in NAMES
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "readout"), BATTERY)
def test_the_readout_keeps_its_promises(check, readout):
    check(readout)


def test_the_battery_runs_over_the_readouts_that_losses_name():
    assert {registry.build("loss", name).readout for name in registry.names("loss")} <= set(NAMES)


def broken_promises(readout) -> set[str]:
    found = set()
    for check in CHECKS:
        try:
            check(readout)
        except Exception:
            found.add(check.__name__.removeprefix("check_"))
    return found


class Plain(Readout):
    """Written without any helper of snnlab, it keeps every promise; those below break some."""

    field: ClassVar = "potential"

    def __call__(self, outputs, mask=None):
        if mask is None:
            return outputs.mean(0)
        return torch.where(mask[..., None], outputs, 0.0).sum(0) / mask.sum(0)[:, None]


class MaskIgnored(Plain):
    def __call__(self, outputs, mask=None):
        return outputs.mean(0)


class DividedByAllSteps(Plain):
    def __call__(self, outputs, mask=None):
        return outputs.mean(0) if mask is None else torch.where(mask[..., None], outputs, 0.0).mean(0)


class MaskTwice(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs, mask) * (1 if mask is None else 2)


class SamplesMixed(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs, mask).cumsum(0)


class UnitsReversed(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs, mask).flip(1)


class LeastActive(Plain):
    def __call__(self, outputs, mask=None):
        return -super().__call__(outputs, mask)


class OneForTheSample(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs, mask).argmax(1)


class RoundedToFloat32(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs, mask).float()


class InPlace(Plain):
    def __call__(self, outputs, mask=None):
        return super().__call__(outputs.add_(1), mask)


def test_the_battery_finds_nothing_in_a_sound_readout():
    assert broken_promises(Plain()) == set()


BROKEN = {
    MaskIgnored: "padding_has_no_effect",
    DividedByAllSteps: "a_padded_sample_is_worth_the_same_alone",
    MaskTwice: "a_mask_of_valid_steps_is_no_mask",
    SamplesMixed: "each_unit_is_scored_at_its_place",
    UnitsReversed: "each_unit_is_scored_at_its_place",
    LeastActive: "a_unit_that_is_more_active_scores_higher",
    OneForTheSample: "it_gives_a_score_for_each_unit",
    RoundedToFloat32: "float64_is_kept",
    InPlace: "its_arguments_are_left_as_they_were",
}


@pytest.mark.parametrize(("part", "promise"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promise_that_is_broken(part, promise):
    assert promise in broken_promises(part())
