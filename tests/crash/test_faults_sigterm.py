"""SIGTERM, as clusters send it some seconds before they kill: the run saves where it is, says so, and ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snnlab as package
from snnlab.training import checkpoint

pytestmark = pytest.mark.crash

TELLING = """
import sys, time
from snnlab.commands import main
from snnlab.training.module import Training

name, number = sys.argv[1], int(sys.argv[2])
calls, step = iter(range(100_000)), getattr(Training, name)

def telling(self, *arguments):
    if next(calls) == number:
        print("now", flush=True)
    time.sleep(0.02)  # a batch of a larger network
    return step(self, *arguments)

setattr(Training, name, telling)
sys.exit(main(sys.argv[3:]))
"""

WORDS = ("train", "trainer.max_epochs=2", "network.hidden=[64]", "plots=false", "batch_size=8", "output_dir=run")


@pytest.mark.parametrize(("name", "number"), [("training_step", 30), ("validation_step", 10), ("validation_step", 30)])
def test_sigterm_leaves_a_checkpoint_within_ten_seconds_from_which_the_run_goes_on(
    snnlab: Callable[..., Any], tmp_path: Path, name: str, number: int
) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(package.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", TELLING, name, str(number), *WORDS]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        while (line := run.stdout.readline()) != "now\n":
            assert line, "it ended before"
        run.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        err = run.communicate(timeout=60)[1]
        seconds = time.monotonic() - begun
    assert run.returncode == 143
    assert err.startswith("snnlab: stopped by SIGTERM in epoch ") and err.endswith("resume=run\n")
    assert seconds < 10
    saved = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.ckpt")
    epochs, steps = saved["epoch"], saved["global_step"]
    assert 30 <= steps < 158 if name == "training_step" else steps == 158 * (epochs + 1)  # of 158 an epoch
    went_on = snnlab("train", "resume=run")
    assert (went_on.code, f"goes on after {epochs} epochs, step {steps}" in went_on.out) == (0, True), went_on.err
