"""Encoders against loops over plain numbers and figures worked out by hand; their battery finds its faults."""

from __future__ import annotations

import math
from typing import ClassVar

import pytest
import torch

from snnlab import registry
from snnlab.draws import Draws
from snnlab.encoders import Bernoulli, Constant, Delta, Encoder, Identity, Latency
from snnlab.errors import WrongOption
from snnlab.options import FromRun, PositiveInt
from snnlab.testing import NotApplicable
from snnlab.testing.encoders import CHECKS
from snnlab.testing.general import supplied_values

NAMES = registry.names("encoder")


def built(name: str, **options):
    return registry.build("encoder", {"name": name, **options}, **supplied_values(registry.get("encoder", name)))


def test_a_constant_is_a_view_of_one_step():
    inputs = torch.tensor([[1.0, -2.0]])
    currents = Constant(steps=3, gain=2.0)(inputs, Draws(0))
    assert currents.tolist() == [[[2, -4]]] * 3
    assert currents.stride(0) == 0


def test_bernoulli_spikes_where_a_uniform_number_is_below_the_probability(rng):
    inputs = torch.rand(4, 3, generator=rng)
    spikes = Bernoulli(steps=5, gain=0.5)(inputs, Draws("key", 7))
    uniform = Draws("key", 7).uniform("encoder", (5, 4, 3), like=inputs, batch=1).tolist()
    wanted = [[[float(uniform[t][b][i] < 0.5 * inputs[b, i]) for i in range(3)] for b in range(4)] for t in range(5)]
    assert spikes.tolist() == wanted


def test_bernoulli_never_spikes_for_0_even_where_0_is_drawn(monkeypatch):
    monkeypatch.setattr(Draws, "uniform", lambda self, name, shape, like, batch: torch.zeros(shape))
    assert Bernoulli(steps=2)(torch.tensor([[0.0, 0.5]]), Draws(0)).tolist() == [[[0, 1]]] * 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bernoulli_spikes_as_often_as_the_probability_says(dtype):
    steps, probabilities = 40_000, [0.0, 2**-10, 0.125, 0.5, 1.0]  # bfloat16 has them all
    spikes = Bernoulli(steps=steps)(torch.tensor([probabilities], dtype=dtype), Draws(0))
    for rate, p in zip(spikes.float().mean(0)[0].tolist(), probabilities, strict=True):
        assert abs(rate - p) <= 4 * math.sqrt(p * (1 - p) / steps)  # four standard deviations: 0 and 1 are exact


def test_the_same_key_gives_the_same_spikes_and_another_key_others(rng):
    inputs, encode = torch.rand(8, 20, generator=rng), Bernoulli(steps=10)
    assert torch.equal(encode(inputs, Draws(1, "train", 0, 3)), encode(inputs, Draws(1, "train", 0, 3)))
    for key in ((2, "train", 0, 3), (1, "val", 0, 3), (1, "train", 1, 3), (1, "train", 0, 4)):
        assert not torch.equal(encode(inputs, Draws(1, "train", 0, 3)), encode(inputs, Draws(*key)))


@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_slices_put_together_are_the_spikes_of_one_process(world, rng):
    inputs, encode = torch.rand(7, 20, generator=rng), Bernoulli(steps=10)
    whole = encode(inputs, Draws(1, size=7))
    together = torch.full_like(whole, torch.nan)
    for rank in range(world):
        mine = slice(rank, None, world)
        together[:, mine] = encode(inputs[mine], Draws(1, rank=rank, world=world, size=7))
    assert torch.equal(whole, together)


def times(spikes) -> list[list[int]]:
    """The step of the one spike of each input, -1 where it has none."""
    assert spikes.sum(0).max() <= 1
    return torch.where(spikes.any(0), spikes.argmax(0), -1).tolist()


def test_linear_latencies_are_those_of_the_baseline():
    inputs = torch.arange(17).div(16)[None]  # the digits have 17 grey values
    wanted = [-1] + [round((1 - k / 16) * (20 * 2 // 3)) for k in range(1, 17)]
    assert times(Latency(steps=20)(inputs, Draws(0))) == [wanted]
    assert wanted[1:4] == [12, 11, 11]
    assert wanted[-3:] == [2, 1, 0]


@pytest.mark.parametrize("steps", [1, 2, 3, 10, 30, 100])
def test_linear_latencies_spread_over_two_thirds_of_the_steps(steps):
    inputs = torch.tensor([[1.0, 1e-6, 0.0]])
    assert times(Latency(steps=steps)(inputs, Draws(0))) == [[0, min(steps * 2 // 3, steps - 1), -1]]


def test_a_window_of_29_of_100_steps_has_29_though_floats_say_less():
    assert int(0.29 * 100) == 28
    assert times(Latency(steps=100, window=0.29)(torch.tensor([[1.0, 1e-6]]), Draws(0))) == [[0, 29]]


def test_a_window_of_all_steps_loses_no_spike():
    inputs = torch.linspace(0.01, 1, 50)[None]
    found = times(Latency(steps=10, window=1.0)(inputs, Draws(0)))[0]
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (9, 0)


def test_logarithmic_latencies_are_those_of_spytorch():
    grey = [k / 255 for k in range(256)]
    wanted = [int(20 * math.log(x / (x - 0.2))) if x > 0.2 else 100 for x in grey]
    spikes = Latency(steps=100, curve="logarithmic")(torch.tensor([grey], dtype=torch.float64), Draws(0))
    assert times(spikes) == [[time if time < 100 else -1 for time in wanted]]
    assert wanted[-1] == 4
    assert 51 / 255 == 0.2  # at the threshold: never


def test_logarithmic_latencies_are_in_milliseconds():
    inputs = torch.tensor([[1.0, 0.5]])
    fine = Latency(steps=200, dt=0.5, curve="logarithmic", tau=10.0, threshold=0.1)(inputs, Draws(0))
    wanted = [int(10 * math.log(x / (x - 0.1)) / 0.5) for x in (1.0, 0.5)]
    assert times(fine) == [wanted] == [[2, 4]]


def test_an_input_up_to_the_threshold_never_spikes():
    inputs = torch.tensor([[0.25, 0.5, 0.75]])
    assert times(Latency(steps=8, threshold=0.5)(inputs, Draws(0))) == [[-1, -1, 1]]
    assert times(Latency(steps=50, threshold=0.5, curve="logarithmic")(inputs, Draws(0))) == [[-1, -1, 21]]


SERIES = torch.tensor([[[0.0, 1.0]], [[0.5, 1.0]], [[0.75, 0.0]], [[0.25, 0.25]]])  # (4, 1, 2)


@pytest.mark.parametrize(
    ("off", "wanted"),
    [
        ("channels", [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
        ("signed", [[0, 0], [1, 0], [0, -1], [-1, 0]]),
        ("ignored", [[0, 0], [1, 0], [0, 0], [0, 0]]),
    ],
)
def test_delta_spikes_where_the_change_reaches_the_threshold(off, wanted):
    assert Delta(threshold=0.5, off=off)(SERIES, Draws(0))[:, 0].tolist() == wanted


def test_delta_tells_the_shape_of_its_steps():
    assert Delta().features((3, 4)) == (3, 8)
    assert Delta(off="signed").features((3, 4)) == Identity().features((3, 4)) == (3, 4)


def test_a_current_takes_gradients_back_to_its_input():
    inputs = torch.tensor([[1.0, -2.0]], requires_grad=True)
    Constant(steps=3, gain=2.0)(inputs, Draws(0)).sum().backward()  # a warning, of reading a number off it, is an error
    assert inputs.grad.tolist() == [[6, 6]]


def test_identity_is_the_series_itself():
    assert Identity()(SERIES, Draws(0)) is SERIES


STILL = torch.tensor([[0.0, 0.5, 1.0]])


@pytest.mark.parametrize(
    ("encoder", "inputs", "message"),
    [
        (Bernoulli(steps=5), STILL * 2, "bernoulli: inputs from 0 to 2. It takes numbers from 0 to 1: scale the data."),
        (Bernoulli(steps=5, gain=3.0), STILL, "bernoulli: gain 3 times inputs from 0 to 3"),
        (Bernoulli(steps=5), STILL - 0.5, "bernoulli: inputs from -0.5 to 0.5"),
        (Latency(steps=5), STILL * 16, "latency: inputs from 0 to 16. It takes numbers from 0 to 1"),
        (Latency(steps=5), STILL / 0, "latency: NaN among the inputs"),
        (Constant(steps=5), STILL + torch.inf, "constant: inputs from inf to inf. It takes finite numbers."),
        (Identity(), SERIES - torch.inf, "identity: inputs from -inf to -inf"),
        (Bernoulli(steps=5), STILL.long(), "bernoulli: torch.int64 of shape (1, 3). It takes floats (B, *features)."),
        (Constant(steps=5), STILL[0], "constant: torch.float32 of shape (3,)"),
        (Delta(), STILL, "delta: torch.float32 of shape (1, 3). It takes floats (T, B, *features)."),
        (Identity(), SERIES[:0], "identity: torch.float32 of shape (0, 1, 2)"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(encoder, inputs, message):
    with pytest.raises(WrongOption) as error:
        encoder(inputs, Draws(0))
    assert message in str(error.value)


def test_a_gain_that_makes_a_third_to_one_is_a_probability():
    third = torch.tensor([[1.0]]) / 3  # 0.33333334 in float32
    assert Bernoulli(steps=4, gain=3.0)(third, Draws(0)).tolist() == [[[1.0]]] * 4


def test_every_batch_is_looked_at_on_the_cpu():
    encode = Bernoulli(steps=5)
    encode(STILL, Draws(0))
    with pytest.raises(WrongOption):
        encode(STILL * 2, Draws(0))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "bernoulli"])  # meta has no generator
def test_later_batches_are_not_looked_at_where_that_would_make_a_device_wait(name):
    encode = built(name)
    inputs = STILL if encode.takes == "still" else SERIES
    wanted = encode(inputs, Draws(0))
    later = encode(inputs.to("meta"), Draws(0))  # whose values nobody can look at
    assert (later.shape, later.device.type) == (wanted.shape, "meta")
    fresh = built(name)
    for _ in range(2):  # the first one is, until one was found good
        with pytest.raises(RuntimeError, match="meta"):
            fresh(inputs.to("meta"), Draws(0))


@pytest.mark.parametrize("part", [Constant, Bernoulli, Latency])
@pytest.mark.parametrize("steps", [0, -1, 2.5, None])
def test_steps_that_are_no_number_of_steps_are_refused(part, steps):
    with pytest.raises(WrongOption, match=r"\.steps"):
        part(steps=steps)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bernoulli(steps=5, gain=0.0),
        lambda: Latency(steps=5, threshold=1.0),
        lambda: Latency(steps=5, window=1.5),
        lambda: Latency(steps=5, tau=0.0),
        lambda: Latency(steps=5, curve="logarithmic", threshold=0.0),
        lambda: Delta(threshold=0.0),
    ],
    ids=["gain", "threshold", "window", "tau", "logarithmic_threshold", "delta_threshold"],
)
def test_options_out_of_range_are_refused(make):
    with pytest.raises(WrongOption):
        make()


PARTS = {
    **{name: built(name) for name in NAMES},
    "latency_logarithmic": built("latency", curve="logarithmic"),
    "delta_signed": built("delta", off="signed"),
    "bernoulli_gain": built("bernoulli", gain=0.5),
}
BATTERY = [
    pytest.param(check, encoder, id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name, encoder in PARTS.items()
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "encoder"), BATTERY)
def test_the_encoder_keeps_its_promises(check, encoder):
    check(encoder)


def broken_promises(encoder) -> set[str]:
    found = set()
    for check in CHECKS:
        try:
            check(encoder)
        except NotApplicable:
            continue
        except Exception:
            found.add(check.__name__.removeprefix("check_"))
    return found


class Plain(Encoder):
    """Noise on a picture at every step; it keeps every promise, and those below break some."""

    takes: ClassVar = "still"
    steps: FromRun[PositiveInt] = 4

    def __call__(self, inputs, draws):
        self.check(inputs, 0.0, 1.0)
        return inputs + draws.normal("encoder", (self.steps, *inputs.shape), like=inputs, batch=1)


class OneStepMore(Plain):
    def __call__(self, inputs, draws):
        return torch.cat([inputs[None], super().__call__(inputs, draws)])


class ShapeUntold(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs, draws).flatten(2)


class GlobalGenerator(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs, draws) + torch.rand(1)


class OwnNumbers(Plain):
    def __call__(self, inputs, draws):
        self.check(inputs)
        return inputs + torch.rand((self.steps, *inputs.shape), generator=torch.Generator().manual_seed(0))


class Remembers(Plain):
    calls = 0

    def __call__(self, inputs, draws):
        self.calls += 1
        return super().__call__(inputs, draws) + self.calls


class BatchNormalized(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs, draws) - inputs.mean(0)


class RoundedToFloat32(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs, draws).float()


class InPlace(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs.mul_(0.5), draws)


class NaNIsSilence(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs.nan_to_num(), draws)


class AxesGuessed(Plain):
    def __call__(self, inputs, draws):
        return super().__call__(inputs[None] if inputs.dim() == 1 else inputs, draws)


class DividedBySteps(Plain):
    def __call__(self, inputs, draws):
        steps = torch.arange(self.steps, dtype=inputs.dtype).view(-1, *[1] * inputs.dim())
        return super().__call__(inputs, draws) * steps / (self.steps - 1)


def test_the_battery_finds_nothing_in_a_sound_encoder():
    assert broken_promises(Plain()) == set()


BROKEN = {
    OneStepMore: "it_gives_a_sequence",
    ShapeUntold: "it_gives_a_sequence",
    GlobalGenerator: "the_global_generator_is_left_alone",
    OwnNumbers: "the_processes_together_see_the_batch_of_one",
    Remembers: "the_same_draws_give_the_same_sequence",
    BatchNormalized: "a_sample_is_encoded_by_itself",
    RoundedToFloat32: "types_are_kept",
    InPlace: "the_inputs_are_left_as_they_were",
    NaNIsSilence: "nan_is_refused",
    AxesGuessed: "another_number_of_axes_is_refused",
    DividedBySteps: "one_step_is_enough",
}


@pytest.mark.parametrize(("part", "promise"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promise_that_is_broken(part, promise):
    assert promise in broken_promises(part())
