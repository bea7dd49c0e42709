"""Losses against loops over plain numbers and figures worked out by hand; their battery finds its faults."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch
from torch.nn import functional

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.losses import CountCrossEntropy, Loss, MembraneCrossEntropy, RateMSE, SpikeCount, TraceMSE
from snnlab.testing import NotApplicable
from snnlab.testing.losses import CHECKS

T, B, N = 5, 4, 3
LENGTHS = (5, 3, 1, 4)
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}  # float64, some ten operations
OVER_TIME = ("max", "mean", "last", "sum", "each_step", "each_step_mean")
LOSSES = {
    "rate_mse": RateMSE(),
    "rate_mse_rates": RateMSE(on_rate=0.7, off_rate=0.1),
    "spike_count": SpikeCount(),
    "spike_count_parts": SpikeCount(correct=0.9, incorrect=0.05),
    "spike_count_power_1": SpikeCount(power=1),
    "count_cross_entropy": CountCrossEntropy(),
    "trace_mse": TraceMSE(),
    **{f"membrane_cross_entropy_{choice}": MembraneCrossEntropy(over_time=choice) for choice in OVER_TIME},
}


def cross_entropy(scores: list[float], wanted: int) -> float:
    return math.log(sum(math.exp(score) for score in scores)) - scores[wanted]


def of_a_sample(loss, steps, target) -> float:
    """The loss of one sample, from its valid steps as lists of plain numbers, one a unit."""
    units = range(len(steps[0]))
    over = {
        "max": [max(step[i] for step in steps) for i in units],
        "sum": [sum(step[i] for step in steps) for i in units],
        "last": steps[-1],
    }
    over["mean"] = [total / len(steps) for total in over["sum"]]
    if isinstance(loss, RateMSE):
        wanted = target if isinstance(target, list) else [loss.on_rate if i == target else loss.off_rate for i in units]
        return sum((wanted[i] - over["mean"][i]) ** 2 for i in units) / 2
    if isinstance(loss, SpikeCount):
        parts = [len(steps) * (loss.correct if i == target else loss.incorrect) for i in units]
        errors = [over["sum"][i] - (target if isinstance(target, list) else parts)[i] for i in units]
        return sum(errors) if loss.power == 1 else sum(error**2 for error in errors) / 2
    if isinstance(loss, TraceMSE):
        traces = target if isinstance(target[0], list) else [target] * len(steps)
        squares = [(steps[t][i] - traces[t][i]) ** 2 for t in range(len(steps)) for i in units]
        return sum(squares) / len(squares)
    if isinstance(loss, CountCrossEntropy):
        return cross_entropy(over["sum"], target)
    if loss.over_time in over:
        return cross_entropy(over[loss.over_time], target)
    classes = target if isinstance(target, list) else [target] * len(steps)
    losses = [cross_entropy(step, wanted) for step, wanted in zip(steps, classes, strict=False)]
    return sum(losses) if loss.over_time == "each_step" else sum(losses) / len(losses)


def by_loops(loss, outputs, targets, lengths) -> float:
    samples = zip(outputs.transpose(0, 1).tolist(), targets, lengths, strict=True)
    return sum(of_a_sample(loss, steps[:length], target) for steps, target, length in samples) / len(lengths)


def outputs_of(loss, rng):
    outputs = torch.randn(T, B, N, generator=rng, dtype=torch.float64)
    return (outputs > 0).double() if loss.field == "spikes" else outputs


def mask_of(lengths):
    return torch.arange(T)[:, None] < torch.tensor(lengths)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["unmasked", "masked"])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_loops_over_samples_steps_and_units(name, lengths, rng):
    loss, mask = LOSSES[name], None if lengths is None else mask_of(lengths)
    outputs = outputs_of(loss, rng)
    targets = []
    if loss.takes != "values":
        targets.append(torch.tensor([2, 0, 1, 1]))
    if loss.takes != "classes":
        targets.append(torch.rand(B, N, generator=rng, dtype=torch.float64))
    for target in targets:
        wanted = by_loops(loss, outputs, target.tolist(), lengths or (T,) * B)
        torch.testing.assert_close(loss(outputs, target, mask).item(), wanted, **ROUNDING)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["unmasked", "masked"])
def test_a_trace_is_compared_step_by_step(lengths, rng):
    outputs, target = (torch.randn(T, B, N, generator=rng, dtype=torch.float64) for _ in range(2))
    mask = None if lengths is None else mask_of(lengths)
    wanted = by_loops(TraceMSE(), outputs, target.transpose(0, 1).tolist(), lengths or (T,) * B)
    torch.testing.assert_close(TraceMSE()(outputs, target, mask).item(), wanted, **ROUNDING)


@pytest.mark.parametrize("over_time", ["each_step", "each_step_mean"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["unmasked", "masked"])
def test_each_step_may_have_a_class_of_its_own(lengths, over_time, rng):
    loss = MembraneCrossEntropy(over_time=over_time)
    outputs = torch.randn(T, B, N, generator=rng, dtype=torch.float64)
    target = torch.randint(N, (T, B), generator=rng)
    wanted = by_loops(loss, outputs, target.t().tolist(), lengths or (T,) * B)
    mask = None if lengths is None else mask_of(lengths)
    torch.testing.assert_close(loss(outputs, target, mask).item(), wanted, **ROUNDING)


def test_what_stands_at_invalid_steps_of_a_trace_or_of_classes_is_not_looked_at(rng):
    mask = mask_of(LENGTHS)
    outputs, trace = (torch.randn(T, B, N, generator=rng) for _ in range(2))
    broken = torch.where(mask[..., None], trace, torch.nan)
    assert torch.equal(TraceMSE()(outputs, trace, mask), TraceMSE()(outputs, broken, mask))
    each = MembraneCrossEntropy(over_time="each_step")
    classes = torch.randint(N, (T, B), generator=rng)
    assert torch.equal(each(outputs, classes, mask), each(outputs, torch.where(mask, classes, -1), mask))


SMOOTH = [name for name in LOSSES if name != "membrane_cross_entropy_max"]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_equal_finite_differences(name, rng):
    loss = LOSSES[name]
    outputs = torch.randn(T, B, N, generator=rng, dtype=torch.float64, requires_grad=True)
    target = (
        torch.rand(B, N, generator=rng, dtype=torch.float64) if loss.takes == "values" else torch.tensor([2, 0, 1, 1])
    )
    assert torch.autograd.gradcheck(lambda x: loss(x, target, mask_of(LENGTHS)), outputs)


def test_the_gradient_of_a_maximum_goes_to_its_step_alone():
    outputs = torch.tensor([[[0.0, 1.0]], [[3.0, 0.5]], [[9.0, 9.0]]], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True], [True], [False]])
    loss = MembraneCrossEntropy(over_time="max")(outputs, torch.tensor([1]), mask)
    loss.backward()
    p = math.exp(3) / (math.exp(3) + math.exp(1))
    wanted = torch.tensor([[[0, -p]], [[p, 0]], [[0, 0]]], dtype=torch.float64)
    torch.testing.assert_close(outputs.grad, wanted, **ROUNDING)


# Two steps, one sample, three units: rates 1, 1/2, 0; counts 2, 1, 0.
SPIKES = torch.tensor([[[1.0, 0.0, 0.0]], [[1.0, 1.0, 0.0]]])


@pytest.mark.parametrize(
    ("loss", "target", "wanted"),
    [
        (RateMSE(), 0, (0 + 1 / 4 + 0) / 2),
        (RateMSE(), 2, (1 + 1 / 4 + 1) / 2),
        (RateMSE(on_rate=0.5, off_rate=0.25), 1, (0.75**2 + 0 + 0.25**2) / 2),
        (SpikeCount(correct=1.0, incorrect=0.0), 0, (0 + 1 + 0) / 2),
        (SpikeCount(correct=1.0, incorrect=0.5), 2, (1 + 0 + 4) / 2),
        (SpikeCount(correct=1.0, incorrect=0.5, power=1), 2, 1 + 0 - 2),
        (CountCrossEntropy(), 0, math.log(1 + math.exp(-1) + math.exp(-2))),
        (CountCrossEntropy(), 2, 2 + math.log(1 + math.exp(-1) + math.exp(-2))),
    ],
)
def test_the_loss_of_three_spikes_worked_out_by_hand(loss, target, wanted):
    assert loss(SPIKES, torch.tensor([target])).item() == pytest.approx(wanted, rel=1e-6)  # float32


@pytest.mark.parametrize(
    ("over_time", "wanted"),
    [
        ("max", math.log(2)),  # (2, 2)
        ("mean", math.log(1 + math.exp(1))),  # (1, 2)
        ("last", math.log(1 + math.exp(2))),  # (0, 2)
        ("sum", math.log(1 + math.exp(2))),  # (2, 4)
        ("each_step", math.log(2) + math.log(1 + math.exp(2))),  # (2, 2), then (0, 2)
        ("each_step_mean", (math.log(2) + math.log(1 + math.exp(2))) / 2),
    ],
)
def test_the_loss_of_two_potentials_worked_out_by_hand(over_time, wanted):
    potential = torch.tensor([[[2.0, 2.0]], [[0.0, 2.0]]])
    loss = MembraneCrossEntropy(over_time=over_time)
    assert loss(potential, torch.tensor([0])).item() == pytest.approx(wanted, rel=1e-6)  # float32


def test_the_trace_loss_of_two_steps_worked_out_by_hand():
    potential, trace = torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), torch.tensor([[[1.0, 0.0]], [[0.0, 4.0]]])
    assert TraceMSE()(potential, trace).item() == (0 + 4 + 9 + 0) / 4
    assert TraceMSE()(potential, torch.tensor([[1.0, 2.0]])).item() == (0 + 0 + 4 + 4) / 4
    first = torch.tensor([[True], [False]])
    assert TraceMSE()(potential, trace, first).item() == (0 + 4) / 2


def test_the_gradient_of_rate_mse_is_the_founding_texts_direct_term(rng):
    spikes = (torch.rand(T, B, N, generator=rng, dtype=torch.float64) < 0.5).double().requires_grad_()
    target = torch.tensor([2, 0, 1, 1])
    RateMSE()(spikes, target).backward()
    direct = -(functional.one_hot(target, N) - spikes.detach().mean(0)) / (T * B)
    torch.testing.assert_close(spikes.grad, direct.expand(T, -1, -1), **ROUNDING)


@pytest.mark.parametrize("target", [torch.tensor([2, 0, 1, 1]), torch.full((B, N), 100.0)], ids=["classes", "counts"])
def test_power_1_pushes_every_count_down_whatever_the_target(target, rng):
    spikes = (torch.rand(T, B, N, generator=rng) < 0.5).float().requires_grad_()
    SpikeCount(power=1)(spikes, target).backward()
    assert torch.equal(spikes.grad, torch.full((T, B, N), 1 / B))


def test_each_step_is_the_sum_of_the_steps_losses_as_in_snntorchs_tutorial(rng):
    potential, target = torch.randn(T, B, N, generator=rng, dtype=torch.float64), torch.tensor([2, 0, 1, 1])
    total = sum(functional.cross_entropy(potential[t], target) for t in range(T))
    torch.testing.assert_close(MembraneCrossEntropy(over_time="each_step")(potential, target), total, **ROUNDING)


def test_long_bfloat16_spike_trains_are_counted_exactly():
    spikes = torch.ones(300, 1, 2, dtype=torch.bfloat16)  # 257 is no bfloat16
    spikes[257:, 0, 1] = 0
    error = SpikeCount(correct=1.0, incorrect=0.0, power=1)(spikes, torch.tensor([0]))
    assert error.item() == 257


@pytest.mark.parametrize("name", LOSSES)
def test_no_value_is_looked_at_where_that_would_make_a_device_wait(name):
    loss, outputs = LOSSES[name], torch.zeros(T, B, N, device="meta")  # whose values nobody can look at
    target = torch.zeros(B, N, device="meta") if loss.takes == "values" else torch.zeros(B, device="meta").long()
    assert loss(outputs, target, torch.ones(T, B, device="meta").bool()).shape == ()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_class_numbers_may_be_whole_numbers_of_any_size(dtype, rng):
    target = torch.tensor([2, 0, 1, 1])
    for loss in (RateMSE(), CountCrossEntropy(), MembraneCrossEntropy(), MembraneCrossEntropy(over_time="each_step")):
        outputs = torch.rand(T, B, N, generator=rng)
        assert torch.equal(loss(outputs, target.to(dtype)), loss(outputs, target))


@pytest.mark.parametrize("part", [RateMSE, SpikeCount, TraceMSE])
def test_the_outputs_not_the_target_decide_the_precision(part, rng):
    target = torch.rand(B, N, generator=rng, dtype=torch.float64)
    for dtype, wanted in ((torch.float32, torch.float32), (torch.bfloat16, torch.float32)):
        assert part()(torch.rand(T, B, N, generator=rng).to(dtype), target).dtype == wanted


def test_one_unit_takes_one_value_a_sample(rng):
    outputs, target = torch.rand(T, B, 1, generator=rng), torch.rand(B, generator=rng)
    for loss in (RateMSE(), SpikeCount(), TraceMSE()):
        assert torch.equal(loss(outputs, target), loss(outputs, target[:, None]))


@pytest.mark.parametrize("over_time", OVER_TIME)
def test_the_default_readout_of_a_membrane_loss_follows_its_time_reduction(over_time, rng):
    loss = MembraneCrossEntropy(over_time=over_time)
    potential = torch.randn(T, B, N, generator=rng)
    scores = registry.build("readout", loss.readout)(potential, mask_of(LENGTHS))
    reduction = {"each_step": "sum", "each_step_mean": "mean"}.get(over_time, over_time)
    target = torch.tensor([2, 0, 1, 1])
    wanted = MembraneCrossEntropy(over_time=reduction)(potential, target, mask_of(LENGTHS))
    torch.testing.assert_close(functional.cross_entropy(scores, target), wanted)
    assert MembraneCrossEntropy.readout == "max_over_time"


CLASSES, OUTPUTS = torch.tensor([2, 0, 1, 1]), torch.zeros(T, B, N)
COUNT, RATE, TRACE = CountCrossEntropy(), RateMSE(), TraceMSE()
EACH = MembraneCrossEntropy(over_time="each_step")


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        (COUNT, (OUTPUTS, torch.tensor([0, 1, 12, 2])), "class 12 for 3 outputs. It takes class numbers 0 … 2."),
        (RATE, (OUTPUTS, torch.tensor([0, 1, -1, 2])), "rate_mse: class -1 for 3 outputs"),
        (EACH, (OUTPUTS, torch.full((T, B), 3)), "membrane_cross_entropy: class 3 for 3 outputs"),
        (COUNT, (OUTPUTS, CLASSES.float()), "count_cross_entropy: a target of torch.float32, shape (4,)"),
        (COUNT, (OUTPUTS, CLASSES[:3]), "It takes a class number for each sample, whole numbers of shape (4,)"),
        (COUNT, (OUTPUTS, CLASSES > 0), "a target of torch.bool"),
        (RATE, (OUTPUTS, torch.zeros(B, 2)), "(4, 2). It takes floats of shape (4, 3), or a class number for each"),
        (RATE, (OUTPUTS, torch.zeros(B)), "rate_mse: a target of torch.float32, shape (4,)"),
        (
            TRACE,
            (OUTPUTS, CLASSES),
            "trace_mse: a target of torch.int64, shape (4,). It takes floats of shape (4, 3), or",
        ),
        (TRACE, (OUTPUTS, torch.zeros(T - 1, B, N)), "shape (4, 4, 3). It takes floats of shape (4, 3), or (5, 4, 3)"),
        (RATE, (OUTPUTS[0], CLASSES), "rate_mse: torch.float32 of shape (4, 3). It takes floats (T, B, units)"),
        (RATE, (OUTPUTS[:0], CLASSES), "rate_mse: torch.float32 of shape (0, 4, 3)"),
        (RATE, (OUTPUTS.long(), CLASSES), "rate_mse: torch.int64 of shape"),
        (RATE, (OUTPUTS, CLASSES, torch.ones(T, B)), "rate_mse: a mask of torch.float32"),
        (RATE, (OUTPUTS, CLASSES, mask_of(LENGTHS).t()), "shape (4, 5). It takes booleans (T, B), here (5, 4)"),
        (RATE, (OUTPUTS, CLASSES, mask_of((5, 3, 0, 4))), "rate_mse: sample 2 has no valid step"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(loss, arguments, message):
    with pytest.raises(WrongOption) as error:
        loss(*arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("part", "options", "message"),
    [
        (RateMSE, {"on_rate": 0.2, "off_rate": 0.3}, "rate_mse.on_rate: 0.2, and off_rate 0.3."),
        (RateMSE, {"on_rate": 0.0}, "rate_mse.on_rate: 0.0, and off_rate 0.0. It takes on_rate above off_rate."),
        (SpikeCount, {"correct": 0.1}, "spike_count.correct: 0.1, and incorrect 0.2."),
    ],
)
def test_targets_that_do_not_favour_the_right_unit_are_refused(part, options, message):
    with pytest.raises(WrongOption) as error:
        part(**options)
    assert message in str(error.value)


@pytest.mark.parametrize("over_time", ["max", "each_step"])
def test_class_minus_100_is_not_skipped_where_nobody_looks(over_time, monkeypatch):
    monkeypatch.setattr("snnlab.losses._refuse_unknown", lambda *arguments: None)  # as on other devices
    with pytest.raises(IndexError, match="out of bounds"):  # torch's own
        MembraneCrossEntropy(over_time=over_time)(OUTPUTS, torch.tensor([0, -100, 1, 2]))


PARTS = {**{name: registry.build("loss", name) for name in registry.names("loss")}, **LOSSES}
BATTERY = [
    pytest.param(check, loss, id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name, loss in PARTS.items()
    for check in CHECKS
    if (name, check.__name__) != ("spike_count_power_1", "check_it_falls_towards_the_target")
]


@pytest.mark.parametrize(("check", "loss"), BATTERY)
def test_the_loss_keeps_its_promises(check, loss):
    try:
        check(loss)
    except NotApplicable as reason:
        assert str(reason)


def broken_promises(loss) -> set[str]:
    found = set()
    for check in CHECKS:
        try:
            check(loss)
        except NotApplicable:
            continue
        except Exception:
            found.add(check.__name__.removeprefix("check_"))
    return found


def test_the_battery_tells_that_power_1_does_not_fall_towards_its_target():
    assert broken_promises(SpikeCount(power=1)) == {"it_falls_towards_the_target"}


class Plain(Loss):
    """Written without any helper of snnlab, it keeps every promise; those below break some."""

    field: ClassVar = "potential"
    readout: ClassVar = "mean_over_time"

    def scores(self, outputs, mask):
        if mask is None:
            return outputs.mean(0)
        return torch.where(mask[..., None], outputs, 0.0).sum(0) / mask.sum(0)[:, None]

    def __call__(self, outputs, target, mask=None):
        return functional.cross_entropy(self.scores(outputs, mask), target, ignore_index=-(2**62))


class MaskIgnored(Plain):
    def scores(self, outputs, mask):
        return outputs.mean(0)


class MaskMultiplied(Plain):
    def scores(self, outputs, mask):
        mask = torch.ones(outputs.shape[:2]) if mask is None else mask
        return (outputs * mask[..., None]).sum(0) / mask.sum(0)[:, None].to(outputs.dtype)


class DividedByAllSteps(Plain):
    def scores(self, outputs, mask):
        return torch.where(torch.ones_like(outputs).bool() if mask is None else mask[..., None], outputs, 0.0).mean(0)


class SumOfSamples(Plain):
    def __call__(self, outputs, target, mask=None):
        return functional.cross_entropy(self.scores(outputs, mask), target, reduction="sum")


class MeanOfSteps(Plain):
    def __call__(self, outputs, target, mask=None):
        mask = torch.ones(outputs.shape[:2], dtype=torch.bool) if mask is None else mask
        return functional.cross_entropy(outputs[mask], target.expand(mask.shape)[mask])


class OneForEachSample(Plain):
    def __call__(self, outputs, target, mask=None):
        return functional.cross_entropy(self.scores(outputs, mask), target, reduction="none")


class Detached(Plain):
    def scores(self, outputs, mask):
        return super().scores(outputs.detach(), mask)


class FirstSampleOnly(Plain):
    def __call__(self, outputs, target, mask=None):
        return super().__call__(outputs[:, :1], target[:1], None if mask is None else mask[:, :1])


class Uphill(Plain):
    def __call__(self, outputs, target, mask=None):
        return -super().__call__(outputs, target, mask)


class RoundedToFloat32(Plain):
    def __call__(self, outputs, target, mask=None):
        return super().__call__(outputs, target, mask).float()


class LogarithmOfZero(Plain):
    def __call__(self, outputs, target, mask=None):
        return super().__call__(outputs, target, mask) + 0 * self.scores(outputs, mask).abs().log().sum()


class InPlace(Plain):
    def scores(self, outputs, mask):
        if not outputs.requires_grad:
            outputs.add_(1)
        return super().scores(outputs, mask)


class IgnoresAClass(Plain):
    def __call__(self, outputs, target, mask=None):
        return functional.cross_entropy(self.scores(outputs, mask), target)


class OtherField(Plain):
    readout: ClassVar = "spike_count"


class Margin(Plain):
    """Sound as well: a sample that is right by the margin gets no gradient."""

    def __call__(self, outputs, target, mask=None):
        return functional.multi_margin_loss(self.scores(outputs, mask), target, margin=0.3)


@pytest.mark.parametrize("part", [Plain, Margin])
def test_the_battery_finds_nothing_in_a_sound_loss(part):
    assert broken_promises(part()) == set()


BROKEN = {
    MaskIgnored: "padding_has_no_effect",
    MaskMultiplied: "padding_has_no_effect",
    DividedByAllSteps: "a_padded_sample_is_worth_the_same_alone",
    SumOfSamples: "a_batch_is_the_mean_of_its_samples",
    MeanOfSteps: "a_batch_is_the_mean_of_its_samples",
    OneForEachSample: "it_gives_one_finite_number",
    Detached: "every_sample_gets_a_gradient",
    FirstSampleOnly: "the_order_of_samples_has_no_effect",
    Uphill: "it_falls_towards_the_target",
    RoundedToFloat32: "float64_is_kept",
    LogarithmOfZero: "it_gives_one_finite_number",
    InPlace: "its_arguments_are_left_as_they_were",
    IgnoresAClass: "a_class_without_a_unit_is_refused",
    OtherField: "its_readout_scores_its_field",
}


@pytest.mark.parametrize(("part", "promise"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promise_that_is_broken(part, promise):
    assert promise in broken_promises(part())
