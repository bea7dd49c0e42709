"""Which process this is, what the Trainer is told of it, and that children end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from snnlab.errors import WrongOption
from snnlab.training import processes
from snnlab.training.folder import new_folder
from snnlab.training.processes import Place, devices_as_launched, number_of, place, without_ranks

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "trial 7/a",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "GROUP_WORLD_SIZE": "2",
}
SRUN = {
    "SLURM_JOB_ID": "812",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
}


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("SLURM_", "TORCHELASTIC_")) or name in processes.RANK_VARIABLES:
            monkeypatch.delenv(name)


def started(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Place:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return place()


def test_a_process_that_nobody_started_is_alone() -> None:
    assert place() == Place("", 0, 1, 0, 1, 0, 1, "")
    assert processes.is_main_process()


def test_torchrun_says_who_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(monkeypatch, TORCHRUN) == Place("torchrun", 3, 4, 1, 2, 1, 2, "torchrun_trial_7_a")
    assert not processes.is_main_process()


def test_srun_says_who_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(monkeypatch, SRUN) == Place("srun", 2, 4, 0, 2, 1, 2, "slurm_812.0")


def test_a_batch_script_and_a_step_of_one_task_are_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(monkeypatch, {"SLURM_JOB_ID": "812", "SLURM_NTASKS": "4", "SLURM_PROCID": "0"}).world == 1
    assert started(monkeypatch, {"SLURM_STEP_NUM_TASKS": "1", "SLURM_STEP_ID": "0"}) == Place(start="slurm_812.0")


def test_the_first_process_is_that_of_rank_0_whatever_else_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, SRUN | {"SLURM_PROCID": "0", "RANK": "3", "LOCAL_RANK": "3"})
    assert processes.is_main_process()


@pytest.mark.parametrize("said", [{"RANK": "1"}, {"WORLD_SIZE": "2", "RANK": "0"}, {"LOCAL_RANK": "1"}, {"RANK": "a"}])
def test_ranks_that_no_known_launcher_gave_are_refused(said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    words = " ".join(f"{name}={said[name]}" for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE") if name in said)
    with pytest.raises(WrongOption, match=f"^{words}: variables of a launcher, and neither torchrun nor srun"):
        started(monkeypatch, said)


def test_ranks_of_one_process_are_those_of_one_that_nobody_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert started(monkeypatch, {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}) == Place()


def test_a_fork_of_lightning_has_the_rank_that_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multiprocessing.parent_process", lambda: object())
    assert started(monkeypatch, {"LOCAL_RANK": "1"}) == Place(rank=1)
    assert not processes.is_main_process()


def test_different_numbers_of_processes_on_machines_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongOption, match=r"torchrun: 5 processes on 2 machines, 2 on this one"):
        started(monkeypatch, TORCHRUN | {"WORLD_SIZE": "5"})


def test_devices_and_machines_are_those_that_the_launcher_started(monkeypatch: pytest.MonkeyPatch) -> None:
    here = started(monkeypatch, SRUN)
    preset = {"devices": 8, "strategy": "ddp"}  # of trainer=…: it gives way
    assert devices_as_launched(preset, {}, here) == {"devices": 2, "num_nodes": 2, "strategy": "ddp"}
    assert devices_as_launched({}, {"trainer.devices": "auto"}, here)["devices"] == 2
    assert devices_as_launched({}, {"trainer.devices": [0, 3], "trainer.num_nodes": 2}, here)["devices"] == 2
    with pytest.raises(WrongOption, match=r"trainer\.devices: 3, and srun started 2 on each machine\. Leave it out"):
        devices_as_launched({"devices": 3}, {"trainer.devices": 3}, here)
    with pytest.raises(WrongOption, match=r"trainer\.num_nodes: 1, and srun started 2 machines"):
        devices_as_launched({}, {"trainer.num_nodes": 1}, here)


def test_several_machines_without_a_launcher_are_refused() -> None:
    with pytest.raises(WrongOption, match=r"trainer\.num_nodes: 2\. On several machines srun or torchrun starts"):
        devices_as_launched({"num_nodes": 2}, {}, place())


@pytest.mark.parametrize(
    ("devices", "number"), [(2, 2), ("3", 3), ("0,2", 2), ("1,", 1), ([4, 5], 2), ("auto", "auto"), (-1, -1)]
)
def test_devices_are_counted_as_lightning_counts_them(devices: object, number: object) -> None:
    assert number_of(devices) == number


def test_a_start_has_a_folder_of_its_name_that_is_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    started(monkeypatch, SRUN)
    assert new_folder({"experiment": "digits_lif"}) == "runs/digits_lif/slurm_812.0"
    assert new_folder({"experiment": "digits_lif"}) == "runs/digits_lif/slurm_812.0"


def test_torchrun_that_would_start_again_wants_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    nameless = TORCHRUN | {"TORCHELASTIC_RUN_ID": "none", "RANK": "0"}
    started(monkeypatch, nameless | {"TORCHELASTIC_MAX_RESTARTS": "0"})
    assert (tmp_path / new_folder({"experiment": None})).is_dir()  # of this moment; only the first process makes one
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "3")
    with pytest.raises(WrongOption, match=r"output_dir: null.*Give output_dir=FOLDER"):
        new_folder({"experiment": None})


def test_a_script_of_a_nameless_torchrun_wants_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    started(monkeypatch, TORCHRUN | {"TORCHELASTIC_RUN_ID": "none"})
    with pytest.raises(WrongOption, match=r"output_dir: null, and in a script.*Give output_dir=FOLDER"):
        new_folder({"experiment": None})
    assert not [*tmp_path.iterdir()]


def test_a_run_of_its_own_does_not_learn_of_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, TORCHRUN)
    kept = without_ranks(os.environ)
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "TORCHELASTIC_RUN_ID"} & set(kept)
    assert kept[processes.PARENT] == str(os.getpid())
    assert kept["PATH"] == os.environ["PATH"]


CHILD = """
import time
from snnlab.training.processes import end_with_parent
end_with_parent()
print("up", flush=True)
time.sleep(60)
"""
PARENT = f"""
import os, subprocess, sys, time
from snnlab.training.processes import without_ranks
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}], env=without_ranks(os.environ))
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_a_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert parent.stdout.readline() == "up\n"
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.02)
    lived = _lives(child)
    if lived:
        os.kill(child, signal.SIGKILL)
    assert not lived


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
