"""Several processes, whoever starts them: one folder, one set of options, the numbers of one process."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.training import table

pytestmark = pytest.mark.processes

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-id=t1")


def test_torchrun_gives_the_numbers_of_one_process_in_one_folder(
    command: Callable[..., Any], folder: Path, small: tuple[str, ...], snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    launched = command("-m", "snnlab", "train", *small, program=TORCHRUN)
    assert launched.returncode == 0, launched.stderr
    assert "Traceback" not in launched.stderr
    (run,) = (folder / "runs" / "digits_ctrnn").iterdir()
    assert run.name == "torchrun_t1"
    assert snnlab("train", *small, "output_dir=one").code == 0
    assert table.read(run / "metrics.csv")[-1] == pytest.approx(
        table.read(tmp_path / "one" / "metrics.csv")[-1], rel=1e-6
    )
    said = r"2 processes: of a batch of 37 samples each takes 18 or 19; the learning rate .+ is that of one process"
    assert re.search(said, launched.stdout)
    assert launched.stdout.count("epoch 1/1") == 1


@pytest.mark.crash
def test_what_torchrun_starts_is_refused_once_or_done_already(
    command: Callable[..., Any], folder: Path, small: tuple[str, ...]
) -> None:
    refused = command("-m", "snnlab", "train", *small, "neuron.tua=3", program=TORCHRUN)
    assert refused.returncode != 0
    assert refused.stderr.count("snnlab: neuron.tua: neuron ctrnn has no such option") == 1
    contradicts = command("-m", "snnlab", "train", *small, "trainer.devices=3", program=TORCHRUN)
    assert contradicts.stderr.count("snnlab: trainer.devices: 3, and torchrun started 2 on each machine") == 1
    for said in ("epoch 1/1", "this run is done"):
        ran = command("-m", "snnlab", "train", *small, "output_dir=again", program=TORCHRUN)
        assert ran.returncode == 0, ran.stderr
        assert ran.stdout.count(said) == 1
