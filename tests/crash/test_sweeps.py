"""A driver of a sweep that is killed or stopped, or whose jobs fail: the same command again finishes the sweep."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import snnlab

pytestmark = pytest.mark.crash

SIX = (
    *("trainer.max_epochs=2", "network.hidden=[8]", "time.steps=4", "trainer.limit_train_batches=2"),
    *("neuron=lif,cuba", "seed=0,1,2", "sweep_dir=sweep"),
)
DRIVERS = Path(__file__).parent.parent / "sweeps" / "drivers.py"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(snnlab.__file__).parent.parent), "OMP_NUM_THREADS": "1"}


def start(folder: Path, number: int, *words: str, killed: int = 0) -> list[list[Any]]:
    """Exit code, output and errors of `number` drivers at once; see drivers.py."""
    command = [sys.executable, str(DRIVERS), str(number), str(killed), *words]
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    drivers: list[list[Any]] = json.loads(done.stdout)
    return drivers


def results(sweep: Path) -> dict[Path, int]:
    """The results of a sweep, and when they were written."""
    return {path: path.stat().st_mtime_ns for path in sweep.glob("*/result.json")}


def tries(sweep: Path) -> list[int]:
    """How often each run was tried."""
    return sorted(len(list(run.glob("attempts/*.json"))) for run in sweep.iterdir() if run.name != "plans")


def test_after_the_driver_was_killed_the_same_command_trains_what_is_missing_and_nothing_twice(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    ((code, _, _),) = start(tmp_path, 1, *SIX, killed=2)
    assert code == -signal.SIGKILL
    done = results(sweep)
    assert 2 <= len(done) < 6
    ((code, out, err),) = start(tmp_path, 1, *SIX)
    assert (code, err) == (0, "")
    assert f"{6 - len(done)} completed, {len(done)} done before" in out
    assert len(results(sweep)) == 6
    assert results(sweep).items() >= done.items()
    assert tries(sweep) == [1, 1, 1, 1, 1, 2]  # the last was trained when the kill came


def test_ten_drivers_killed_in_the_middle_are_followed_by_ten_that_finish_each_run_once(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    assert [code for code, _, _ in start(tmp_path, 10, *SIX, killed=1)] == [-signal.SIGKILL] * 10
    done = results(sweep)
    ended = start(tmp_path, 10, *SIX)
    assert [(code, err) for code, _, err in ended] == [(0, "")] * 10
    assert len(results(sweep)) == 6
    assert results(sweep).items() >= done.items()
    assert max(tries(sweep)) == 2 and sum(tries(sweep)) <= 12 - len(done)


@pytest.mark.parametrize("drivers", [1, 4])
def test_a_job_that_fails_is_named_with_its_log_by_every_driver_and_the_others_are_trained(
    tmp_path: Path, drivers: int
) -> None:
    words = (*SIX[:4], "dataset=mnist,digits", "seed=0,1", "sweep_dir=sweep")  # the files of mnist are not there
    ended = start(tmp_path, drivers, *words)
    assert len(results(tmp_path / "sweep")) == 2
    for code, _, err in ended:
        told = err.splitlines()
        assert (code, len(told)) == (1, 2), ended
        for line in told:
            assert line.startswith("failed: dataset=mnist,seed=")
            assert (tmp_path / line.rpartition("The log: ")[2]).is_file(), line


def test_a_driver_that_sigterm_ends_saves_the_run_that_it_trains_and_goes_on_there(tmp_path: Path) -> None:
    words = ("train", "-m", *SIX, "trainer.max_epochs=2000", "seed=0")
    command = [sys.executable, "-m", "snnlab", *words]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as driver:
        while not (saved := list((tmp_path / "sweep").glob("*/checkpoints/last.ckpt"))):
            assert driver.poll() is None
            time.sleep(0.01)
        driver.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        err = driver.communicate(timeout=60)[1]
        assert time.monotonic() - begun < 10
    assert driver.returncode == 143
    assert err == "snnlab: the sweep in sweep was stopped. To go on: the same command.\n"
    (attempt,) = saved[0].parent.parent.glob("attempts/*.json")
    assert json.loads(attempt.read_text())["status"] == "interrupted"
