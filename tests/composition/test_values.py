"""Options as Python values: each comes through as it was given."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from snnlab.composition import Composer
from snnlab.composition.overrides import parsed
from snnlab.composition.values import in_words
from snnlab.options import shown


def config_of(*words: str) -> dict[str, Any]:
    composer = Composer()
    return composer.job(composer.translated(words))


def test_options_come_as_names_with_dots_or_nested() -> None:
    nested = {
        "neuron": {"name": "cuba", "tau_mem": 5.0, "surrogate": {"name": "atan"}},
        "layers": {0: {"neuron": "stbp"}},
        "regularizer": {"rate_upper": {"bound": 0.2}, "rate_lower": None},
        "readout": None,
    }
    words = (
        *("neuron=cuba", "neuron.tau_mem=5.0", "neuron.surrogate=atan", "layers.0.neuron=stbp", "readout=null"),
        *("regularizer=[rate_upper,rate_lower]", "regularizer.rate_upper.bound=0.2"),
    )
    assert config_of(*in_words(nested)) == config_of(*words)


VALUES = [
    *(True, None, 3, -3, 5.0, 1e-05, 1e16, -0.0, math.inf, 10**20),
    *("true", "null", "1e-3", "3", "", " ", "a,b", "x=1", "it's", "\\", "C:\\d", "${seed}", "\\${a}", "[1]", "a\nb"),
    *([1, [2.5, "x,y"]], [], [{"a": "b, c"}]),
]


@pytest.mark.parametrize("value", VALUES, ids=shown)
def test_a_value_comes_through_with_its_type(value: Any) -> None:
    (override,) = parsed(in_words({"x": value}))
    found = OmegaConf.to_container(OmegaConf.create({"x": override.value()}), resolve=True)
    assert found == {"x": value} and type(found["x"]) is type(value)  # type: ignore[index,call-overload]


def test_any_text_comes_through() -> None:
    source, letters = random.Random(0), "ab1.,='\"\\ ${}[]()~+-*?:/@\n\t#%&|;é"
    texts = ["".join(source.choices(letters, k=source.randrange(12))) for _ in range(300)]
    words = in_words({f"x{i}": text for i, text in enumerate(texts)})
    values = OmegaConf.create([override.value() for override in parsed(words)])
    assert OmegaConf.to_container(values, resolve=True) == texts


def test_numbers_of_numpy_paths_and_tuples_are_taken() -> None:
    found = in_words({"a": np.float64(0.5), "b": np.int64(2), "c": Path("x"), "d": (1, range(2)), "e": np.bool_(True)})
    assert found == ["a=0.5", "b=2", "c=x", "d=[1, [0, 1]]", "e=true"]
