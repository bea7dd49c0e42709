"""Regularizers against loops over plain numbers and figures worked out by hand; their battery finds its faults."""

from __future__ import annotations

import pytest
import torch

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.regularizers import RateL2, RateLower, RateUpper, Regularizer
from snnlab.testing import NotApplicable
from snnlab.testing.regularizers import CHECKS

T, B, N = 6, 4, 3
LENGTHS = (6, 3, 1, 4)
NAMES = registry.names("regularizer")
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # float64, some ten operations
PARTS = {
    "rate_lower": RateLower(bound=0.6, weight=3.0),
    "rate_upper": RateUpper(bound=0.3, weight=3.0),
    "rate_l2": RateL2(weight=3.0),
}


def mask_of(lengths):
    return torch.arange(T)[:, None] < torch.tensor(lengths)


def excess(part, rate: float) -> float:
    if isinstance(part, RateL2):
        return rate
    return max(0.0, part.bound - rate if isinstance(part, RateLower) else rate - part.bound)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["unmasked", "masked"])
@pytest.mark.parametrize("name", PARTS)
def test_a_regularizer_equals_loops_over_units_samples_and_steps(name, lengths, rng):
    part = PARTS[name]
    spikes = (torch.rand(T, B, N, generator=rng, dtype=torch.float64) < torch.tensor([0.2, 0.5, 0.8])).double()
    total = 0.0
    for unit in range(N):
        seen = [spikes[t, b, unit].item() for b, n in enumerate(lengths or (T,) * B) for t in range(n)]
        total += excess(part, sum(seen) / len(seen)) ** 2
    value = part(spikes, None if lengths is None else mask_of(lengths))
    torch.testing.assert_close(value.item(), 3.0 * total / N, **ROUNDING)


# Two steps, two samples, two units: the rates are 3/4 and 1/4; without the last step of the second sample 2/3 and 0.
SPIKES = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 1.0]]])
SHORTER = torch.tensor([[True, True], [True, False]])


@pytest.mark.parametrize(
    ("part", "unmasked", "masked"),
    [
        (RateLower(bound=0.5), (0 + 1 / 16) / 2, (0 + 1 / 4) / 2),
        (RateUpper(bound=0.5), (1 / 16 + 0) / 2, (1 / 36 + 0) / 2),
        (RateL2(), (9 / 16 + 1 / 16) / 2, (4 / 9 + 0) / 2),
        (RateL2(weight=0.1), (9 / 16 + 1 / 16) / 20, (4 / 9 + 0) / 20),
    ],
)
def test_the_penalty_of_two_units_worked_out_by_hand(part, unmasked, masked):
    assert part(SPIKES).item() == pytest.approx(unmasked, rel=1e-6)  # float32
    assert part(SPIKES, SHORTER).item() == pytest.approx(masked, rel=1e-6)


def test_rates_within_their_bounds_are_free():
    for part in (RateLower(bound=0.25), RateUpper(bound=0.75)):
        spikes = SPIKES.clone().requires_grad_()
        penalty = part(spikes)
        penalty.backward()
        assert penalty.item() == 0
        assert not spikes.grad.any()


@pytest.mark.parametrize(("part", "sign"), [(RateLower(bound=0.5), -1), (RateUpper(bound=0.5), 1), (RateL2(), 1)])
def test_the_gradient_pushes_rates_the_right_way(part, sign):
    spikes = SPIKES.clone().requires_grad_()
    part(spikes).backward()
    assert bool((spikes.grad * sign >= 0).all())
    assert bool(spikes.grad.any())


@pytest.mark.parametrize("name", PARTS)
def test_gradients_equal_finite_differences(name, rng):
    spikes = torch.rand(T, B, N, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: PARTS[name](x, mask_of(LENGTHS)), spikes)


def test_long_bfloat16_spike_trains_are_counted_exactly():
    spikes = torch.ones(514, 1, 1, dtype=torch.bfloat16)
    spikes[257:] = 0  # 257 is no bfloat16
    assert RateL2()(spikes).item() == 0.25


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("spikes", "mask", "message"),
    [
        (torch.zeros(T, N), None, "float32 of shape (6, 3). It takes floats (T, B, units)."),
        (torch.zeros(T, B, N).long(), None, "int64 of shape (6, 4, 3). It takes floats"),
        (torch.zeros(T, B, 2, 2), torch.ones(B, T, dtype=torch.bool), "shape (4, 6). It takes booleans (T, B)"),
        (torch.zeros(T, B, N), mask_of((6, 0, 1, 4)), "sample 1 has no valid step"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(name, spikes, mask, message):
    with pytest.raises(WrongOption) as error:
        registry.build("regularizer", name)(spikes, mask)
    assert str(error.value).startswith(f"{name}: ")
    assert message in str(error.value)


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"bound": 1.5}, {"bound": -0.1}])
def test_a_negative_weight_and_a_bound_that_is_no_rate_are_refused(options):
    with pytest.raises(WrongOption, match=rf"rate_lower\.{next(iter(options))}"):
        RateLower(**options)


@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_looked_at_where_that_would_make_a_device_wait(name):
    spikes, mask = torch.zeros(T, B, N, device="meta"), torch.ones(T, B, device="meta").bool()
    penalty = registry.build("regularizer", name)(spikes, mask)  # nobody can look at values on meta
    assert penalty.device.type == "meta"


BATTERY = [
    pytest.param(check, registry.build("regularizer", name), id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name in NAMES
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "regularizer"), BATTERY)
def test_the_regularizer_keeps_its_promises(check, regularizer):
    check(regularizer)


def broken_promises(regularizer) -> set[str]:
    found = set()
    for check in CHECKS:
        try:
            check(regularizer)
        except NotApplicable:
            continue
        except Exception:
            found.add(check.__name__.removeprefix("check_"))
    return found


class Plain(Regularizer):
    """Written without any helper of snnlab, it keeps every promise; those below break some."""

    def rates(self, spikes, mask):
        if mask is None:
            return spikes.mean((0, 1))
        kept = mask.view(*mask.shape, *[1] * (spikes.dim() - 2))
        return torch.where(kept, spikes, 0.0).sum((0, 1)) / mask.sum()

    def __call__(self, spikes, mask=None):
        return self.weight * self.rates(spikes, mask).pow(3).mean()


class MaskIgnored(Plain):
    def rates(self, spikes, mask):
        return spikes.mean((0, 1))


class DividedByAllSteps(Plain):
    def rates(self, spikes, mask):
        kept = torch.tensor(True) if mask is None else mask.view(*mask.shape, *[1] * (spikes.dim() - 2))
        return torch.where(kept, spikes, 0.0).mean((0, 1))


class MaskTwice(Plain):
    def rates(self, spikes, mask):
        return super().rates(spikes, mask) * (1 if mask is None else 2)


class WeightForgotten(Plain):
    def __call__(self, spikes, mask=None):
        return self.rates(spikes, mask).mean()


class Detached(Plain):
    def rates(self, spikes, mask):
        return super().rates(spikes.detach(), mask) + 0 * super().rates(spikes, mask)


class FirstAxisOnly(Plain):
    def __call__(self, spikes, mask=None):
        return (
            self.weight * self.rates(spikes, mask).flatten(1).sum(-1).pow(2).mean()
            if spikes.dim() > 3
            else (super().__call__(spikes, mask))
        )


class FirstSampleTwice(Plain):
    def rates(self, spikes, mask):
        return super().rates(spikes, mask) + spikes[0, 0]


class SquareRoot(Plain):
    def __call__(self, spikes, mask=None):
        return self.weight * self.rates(spikes, mask).sqrt().mean()


class OneForEachUnit(Plain):
    def __call__(self, spikes, mask=None):
        return self.weight * self.rates(spikes, mask)


class RoundedToFloat32(Plain):
    def __call__(self, spikes, mask=None):
        return super().__call__(spikes, mask).float()


class InPlace(Plain):
    def rates(self, spikes, mask):
        return super().rates(spikes if spikes.requires_grad else spikes.mul_(0.5), mask)


def test_the_battery_finds_nothing_in_a_sound_regularizer():
    assert broken_promises(Plain()) == set()


BROKEN = {
    MaskIgnored: "padding_has_no_effect",
    DividedByAllSteps: "more_padding_has_no_effect",
    MaskTwice: "a_mask_of_valid_steps_is_no_mask",
    WeightForgotten: "it_is_proportional_to_its_weight",
    Detached: "some_activity_gets_a_gradient",
    FirstAxisOnly: "the_shape_of_the_units_has_no_effect",
    FirstSampleTwice: "the_order_of_samples_has_no_effect",
    SquareRoot: "some_activity_gets_a_gradient",
    OneForEachUnit: "it_gives_one_finite_number",
    RoundedToFloat32: "float64_is_kept",
    InPlace: "its_arguments_are_left_as_they_were",
}


@pytest.mark.parametrize(("part", "promise"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promise_that_is_broken(part, promise):
    assert promise in broken_promises(part())
