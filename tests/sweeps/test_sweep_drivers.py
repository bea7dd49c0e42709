"""Several drivers of one sweep: each run is finished once, by one of them; tests/crash kills drivers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import snnlab as package
from snnlab import files
from snnlab.composition import Composer
from snnlab.sweeps import sweep
from snnlab.sweeps.begin import begin
from snnlab.training import attempts

pytestmark = pytest.mark.processes

TINY = ("trainer.max_epochs=2", "network.hidden=[8]", "time.steps=4", "trainer.limit_train_batches=2")
SIX = (*TINY, "neuron=lif,cuba", "seed=0,1,2", "sweep_dir=sweep")


class Driver(NamedTuple):
    """How a driver ended."""

    code: int
    out: str
    err: str


def start(folder: Path, number: int, *words: str, killed: int = 0) -> list[Driver]:
    """`snnlab train -m` with the words, `number` times at once, in `folder`; see drivers.py."""
    environment = os.environ | {"PYTHONPATH": str(Path(package.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("drivers.py")), str(number), str(killed), *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    return [Driver(*driver) for driver in json.loads(done.stdout)]


def results(sweep: Path) -> dict[str, dict[str, Any]]:
    """The result.json of each run of a sweep, by its id."""
    return {result["id"]: result for path in sweep.glob("*/result.json") for result in [json.loads(path.read_text())]}


def tries(sweep: Path) -> dict[str, int]:
    """How often each run of a sweep was tried."""
    return {run.name: len(list(run.glob("attempts/*.json"))) for run in sweep.iterdir() if run.name != "plans"}


def test_ten_drivers_finish_each_run_exactly_once(tmp_path: Path) -> None:
    there = tmp_path / "sweep"
    ended = start(tmp_path, 10, *SIX)
    assert [driver.code for driver in ended] == [0] * 10, ended
    assert all(driver.err == "" for driver in ended), ended
    assert len(results(there)) == len(tries(there)) == 6
    assert set(tries(there).values()) == {1}
    trained = [int(line.split(":")[1].split()[0]) for driver in ended for line in tally(driver, "completed")]
    assert sum(trained) == 6
    assert len(trained) > 1  # or the drivers were never at it at the same time


def tally(driver: Driver, status: str) -> list[str]:
    """The line that tells how many jobs had a status, if it does."""
    return [line for line in driver.out.splitlines() if line.startswith("sweep in ") and f" {status}" in line]


def test_two_drivers_run_what_is_stale_again_exactly_once(tmp_path: Path) -> None:
    there = tmp_path / "sweep"
    words = (*TINY, "seed=0,1,2,3", "sweep_dir=sweep")
    start(tmp_path, 1, *words)
    now = results(there)
    for path in list(there.glob("*/result.json"))[:3]:
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"versions": result["versions"] | {"torch": "1.0.0"}}))
    ended = start(tmp_path, 2, *words, "sweep.redo=stale")
    assert [driver.code for driver in ended] == [0, 0], ended
    assert sorted(tries(there).values()) == [1, 2, 2, 2]
    after = results(there)
    assert {key: after[key]["metrics"] for key in now} == {key: now[key]["metrics"] for key in now}
    assert all(result["versions"] == now[key]["versions"] for key, result in after.items())


@pytest.mark.parametrize(("later", "tried"), [(60.0, 1), (-60.0, 2)])
def test_a_job_that_failed_under_another_driver_is_tried_again_only_if_that_was_before_this_one_began(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: float, tried: int
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*TINY, "seed=0,1", "sweep_dir=sweep")
    first, _ = begin(Composer(), words[:-1], "sweep").sweeper.jobs()
    path = Path(first.folder) / "attempts" / "1.json"
    said = {"owner": attempts._me(), "began": 0.0, "status": "running", "error": "", "ended": None}
    files.write_json(path, said)

    def failed(seconds: float) -> None:
        files.write_json(path, said | {"status": "failed", "error": "of its own.", "ended": time.time() + later})

    monkeypatch.setattr(sweep.time, "sleep", failed)
    ran = snnlab("train", "-m", *words)
    assert len(list(path.parent.iterdir())) == tried
    assert (ran.code, ran.err.startswith("failed: seed=0: of its own. The log: ")) == ((1, True), (0, False))[tried - 1]
    assert len(results(tmp_path / "sweep")) == tried
