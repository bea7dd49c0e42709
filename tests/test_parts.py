"""Parts that are classes: `__init__` and its checks made from annotated attributes."""

from __future__ import annotations

import inspect
from typing import Annotated, Any, ClassVar

import pytest
import torch
from annotated_types import Gt

from snnlab.errors import WrongOption
from snnlab.options import FromRun, Part, options, settings
from snnlab.parts import Declared


class Window(Declared):
    """An example.

    Args:
        width: how wide.
        level: how high.
    """

    width: Annotated[int, Gt(0)]
    level: float = 0.5
    steps: FromRun[int] = 10
    kind: ClassVar[str] = "square"
    _hidden: int = 3


class Shaped(Window):
    """One more.

    Args:
        surrogate: its shape.
        other_surrogate: another shape.
        third_surrogate: one more.
    """

    surrogate: Part = "atan"
    other_surrogate: Part | None = None
    third_surrogate: Part | None = "atan"
    level = 2.0


def test_options_are_the_annotated_public_attributes_its_own_first():
    assert list(options(Shaped)) == ["surrogate", "other_surrogate", "third_surrogate", "width", "level", "steps"]
    assert list(settings(Window)) == ["width", "level"]
    assert all(p.kind is inspect.Parameter.KEYWORD_ONLY for p in inspect.signature(Shaped).parameters.values())


def test_given_values_and_defaults_become_attributes():
    window = Window(width=3, steps=5)
    assert (window.width, window.level, window.steps, window.kind) == (3, 0.5, 5, "square")


def test_a_default_may_be_given_again_without_its_type():
    assert Shaped(width=1).level == 2.0
    assert settings(Shaped)["level"].default == 2.0
    assert settings(Window)["level"].default == 0.5


def test_an_option_may_become_required_in_no_subclass_that_inherits_its_default():
    class Narrow(Window):
        level: Annotated[float, Gt(0)]

    assert Narrow(width=1).level == 0.5
    with pytest.raises(WrongOption, match=r"narrow\.level: -1\.0"):
        Narrow(width=1, level=-1.0)


def test_a_method_of_a_foreign_base_is_no_default():
    class Halved(Declared, torch.nn.Module):
        half: float

    with pytest.raises(WrongOption, match=r"halved\.half: it must be given"):
        Halved()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"window\.width: it must be given: a whole number > 0"),
        ({"width": 0}, r"window\.width: 0\. It takes a whole number > 0"),
        ({"width": 1, "levle": 1.0}, r"window\.levle: there is no such option\. Did you mean level\?"),
        ({"width": 1, "kind": "round"}, r"window\.kind: there is no such option"),
        ({"width": 1, "_hidden": 4}, r"window\._hidden: there is no such option"),
        ({"width": 1, "steps": "ten"}, r"window\.steps: 'ten'"),
    ],
)
def test_what_is_wrong_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        Window(**given)


def test_nothing_is_taken_by_position():
    with pytest.raises(TypeError):
        Window(3)


def test_a_part_inside_is_built_from_a_name_a_dict_or_a_callable():
    x = torch.zeros(())
    assert Shaped(width=1).surrogate(x).item() == 1.0
    assert Shaped(width=1, surrogate={"name": "atan", "alpha": 4.0}).surrogate(x).item() == 2.0
    assert Shaped(width=1, surrogate=torch.ones_like).surrogate is torch.ones_like
    assert Shaped(width=1).other_surrogate is None
    assert Shaped(width=1, other_surrogate="gaussian").other_surrogate(x).item() == pytest.approx(0.3989, abs=1e-4)
    assert Shaped(width=1).third_surrogate(x).item() == 1.0
    assert Shaped(width=1, third_surrogate=None).third_surrogate is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("atn", r"surrogate=atn: .*Did you mean atan\?"),
        ({"name": "atan", "alhpa": 1.0}, r"shaped\.surrogate\.alhpa: surrogate atan has no such option"),
        ({"alpha": 1.0}, r"shaped\.surrogate: .*It takes the name of a part, or a dict"),
        (3, r"shaped\.surrogate: 3\."),
        (None, r"shaped\.surrogate: null\. It takes the name of a surrogate"),
    ],
)
def test_a_wrong_part_inside_is_refused(value: Any, message):
    with pytest.raises(WrongOption, match=message):
        Shaped(width=1, surrogate=value)


def test_two_instances_share_no_value_that_one_of_them_was_given():
    one, other = Window(width=1, level=1.0), Window(width=1)
    assert (one.level, other.level, Window.level) == (1.0, 0.5, 0.5)
