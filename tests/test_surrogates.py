"""Surrogates against the formulas of their sources, their stated peaks, areas and widths, and the public battery."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.surrogates import heaviside
from snnlab.testing import NotApplicable, check_surrogate, words
from snnlab.testing.surrogates import CHECKS, area

LOGISTIC = 2 * math.log(3 + math.sqrt(8))  # full width at half maximum of sigma'(x)
NORMAL = 2 * math.sqrt(2 * math.log(2))  # the same of the normal density


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def normal(x, mean, deviation):
    return math.exp(-((x - mean) ** 2) / (2 * deviation**2)) / (math.sqrt(2 * math.pi) * deviation)


def lobed_peak(s, h, k):
    return ((1 + h) - 2 * h / k * math.exp(-1 / (2 * k**2))) / (math.sqrt(2 * math.pi) * s)


def lobed(x, s, h, k):
    return (1 + h) * normal(x, 0, s) - h * normal(x, s, k * s) - h * normal(x, -s, k * s)


# name, options, h(x) of the source in plain numbers, peak, area, full width at half maximum
TABLE = [
    ("rectangular", {"a": 1.0}, lambda x: float(abs(x) < 0.5), 1.0, 1.0, 1.0),
    ("rectangular", {"a": 0.25}, lambda x: 4.0 * (abs(x) < 0.125), 4.0, 1.0, 0.25),
    ("polynomial", {"a": 1.0}, lambda x: max(0.0, 0.5 - abs(x) / 4), 0.5, 1.0, 2.0),
    ("polynomial", {"a": 16.0}, lambda x: max(0.0, 2 - 4 * abs(x)), 2.0, 1.0, 0.5),
    ("sigmoid_derivative", {"a": 1.0}, lambda x: math.exp(x) / (1 + math.exp(x)) ** 2, 0.25, 1.0, LOGISTIC),
    (
        "sigmoid_derivative",
        {"a": 0.2},
        lambda x: 5 * math.exp(5 * x) / (1 + math.exp(5 * x)) ** 2,
        1.25,
        1.0,
        LOGISTIC / 5,
    ),
    ("gaussian", {"a": 1.0}, lambda x: normal(x, 0, 1), 1 / math.sqrt(2 * math.pi), 1.0, NORMAL),
    ("gaussian", {"a": 0.09}, lambda x: normal(x, 0, 0.3), 1 / math.sqrt(0.18 * math.pi), 1.0, 0.3 * NORMAL),
    ("fast_sigmoid", {"slope": 10.0}, lambda x: (1 + 10 * abs(x)) ** -2, 1.0, 0.2, (math.sqrt(2) - 1) / 5),
    ("fast_sigmoid", {"slope": 100.0}, lambda x: (1 + 100 * abs(x)) ** -2, 1.0, 0.02, (math.sqrt(2) - 1) / 50),
    ("atan", {"alpha": 2.0}, lambda x: 1 / (1 + (math.pi * x) ** 2), 1.0, 1.0, 2 / math.pi),
    ("atan", {"alpha": 5.0}, lambda x: 2.5 / (1 + (2.5 * math.pi * x) ** 2), 2.5, 1.0, 0.8 / math.pi),
    ("triangle", {"peak": 0.3, "width": 1.0}, lambda x: 0.3 * max(0.0, 1 - abs(x)), 0.3, 0.3, 1.0),
    ("triangle", {"peak": 2.0, "width": 0.25}, lambda x: 2 * max(0.0, 1 - 4 * abs(x)), 2.0, 0.5, 0.25),
    ("sigmoid", {"slope": 1.0}, lambda x: sigmoid(x) * (1 - sigmoid(x)), 0.25, 1.0, LOGISTIC),
    ("sigmoid", {"slope": 8.0}, lambda x: 8 * sigmoid(8 * x) * (1 - sigmoid(8 * x)), 2.0, 1.0, LOGISTIC / 8),
    (
        "multi_gaussian",
        {"sigma": 0.5, "height": 0.15, "scale": 6.0},
        lambda x: lobed(x, 0.5, 0.15, 6),
        lobed_peak(0.5, 0.15, 6),
        0.85,
        1.1424535,
    ),
    (
        "multi_gaussian",
        {"sigma": 0.2, "height": 0.3, "scale": 3.0},
        lambda x: lobed(x, 0.2, 0.3, 3),
        lobed_peak(0.2, 0.3, 3),
        0.7,
        None,
    ),
]
IDS = [f"{name}-{'-'.join(map(str, given.values()))}" for name, given, *_ in TABLE]


def built(name, given=None):
    return registry.build("surrogate", {"name": name, **(given or {})})


def width_at_half_maximum(h):
    """By bisection on a falling flank, twice."""
    half, near, far = float(h(torch.zeros((), dtype=torch.float64))) / 2, 0.0, 10.0
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if float(h(torch.tensor(middle, dtype=torch.float64))) >= half else (near, middle)
    return 2 * near


@pytest.mark.parametrize(("name", "given", "formula", "peak", "whole", "width"), TABLE, ids=IDS)
def test_it_is_the_formula_of_its_source(name, given, formula, peak, whole, width):
    x = torch.linspace(-3.03, 3.03, 203, dtype=torch.float64)
    expected = torch.tensor([formula(value) for value in x.tolist()], dtype=torch.float64)
    torch.testing.assert_close(built(name, given)(x), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("name", "given", "formula", "peak", "whole", "width"), TABLE, ids=IDS)
def test_peak_area_and_width_are_the_stated_ones(name, given, formula, peak, whole, width):
    h = built(name, given)
    assert area(h) == pytest.approx(whole, rel=1e-4)
    assert float(h(torch.zeros((), dtype=torch.float64))) == pytest.approx(peak, rel=1e-12)
    if width is not None:
        assert width_at_half_maximum(h) == pytest.approx(width, rel=1e-6)


def test_the_table_begins_with_the_defaults_of_every_surrogate():
    firsts = {name: given for name, given, *_ in reversed(TABLE)}
    assert set(firsts) == set(registry.names("surrogate"))
    x = torch.linspace(-2, 2, 41)
    for name, given in firsts.items():
        assert torch.equal(built(name)(x), built(name, given)(x)), name


def test_the_lobes_of_multi_gaussian_push_back():
    h = built("multi_gaussian")(torch.linspace(-4, 4, 801, dtype=torch.float64))
    assert h.min() < -0.01


BATTERY = [
    pytest.param(check, registry.get("surrogate", name), id=f"{name}-{check.__name__.removeprefix('check_')}")
    for name in registry.names("surrogate")
    for check in CHECKS
]


@pytest.mark.parametrize(("check", "surrogate"), BATTERY)
def test_the_surrogate_keeps_its_promises(check, surrogate):
    try:
        check(surrogate)
    except NotApplicable as reason:
        assert "its docstring states no number" in str(reason)


def test_a_step_function_is_1_at_0_and_keeps_the_type():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        spikes = heaviside(torch.tensor([-1e-30, 0.0, -0.0, 1e-30], dtype=dtype), torch.ones_like)
        assert spikes.dtype == dtype
        assert spikes.tolist() == [0.0, 1.0, 1.0, 1.0]


def test_second_derivatives_go_through_the_surrogate():
    x = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(heaviside(x, built("gaussian")), x, torch.ones_like(x), create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert first.item() == pytest.approx(normal(0.3, 0, 1))
    assert second.item() == pytest.approx(-0.3 * normal(0.3, 0, 1))


@pytest.mark.parametrize(
    ("given", "message"), [({"a": 0.0}, "> 0"), ({"a": "1"}, "a number"), ({"b": 1.0}, "no such option")]
)
def test_a_wrong_option_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        built("gaussian", given)


def off_centre(x, *, a: float = 1.0):
    """A bell beside the threshold. Area 1."""
    return torch.exp(-((x - 0.5) ** 2) / (2 * a)) / math.sqrt(2 * math.pi * a)


def lopsided(x):
    """One side only."""
    return torch.where(x >= 0, torch.exp(-x.abs()), 0 * x)


def not_a_number(x):
    """0/0 at the threshold."""
    return torch.sin(x) ** 2 / x**2 * torch.exp(-x.abs())


def overflowing(x):
    """exp(|x|) / (1 + exp(|x|))^2, inf / inf far away."""
    return x.abs().exp() / (1 + x.abs().exp()) ** 2


def single(x):
    """float32 whatever comes."""
    return torch.exp(-x.abs()).float()


def relative(x):
    """Scaled by the largest distance of all."""
    return torch.exp(-x.abs() / x.abs().max().clamp(min=1e-9))


def unused(x, *, a: float = 1.0):
    """An option that nobody reads."""
    return torch.exp(-x.abs())


def wide_range(x, *, slope: float = 1.0):
    """It has a pole for a negative slope."""
    return 1 / (1 + slope * x.abs()) ** 2


def misstated(x):
    """A bell.   Peak 2, area 3."""
    return torch.exp(-x.abs())


def in_place(x):
    """Changes what it is given."""
    return torch.exp(-x.detach().abs_())


BROKEN = {
    off_centre: {"it is largest at the threshold", "it is symmetric", "every value that it takes works"},
    lopsided: {"it is symmetric"},
    not_a_number: {"it is largest at the threshold", "it is finite however far"},
    overflowing: {"it is finite however far"},
    single: {"it keeps type and shape"},
    relative: {"it sees one distance at a time", "it is finite however far"},
    unused: {"no option is without effect"},
    wide_range: {"every value that it takes works"},
    misstated: {"the stated peak is measured", "the stated area is measured"},
    in_place: {"it keeps type and shape"},
}


def broken_promises(part):
    found = set()
    for check in CHECKS:
        try:
            check(part)
        except NotApplicable:
            continue
        except AssertionError as error:
            assert str(error)
            found.add(words(check))
    return found


@pytest.mark.parametrize(("part", "promises"), BROKEN.items(), ids=[part.__name__ for part in BROKEN])
def test_the_battery_names_the_promises_that_are_broken(part, promises):
    assert promises <= broken_promises(part)
    with pytest.raises(AssertionError):
        check_surrogate(part)


def test_the_battery_finds_a_function_that_pickle_cannot_find():
    assert broken_promises(lambda x: torch.exp(-x.abs())) == {"it can be pickled"}


def test_the_battery_takes_a_function_with_options():
    check_surrogate(functools.partial(registry.get("surrogate", "gaussian"), a=0.05))
