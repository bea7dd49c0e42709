"""A run that was stopped or killed, whenever, ends with the numbers of one that nobody disturbed, to the last bit."""

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

RUNS = {
    "noise": ["encoder=bernoulli", "network.noise=0.1", "regularizer=[rate_upper]"],
    "a schedule by val": ["scheduler=plateau", "scheduler.patience=1", "optimizer.lr=0.2", "trainer.max_epochs=5"],
    "a schedule by steps": ["scheduler=cosine", "callback=[gradient_norms]"],
    "early stopping": ["callback=[early_stopping]", "callback.early_stopping.patience=1", "optimizer.lr=0.2"],
    "gathered gradients": ["trainer.accumulate_grad_batches=2"],
    "validation within an epoch": ["trainer.val_check_interval=0.5"],
    "validation by steps": ["trainer.val_check_interval=3", "trainer.check_val_every_n_epoch=null"],
    "validation each second epoch": ["trainer.check_val_every_n_epoch=2", "trainer.max_epochs=4"],
    "no validation": ["trainer.limit_val_batches=0"],
    "an end within an epoch": ["trainer.max_steps=8"],
    "a learned constant": ["neuron.learn=[tau]", "neuron.share=unit", "neuron.initial=learned"],
    "carried state": [
        *("dataset=n_back", "encoder=identity", "network=recurrent", "state=carry", "batch_size=8", "neuron.tau=50"),
        *("dataset.train=16", "dataset.val=8", "dataset.test=8", "dataset.length=3"),  # two streams a lane
    ],
    "a schedule by val within an epoch": [
        *("scheduler=plateau", "scheduler.patience=1", "optimizer.lr=0.2", "trainer.val_check_interval=3"),
    ],
    "the same batches in each epoch": ["trainer.overfit_batches=2", "trainer.max_epochs=4"],
    "a validation after each step": ["trainer.val_check_interval=1", "trainer.max_epochs=2"],
    "bfloat16": ["trainer.precision=bf16-mixed", "experiment=digits_cuba"],
}


@pytest.mark.parametrize("name", RUNS)
def test_killed_after_any_checkpoint_a_run_ends_with_the_same_bits(name: str) -> None:
    found = disturbed("after_each_save", RUNS[name])
    assert found["differing"] == {}
    assert found["killed"] >= 8


@pytest.mark.parametrize("name", RUNS)
def test_stopped_by_a_signal_in_any_hook_a_run_ends_with_the_same_bits(name: str) -> None:
    found = disturbed("by_signals", RUNS[name])
    assert found["differing"] == {}
    assert found["killed"] >= 8


def test_killed_at_20_random_moments_a_run_ends_with_the_same_bits() -> None:
    found = disturbed("at_random_moments", ["encoder=bernoulli", "trainer.max_epochs=10"])
    assert found["differing"] == {}, found["seed"]
    assert found["killed"] >= 10  # some of the runs end before their moment comes
    assert found["killed_again"] == 20


def disturbed(case: str, words: list[str]) -> dict[str, Any]:
    """What harness.py found."""
    environment = os.environ | {"PYTHONPATH": str(Path(snnlab.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("harness.py")), case, *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found
