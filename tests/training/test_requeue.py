"""What Slurm stops is put back into its queue, by a stand-in for scontrol; tests/slurm has the real one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from snnlab.errors import Interrupted
from snnlab.training import requeue
from snnlab.training.slurm import address_of_first


class Scontrol:
    """Answers as scontrol does, and notes what it was asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.says("JobId=12 Requeue=1 Restarts=0 JobState=RUNNING")
        program = folder / "scontrol"
        program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\ncat {folder}/says\n')
        program.chmod(0o755)

    def says(self, text: str) -> None:
        """Let it say this."""
        (self.folder / "says").write_text(text)

    @property
    def requeued(self) -> list[str]:
        """What was put back."""
        asked = self.folder / "asked"
        lines = asked.read_text().splitlines() if asked.is_file() else []
        return [line.removeprefix("requeue ") for line in lines if line.startswith("requeue")]


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scontrol]:
    """In an element of an array of jobs; signal handlers are put back afterwards."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "14")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "12")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.delenv("SLURM_NTASKS", raising=False)
    before = {number: signal.getsignal(number) for number in requeue.STOPS}
    yield Scontrol(tmp_path / "bin")
    for number, handler in before.items():
        signal.signal(number, handler)


def stopped(folder: Path | None, number: int = signal.SIGTERM, *, main: bool = True) -> None:
    """A run that a signal stops."""
    with suppress(Interrupted), requeue.requeued(folder, main=main):
        raise Interrupted(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_running_job_that_is_stopped_is_put_back(
    scontrol: Scontrol, tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped(tmp_path, number)
    assert scontrol.requeued == ["12_3"]
    assert capsys.readouterr().err == "snnlab: job 12_3 was put back into the queue. It goes on by itself.\n"


@pytest.mark.parametrize(
    "state", ["JobState=COMPLETING Requeue=1", "JobState=CANCELLED Requeue=1", "JobState=RUNNING Requeue=0"]
)
def test_a_job_that_was_cancelled_or_must_not_come_back_stays_out(
    scontrol: Scontrol, tmp_path: Path, state: str
) -> None:
    scontrol.says(state)
    stopped(tmp_path)
    assert scontrol.requeued == []


def test_ctrl_c_is_the_end(scontrol: Scontrol, tmp_path: Path) -> None:
    stopped(tmp_path, signal.SIGINT)
    assert scontrol.requeued == []


def test_outside_of_slurm_nothing_is_put_back(
    scontrol: Scontrol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"):
        monkeypatch.delenv(name)
    stopped(tmp_path)
    assert scontrol.requeued == []


def test_of_several_processes_the_first_puts_the_job_back_and_the_others_wait(
    scontrol: Scontrol, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")
    monkeypatch.setattr(requeue, "PATIENCE", 0.2)
    began = time.monotonic()
    stopped(tmp_path, main=False)
    assert scontrol.requeued == [] and time.monotonic() - began >= 0.2
    stopped(tmp_path, main=True)
    assert scontrol.requeued == ["12_3"]


def test_one_signal_is_answered_once(scontrol: Scontrol, tmp_path: Path) -> None:
    with suppress(Interrupted), requeue.requeued(None, main=True), requeue.requeued(tmp_path, main=True):
        raise Interrupted(signal.SIGTERM)
    assert scontrol.requeued == ["12_3"]


@pytest.mark.parametrize(("trained", "comes_back"), [(True, True), (False, False)])
def test_a_job_that_never_gets_to_train_stays_out(
    scontrol: Scontrol, tmp_path: Path, trained: bool, comes_back: bool
) -> None:
    (tmp_path / "attempts").mkdir()
    for number in range(1, requeue.FRUITLESS + 1):
        said = {"began": time.time() - 100 + number, "status": "interrupted"}
        (tmp_path / "attempts" / f"{number}.json").write_text(json.dumps(said))
    if trained:
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "last.ckpt").touch()
    stopped(tmp_path)
    assert bool(scontrol.requeued) == comes_back


def test_a_signal_before_it_is_known_what_is_trained_counts_too(
    scontrol: Scontrol, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Interrupted) as caught, requeue.requeued(None, main=True):
        os.kill(os.getpid(), signal.SIGUSR2)
        time.sleep(10)
    assert caught.value.code == 128 + signal.SIGUSR2 and scontrol.requeued == ["12_3"]
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(requeue.RESTARTS))
    stopped(None)
    assert len(scontrol.requeued) == 1  # no more


def test_what_listened_to_signals_before_does_so_afterwards(scontrol: Scontrol, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with requeue.requeued(tmp_path, main=True):
        assert signal.getsignal(signal.SIGUSR1) != before
    assert signal.getsignal(signal.SIGUSR1) == before


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_notice_that_time_is_up_leads_to_a_checkpoint(
    snnlab: Callable[..., Any], scontrol: Scontrol, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    from snnlab.training.module import Training

    monkeypatch.setenv("SLURM_JOB_NAME", "some")
    step = Training.training_step

    def signalled(module: Training, *arguments: Any) -> Any:
        if module.trainer.global_step == 1:
            os.kill(os.getpid(), number)
        return step(module, *arguments)

    monkeypatch.setattr(Training, "training_step", signalled)
    words = ("network.hidden=[8]", "time.steps=4", "plots=false", "trainer.max_epochs=1", "output_dir=run")
    ran = snnlab("train", *words)
    assert ran.code == 128 + number and f"stopped by {signal.Signals(number).name} in epoch 0, step 2" in ran.err, ran
    assert Path("run/checkpoints/last.ckpt").is_file() and scontrol.requeued == ["12_3"]


def test_a_checkpoint_of_lightnings_own_making_is_not_taken_up(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLURM_JOB_ID", "12"), ("SLURM_NTASKS", "1"), ("SLURM_JOB_NAME", "some")):
        monkeypatch.setenv(name, value)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hpc_ckpt_1.ckpt").write_bytes(b"whatever")
    words = ("network.hidden=[8]", "time.steps=4", "plots=false", "trainer.max_epochs=1", "output_dir=run")
    ran = snnlab("train", *words, "trainer.limit_train_batches=2")
    assert ran.code == 0, ran.err


def test_a_run_that_names_no_folder_finds_its_own_again(
    snnlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLURM_JOB_ID", "812"), ("SLURM_STEP_ID", "0")):
        monkeypatch.setenv(name, value)
    words = (
        "network.hidden=[8]",
        "time.steps=4",
        "plots=false",
        "trainer.max_epochs=1",
        "trainer.limit_train_batches=2",
    )
    for seed in (0, 1):  # a script of two runs
        assert snnlab("train", *words, f"seed={seed}").code == 0
    again = snnlab("train", *words, "seed=1")  # after a requeue
    assert "runs/digits_lif/slurm_812.0_2: this run is done" in again.out
    assert sorted(path.name for path in Path("runs/digits_lif").iterdir()) == ["slurm_812.0", "slurm_812.0_2"]


def test_a_node_whose_name_does_not_resolve_is_reached_as_slurm_reaches_it(scontrol: Scontrol) -> None:
    scontrol.says("NodeName=no-such-host07 Arch=x86_64 NodeAddr=10.1.2.3 NodeHostName=no-such-host07 Port=0")
    assert address_of_first("no-such-host[07-12,15]") == "10.1.2.3"
    assert address_of_first("localhost,no-such-host07") == "localhost"
