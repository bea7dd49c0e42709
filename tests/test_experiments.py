"""The experiments on digits, trained for real as they are configured. One test each, so that they can run at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snnlab.commands import main
from snnlab.composition.groups import conf_folder

FLOORS = {"digits_lif": 0.97, "digits_stbp": 0.95, "digits_cuba": 0.95, "digits_ctrnn": 0.95, "digits_deep": 0.95}


def test_every_experiment_on_digits_has_a_floor() -> None:
    assert {path.stem for path in (conf_folder() / "experiment").glob("digits_*.yaml")} == set(FLOORS)


@pytest.mark.slow
@pytest.mark.parametrize(("experiment", "floor"), FLOORS.items())
def test_an_experiment_reaches_its_accuracy(experiment: str, floor: float, tmp_path: Path) -> None:
    assert main(["train", f"experiment={experiment}", f"output_dir={tmp_path}"]) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["metrics"]["test/accuracy"] >= floor
    assert result["seed"] == 0
    assert "Warning" not in (tmp_path / "log.txt").read_text()
    assert len(list((tmp_path / "plots").iterdir())) >= 3
