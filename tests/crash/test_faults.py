"""Each file operation of a run fails or kills it, one after the other; started again, it ends with the same result.

The operations are those that make, write, flush, rename or remove something in the run's folder. Of what the machine
itself loses when its power fails, nothing is tried here: a file is flushed before it is renamed, and that is a file
operation like the others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import snnlab

pytestmark = pytest.mark.crash

ALL = os.environ.get("SNNLAB_ALL_FAULTS", "0") != "0"
"""Every operation in every way: minutes. Otherwise each operation kills once, fails once and fails for good once."""

CASES = {  # what befalls the operation, the first one, the stride
    "killed, odd ones": ("killed", 1, 2),
    "killed, even ones": ("killed", 2, 2),
    "full once": ("full once", 1, 1 if ALL else 2),
    "full from then on": ("full from then on", 1 if ALL else 2, 1 if ALL else 2),
    "broken once": ("broken once", 1 if ALL else 2, 1 if ALL else 2),
    "broken from then on": ("broken from then on", 1, 1 if ALL else 2),
}
WRITTEN = (
    "attempts/",
    "log.txt",
    "config.yaml",
    "overrides.txt",
    "best.ckpt",
    "last.ckpt",
    "metrics.csv",
    "result.json",
)


@pytest.mark.parametrize("case", CASES)
def test_whichever_file_operation_goes_wrong_the_run_started_again_ends_with_the_same_result(case: str) -> None:
    found = explored(*CASES[case])
    assert found["wrong"] == {}
    assert len(found["operations"]) >= 60 // CASES[case][2]
    for name in WRITTEN:
        assert any(name in operation for operation in found["operations"].values()), name


@pytest.mark.parametrize("begun", [30, 55, 70])  # before the first checkpoint, while a better one is kept, at the end
def test_a_run_killed_a_second_time_at_any_file_operation_ends_with_the_same_result(begun: int) -> None:
    found = explored("killed", 1, 1 if ALL else 5, begun)
    assert found["wrong"] == {}
    assert len(found["operations"]) >= 5


@pytest.mark.parametrize("kind", ["killed", "full once"])
def test_pictures_and_saves_within_an_epoch_change_nothing_of_it(kind: str) -> None:
    found = explored(kind, 1, 1 if ALL else 25, 0, "checkpoint_minutes=0", "plots=true")
    assert found["wrong"] == {}
    assert len(found["operations"]) >= 5
    assert any("plots/" in operation for operation in found["operations"].values())


def explored(kind: str, first: int, stride: int, begun: int = 0, *words: str) -> dict[str, Any]:
    """What faults.py found."""
    environment = os.environ | {"PYTHONPATH": str(Path(snnlab.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("faults.py")), kind, str(first), str(stride), str(begun)]
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
