"""The founding experiments begin with the losses that they had when their accuracies were measured."""

from __future__ import annotations

import importlib.util
import json
import warnings
from pathlib import Path
from types import ModuleType

import pytest

from snnlab.training.console import quiet

_HERE = Path(__file__).parent


def _curves() -> ModuleType:
    spec = importlib.util.spec_from_file_location("loss_curves", _HERE / "loss_curves.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("experiment", ["digits_stbp", "digits_lif", "digits_cuba", "digits_ctrnn"])
def test_the_first_20_losses_are_the_stored_ones(experiment: str, tmp_path: Path) -> None:
    """In float64, sums in another order differ by 1e-16 of a value, and Adam makes at most 1e-12 of it in 20 steps.

    A spike would flip only where a potential comes as near to the threshold: with some 10^6 potentials in the 20 steps
    that is one machine in 10^5. A change of a constant, an
    initial value or the order of samples moves the losses by far more than 1e-9.
    """
    stored = json.loads((_HERE / "loss_curves.json").read_text(encoding="utf-8"))[experiment]
    with warnings.catch_warnings():
        quiet()
        found = _curves().losses(experiment, tmp_path)
    assert len(stored) == 20
    assert found == pytest.approx(stored, rel=1e-9)
