"""Several processes, whoever starts them: one folder, one set of options, the numbers of one process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


TWICE = """
import os, snnlab
for seed in (0, 1):
    options = {"trainer.max_epochs": 1, "trainer.limit_train_batches": 2, "trainer.accelerator": "cpu"}
    run = snnlab.train("digits_ctrnn", seed=seed, plots=False, quiet=True, output_dir=f"twice/{seed}", **options)
    print("RANK", os.environ["RANK"], "trained", run.config["seed"])
"""


def test_a_script_of_torchrun_trains_twice(command: Callable[..., Any], folder: Path) -> None:
    (folder / "twice.py").write_text(TWICE, encoding="utf-8")
    ran = command("twice.py", program=TORCHRUN)
    assert ran.returncode == 0, ran.stderr
    said = sorted(re.findall(r"RANK \d trained \d", ran.stdout))
    assert said == [f"RANK {rank} trained {seed}" for rank in (0, 1) for seed in (0, 1)]


@contextmanager
def step(folder: Path, *commands: tuple[str, ...]) -> Iterator[list[subprocess.Popen[str]]]:
    """Commands as the processes that srun starts, each with a command of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outer = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    same = {"SLURM_STEP_NUM_TASKS": str(len(commands)), "SLURM_NODEID": "0", "MASTER_ADDR": "127.0.0.1"}
    same |= {"MASTER_PORT": str(port), "PYTHONPATH": str(Path(__file__).parents[2])}  # no job: nothing to requeue
    processes = []
    try:
        for rank, command in enumerate(commands):
            own = {"SLURM_PROCID": str(rank), "SLURM_LOCALID": str(rank)}
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env=outer | same | own,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            processes.append(process)
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_runs_that_srun_packs_into_one_step_are_refused_by_all(folder: Path, small: tuple[str, ...]) -> None:
    commands = [("-m", "snnlab", "train", *small, f"output_dir=packed/{rank}") for rank in (0, 1)]
    with step(folder, *commands) as processes:
        for process in processes:
            err = process.communicate(timeout=60)[1]
            assert process.returncode == 2
            assert err.startswith("snnlab: srun: its 2 processes are those of one run, but process 1 was told ")
            assert "`srun --exact -n1 snnlab train … &`" in err
    assert not (folder / "packed").exists()


def test_a_signal_is_heard_while_a_process_waits_for_the_others(folder: Path, small: tuple[str, ...]) -> None:
    words = [*small, "output_dir=waits"]
    never_ready = f"from snnlab.training.ranks import declare; declare({words}); import time; time.sleep(100)"
    with step(folder, ("-m", "snnlab", "train", *words), ("-c", never_ready)) as (first, _):
        assert first.stdout is not None
        assert any(line.startswith("2 processes: of a batch") for line in first.stdout)
        time.sleep(1)  # that it does wait
        os.kill(first.pid, signal.SIGTERM)
        err = first.communicate(timeout=20)[1]
        assert first.returncode == 128 + signal.SIGTERM
        assert err.startswith("snnlab: ended by SIGTERM")
