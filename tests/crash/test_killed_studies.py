"""A study whose driver was killed, whenever, goes on by the same command: no trial is lost, none is drawn twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import snnlab

pytestmark = [pytest.mark.crash, pytest.mark.timeout(1200)]


def disturbed(case: str, folder: Path) -> Any:
    """What studies.py says of a case."""
    harness = Path(__file__).parent / "studies.py"
    command = [sys.executable, str(harness), case, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(snnlab.__file__).parents[1])
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def test_killed_at_records_of_its_journal_a_study_ends_well(tmp_path: Path) -> None:
    found = disturbed("at_each_write", tmp_path)
    assert found["wrong"] == {}
    assert found["killed"] >= 4


def test_killed_at_random_moments_a_study_ends_well(tmp_path: Path) -> None:
    found = disturbed("at_random_moments", tmp_path)
    assert found["wrong"] == {}, f"seed {found['seed']}"
    assert found["killed"] >= 4


def test_two_drivers_share_a_study_and_either_may_be_killed(tmp_path: Path) -> None:
    assert disturbed("two_drivers", tmp_path)["wrong"] == {}


def test_a_trial_of_two_processes_is_given_up_in_both(tmp_path: Path) -> None:
    study = ("hydra/sweeper=optuna", "sweeper.n_trials=2", "sweeper.sampler=random", "optimizer.lr=1e-6,0.01")
    prune = ("sweeper.prune=true", "sweeper.prune_n_startup_trials=1")
    run = ("trainer=ddp_cpu", "trainer.max_epochs=3", "network.hidden=[16]", "time.steps=10", f"sweep_dir={tmp_path}")
    command = [sys.executable, "-m", "snnlab", "train", "-m", *study, *prune, *run]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(snnlab.__file__).parents[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert "optimizer.lr=1e-06: pruned" in done.stdout
