"""Options read from signatures: what is taken, what is refused and how it is told."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from annotated_types import Ge, Gt, Interval, Le, Lt, Unit
from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.neurons import LIF, STBP, Constant, Milliseconds
from snnlab.options import (
    REQUIRED,
    Fraction,
    FromRun,
    NonNegativeFloat,
    Option,
    Part,
    PositiveFloat,
    PositiveInt,
    describe,
    help_of_arguments,
    nearest,
    options,
    settings,
    shown,
)

Choice = Literal["subtract", "zero", "none"]
Bound = Annotated[float, Gt(0), Lt(1)]


def takes(annotation, value) -> bool:
    try:
        Option("x", annotation, REQUIRED, "").check(value, "part.x")
    except WrongOption:
        return False
    return True


TAKEN = [
    (float, 3.0),
    (float, 3),  # a whole number is a number
    (float, -0.0),
    (float, np.float32(0.5)),
    (float, np.int64(3)),
    (float, torch.tensor(0.5)),
    (int, 3),
    (bool, True),
    (str, "text"),
    (str, ""),
    (Choice, "zero"),
    (Choice | None, None),
    (float | None, None),
    (float | None, 2.0),
    (Bound, 0.5),
    (PositiveInt, 1),
    (NonNegativeFloat, 0.0),
    (Fraction, 1.0),
    (Annotated[float, Interval(gt=0, le=2)], 2.0),
    (list[int], [1, 2]),
    (list[int], []),
    (list[int], (1, 2)),
    (list[str], ["tau"]),
    (list[PositiveInt], [1, 2]),
    (Milliseconds, 3.0),
    (Milliseconds, [3.0, 4]),
    (Milliseconds, torch.ones(3)),
    (Milliseconds, torch.ones(2, 3)),  # one per unit, where units have channels
    (Constant, [-1.0]),
    (dict[str, float], {"a": 1.0}),
    (float | Literal["auto"], "auto"),
    (Any, "anything"),
]

REFUSED = [
    (float, "3"),
    (float, True),
    (float, False),
    (float, None),
    (float, math.nan),
    (float, math.inf),
    (float, -math.inf),
    (float, 10**400),
    (float, [3.0]),
    (float, np.float32("nan")),
    (float, torch.tensor(math.nan)),
    (int, 3.0),
    (int, 3.5),
    (int, "3"),
    (int, True),
    (bool, 1),
    (bool, 0.0),
    (bool, "true"),
    (str, 3),
    (str, None),
    (Choice, "Zero"),
    (Choice, None),
    (Choice, 0),
    (float | None, "none"),
    (Bound, 0.0),
    (Bound, 1.0),
    (PositiveInt, 0),
    (PositiveFloat, -1.0),
    (NonNegativeFloat, -1e-9),
    (Fraction, 1.0000001),
    (PositiveInt | None, 0),
    (Annotated[float | None, Gt(0)], -1.0),
    (Annotated[float, Interval(gt=0, le=2)], 0.0),
    (list[int], 1),
    (list[int], [1.5]),
    (list[int], ["1"]),
    (list[int], "12"),
    (list[float], [math.nan]),
    (list[float], [1.0, math.inf]),
    (list[PositiveInt], [1, 0]),
    (list[float], torch.ones(2, 3)),
    (Milliseconds, 0.0),
    (Milliseconds, [3.0, -4.0]),
    (Milliseconds, [3.0, math.nan]),
    (Milliseconds, [[3.0]]),
    (Milliseconds, "3"),
    (Milliseconds, ["3"]),
    (Milliseconds, None),
    (Milliseconds, True),
    (Milliseconds, torch.tensor([1.0, 0.0])),
    (Milliseconds, torch.tensor([[1.0], [-2.0]])),
    (dict[str, float], {"a": math.nan}),
    (dict[str, float], {"a": "1"}),
    (float, object()),
]


@pytest.mark.parametrize(("annotation", "value"), TAKEN)
def test_a_value_of_the_type_and_in_range_is_taken(annotation, value):
    assert takes(annotation, value)


@pytest.mark.parametrize(("annotation", "value"), REFUSED)
def test_a_value_of_another_type_or_out_of_range_is_refused(annotation, value):
    assert not takes(annotation, value)


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (float, "a number"),
        (int, "a whole number"),
        (bool, "true or false"),
        (str, "text"),
        (Bound, "a number > 0 and < 1"),
        (Annotated[float, Ge(0), Le(1)], "a number >= 0 and <= 1"),
        (PositiveInt | None, "a whole number > 0 or null"),
        (Choice, "subtract | zero | none"),
        (list[PositiveInt], "a list of a whole number > 0"),
        (Milliseconds, "a number in ms, > 0, or a list of them"),
        (Annotated[float, Unit("ms")], "a number in ms"),
        (Annotated[float, Interval(gt=0, le=2)], "a number > 0 and <= 2"),
        (Part, "the name of a part"),
    ],
)
def test_types_are_told_in_words(annotation, words):
    assert describe(annotation) == words


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        (Option("reset", Choice, "zero", ""), "non", "'non'. It takes subtract | zero | none. Did you mean none?"),
        (Option("tau", Annotated[float, Gt(0)], 20.0, ""), -5.0, "-5.0. It takes a number > 0. The default is 20.0."),
        (Option("n", PositiveInt, REQUIRED, ""), 0, "0. It takes a whole number > 0."),
        (Option("flag", bool, True, ""), "yes", "'yes'. It takes true or false. The default is true."),
    ],
)
def test_an_error_names_the_place_the_value_and_what_it_takes(option, value, message):
    with pytest.raises(WrongOption) as error:
        option.check(value, "part.x")
    assert str(error.value) == f"part.x: {message}"
    assert error.value.exit_code == 2


def example(x: Tensor, y: int = 3, *, dt: FromRun[float], tau: Milliseconds = 20.0, surrogate: Part = "atan", n: int):
    """One sentence.

    y = x

    Args:
        tau: how long it
            lasts.
        surrogate: what stands in: for example atan.
        n: a count.
    Raises: nothing.
    Source: nobody.
    """


def test_options_are_the_keyword_only_parameters_in_their_order():
    found = options(example)
    assert list(found) == ["dt", "tau", "surrogate", "n"]
    assert list(settings(example)) == ["tau", "surrogate", "n"]
    assert found["dt"].supplied
    assert not found["tau"].supplied
    assert found["surrogate"].is_part
    assert (found["tau"].unit, found["n"].unit) == ("ms", "")
    assert found["n"].required
    assert not found["tau"].required
    assert found["tau"].default == 20.0


def test_a_part_that_may_be_absent_is_a_part():
    def absent(
        *, one_surrogate: Part | None = "atan", two_surrogate: Part = None, three: FromRun[int] | None = None
    ): ...

    found = options(absent)
    assert [option.is_part for option in found.values()] == [True, True, False]
    assert [option.nullable for option in found.values()] == [True, True, True]
    assert found["three"].supplied
    assert found["one_surrogate"].type == "the name of a part or null"
    assert not options(LIF)["surrogate"].nullable


def test_help_comes_from_the_args_of_the_docstring():
    helps = {name: option.help for name, option in options(example).items()}
    assert helps == {
        "dt": "",
        "tau": "how long it lasts.",
        "surrogate": "what stands in: for example atan.",
        "n": "a count.",
    }


def test_a_docstring_without_args_has_no_help():
    assert help_of_arguments("One sentence.\n\nRaises: tau: nothing.") == {}


def test_a_class_brings_the_help_of_its_bases_and_the_nearest_wins():
    class Base:
        """A base.

        Args:
            one: of the base.
            two: of the base.
            three: of the base.
        """

        def __init__(self, *, one: int = 1, two: int = 2, three: int = 3) -> None: ...

    class Middle(Base):
        """Between.

        Args:
            one: of the middle.
            two: of the middle.
        """

    class Last(Middle):
        """Itself.

        Args:
            one: its own.
        """

    helps = [option.help for option in options(Last).values()]
    assert helps == ["its own.", "of the middle.", "of the base."]


def test_a_neuron_brings_its_own_options_before_those_of_its_bases():
    assert list(settings(LIF))[:3] == ["tau", "threshold", "reset"]
    assert {"surrogate", "detach_reset", "learn", "share", "initial"} < set(settings(LIF))
    assert {"dt", "units", "backend"} == set(options(LIF)) - set(settings(LIF))
    assert settings(STBP)["surrogate"].default == "rectangular"


def test_the_options_of_a_part_cannot_be_changed_from_outside():
    options(example).clear()
    assert options(example)


@pytest.mark.parametrize(
    ("word", "words", "advice"),
    [
        ("treshold", ["tau", "threshold"], " Did you mean threshold?"),
        ("xyz", ["tau", "threshold"], " There is tau, threshold."),
        ("lfi", ["li", "lif"], " Did you mean lif?"),
        ("xyz", [], ""),
    ],
)
def test_the_nearest_word_is_offered(word, words, advice):
    assert nearest(word, words) == advice


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (None, "null"), (3.0, "3.0"), ([1, True], "[1, true]"), (["tau"], "[tau]"), ("atan", "atan")],
)
def test_a_default_is_shown_as_the_command_line_takes_it(value, text):
    assert shown(value) == text
