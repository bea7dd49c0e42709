"""What is asked of Slurm, and what its answers mean; tests/slurm runs jobs on a real one."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from snnlab.errors import FailedRun, WrongOption
from snnlab.registry import build
from snnlab.sweeps import queue as queues
from snnlab.sweeps.jobs import Job
from snnlab.sweeps.launchers import slurm, squeue
from snnlab.sweeps.launchers.squeue import Watch
from snnlab.sweeps.options import taken_apart
from snnlab.sweeps.queue import Queued
from snnlab.sweeps.task import Task


def launcher(**options: Any) -> slurm.Slurm:
    made: slurm.Slurm = build("launcher", {"name": "slurm", **options})
    return made


def a_job(folder: Path, *, redo_stale: bool = False, **trainer: Any) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    return Job("seed=0", ("seed=0",), str(folder), "0" * 64, {"trainer": trainer}, redo_stale)


def spoken(job: Job) -> Job:
    """The job, as if its trainer's options were on the command line."""
    return replace(job, words=tuple(f"trainer.{name}={value}" for name, value in job.config["trainer"].items()))


def an_attempt(folder: Path, number: int, status: str, **owner: Any) -> None:
    """By a process on another machine."""
    (folder / "attempts").mkdir(parents=True, exist_ok=True)
    said = {"owner": {"host": "elsewhere", "pid": 1, **owner}, "began": time.time(), "status": status, "error": "why"}
    (folder / "attempts" / f"{number}.json").write_text(json.dumps(said))


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> dict[str, Queued]:
    """What is in the queue; and a job that is gone from it is gone."""
    found: dict[str, Queued] = {}
    monkeypatch.setattr(squeue, "in_queue", lambda users: found)
    monkeypatch.setattr(squeue, "MISSED", 0.0)
    monkeypatch.setattr(squeue, "SOONEST", 0.1)
    monkeypatch.setattr(squeue, "LATEST", 0.1)
    return found


def test_the_script_asks_for_what_was_asked_for(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "partition": "gpu",
        "account": "lab",
        "qos": "long",
        "constraint": "a100",
        "time": 30,
        "gpus_per_node": 1,
        "cpus_per_task": 4,
        "memory_gb": 1.5,
        "array": 3,
        "setup": ["module load cuda"],
        "extra": {"exclude": "n7", "mail_type": "FAIL", "exclusive": True},
        "notice_seconds": 60,
    }
    lines = launcher(**options).preview(8, tmp_path / "tau").splitlines()
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert asked - {line for line in asked if line.startswith("output=")} == {
        *("partition=gpu", "account=lab", "qos=long", "constraint=a100", "time=30", "gpus-per-node=1", "mem=1536M"),
        *("cpus-per-task=4", "array=0-7%3", "exclude=n7", "mail-type=FAIL", "exclusive", "signal=USR2@60"),
        *("nodes=1", "ntasks-per-node=1", "requeue", "open-mode=append", "job-name=snnlab-tau"),
    }
    assert lines.index("module load cuda") < next(n for n, line in enumerate(lines) if line.startswith("srun"))
    assert "--cpus-per-task=4" in lines[-1] and "kill-on-bad-exit" not in lines[-1]


def test_processes_that_train_together_end_together(tmp_path: Path) -> None:
    assert "--kill-on-bad-exit=1" in launcher(tasks_per_node=2).preview(1, tmp_path)


def test_a_job_that_must_not_come_back_is_submitted_so(tmp_path: Path) -> None:
    script = launcher(extra={"no-requeue": True}).preview(1, tmp_path)
    assert "#SBATCH --no-requeue" in script and "#SBATCH --requeue" not in script


@pytest.mark.parametrize(
    ("preset", "asks"),
    [
        ("slurm_one_gpu", {"nodes=1", "ntasks-per-node=1", "gpus-per-node=1"}),
        ("slurm_one_node", {"nodes=1", "ntasks-per-node=4", "gpus-per-node=4"}),
        ("slurm_nodes", {"nodes=2", "ntasks-per-node=4", "gpus-per-node=4"}),
    ],
)
def test_presets_are_options_with_values(snnlab: Callable[..., Any], preset: str, asks: set[str]) -> None:
    ran = snnlab("train", "-m", f"hydra/launcher={preset}", "launcher.time=7", "seed=0,1", "--dry-run")
    assert ran.code == 0, ran.err
    asked = {line.removeprefix("#SBATCH --") for line in ran.out.splitlines() if line.startswith("#SBATCH")}
    assert asks | {"time=7", "array=0-1%2"} <= asked


def test_a_notice_that_leaves_no_time_to_train_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongOption, match="It takes at most half of"):
        launcher(time=2).preview(1, tmp_path)


def test_without_slurm_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WrongOption, match="there is no sbatch here"):
        next(launcher().launch(iter([a_job(tmp_path / "a")]), tmp_path))


def test_a_job_of_several_processes_says_so_in_its_configuration(tmp_path: Path) -> None:
    spread = launcher(nodes=2, tasks_per_node=3)
    assert spread._with_processes(a_job(tmp_path, max_epochs=1, devices="auto")).config["trainer"] == {
        **{"devices": 3, "num_nodes": 2, "strategy": "ddp", "max_epochs": 1}
    }
    assert spread._with_processes(a_job(tmp_path, strategy="fsdp")).config["trainer"]["strategy"] == "fsdp"
    preset = a_job(tmp_path, devices=2)  # which gives way, as under torchrun
    assert spread._with_processes(preset).config["trainer"]["devices"] == 3
    one = spoken(a_job(tmp_path, max_epochs=1, devices=2))  # a process starts the second one itself
    assert launcher()._with_processes(one) is one


@pytest.mark.parametrize(
    ("shape", "trainer", "advice"),
    [
        ({"tasks_per_node": 4}, {"devices": 2}, "launcher.tasks_per_node=2"),
        ({"tasks_per_node": 4}, {"devices": [0, 1, 2]}, "launcher.tasks_per_node=3"),
        ({"tasks_per_node": 2}, {"num_nodes": 2}, "launcher.nodes=2"),
        ({}, {"num_nodes": 2}, "launcher.nodes=2"),
    ],
)
def test_a_job_that_asks_for_other_processes_is_refused(
    tmp_path: Path, shape: dict[str, int], trainer: dict[str, Any], advice: str
) -> None:
    with pytest.raises(WrongOption, match=f"trainer.{next(iter(trainer))}: .*{advice}"):
        launcher(**shape)._submit([spoken(a_job(tmp_path / "a", **trainer))], tmp_path)
    assert not (tmp_path / "slurm").exists()


@pytest.mark.parametrize(
    ("time", "minutes"),
    [(30, 30), ("4:00:00", 240), ("1-12:00:00", 2160), ("2-0", 2880), ("1-1:30", 1530), ("0:10:01", 11)],
)
def test_time_is_said_in_minutes_or_in_slurms_words(tmp_path: Path, time: Any, minutes: int) -> None:
    assert f"#SBATCH --time={minutes}\n" in launcher(time=time).preview(1, tmp_path)


@pytest.mark.parametrize("time", ["4:00", "30", "soon", "0:00:00", "1-"])
def test_what_is_no_time_is_refused(tmp_path: Path, time: str) -> None:
    with pytest.raises(WrongOption, match=r"launcher.time: '.*hours:minutes:seconds as 4:00:00"):
        launcher(time=time).preview(1, tmp_path)


def test_memory_is_refused_with_its_unit() -> None:
    with pytest.raises(WrongOption, match=r"memory_gb: '16G'.*a number in GiB, > 0"):
        launcher(memory_gb="16G")


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("launcher.partition=a,b", "++hydra.launcher.partition='a,b'"),
        ("launcher.extra.exclude=n1,n2", "++hydra.launcher.extra.exclude='n1,n2'"),
        ("launcher.time=1-12:00:00", "++hydra.launcher.time=1-12:00:00"),
        ("launcher.devices=0,1", "++hydra.launcher.devices=[0,1]"),
        ("launcher.setup=[module load cuda,date]", "++hydra.launcher.setup=[module load cuda,date]"),
        ("hydra.launcher.somebodys=0,1", "++hydra.launcher.somebodys=[0,1]"),
    ],
)
def test_a_comma_makes_a_list_where_the_option_takes_one(word: str, means: str) -> None:
    assert taken_apart([word]).hydra == [means]


def test_slurms_own_words_reach_the_script(snnlab: Callable[..., Any]) -> None:
    words = ["launcher.partition=a,b", "launcher.time=1-12:00:00", "launcher.extra.exclude=n1,n2"]
    words += ["launcher.setup=[module load cuda]", "seed=0"]
    ran = snnlab("train", "-m", "hydra/launcher=slurm", *words, "--dry-run")
    assert ran.code == 0, ran.err
    for line in ("#SBATCH --partition=a,b", "#SBATCH --time=2160", "#SBATCH --exclude=n1,n2", "module load cuda"):
        assert line in ran.out.splitlines()


def test_what_is_submitted_can_be_pickled(tmp_path: Path) -> None:
    task = Task(a_job(tmp_path), {"SNNLAB_PLUGINS": "mine.py"}, ("/there",))
    assert pickle.loads(pickle.dumps(task)) == task


def test_a_job_listens_to_signals_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    (tmp_path / "task").write_bytes(pickle.dumps(Task(a_job(tmp_path), {}, ())))
    code = f"import pickle, sys; pickle.load(open({str(tmp_path / 'task')!r}, 'rb')); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "snnlab.sweeps.task" in modules
    assert not {"torch", "pytorch_lightning", "hydra", "pydantic"} & set(modules)


def test_a_job_in_the_queue_has_not_ended(tmp_path: Path, queue: dict[str, Queued]) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    queue["12_0"] = Queued("12", "PENDING", "Priority")
    assert watch.ended() == [] and list(watch.jobs) == ["12_0"]


@pytest.mark.parametrize("status", ["failed", "interrupted", "pruned"])
def test_a_job_ended_as_its_folder_says(tmp_path: Path, queue: dict[str, Queued], status: str) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    an_attempt(tmp_path, 1, status)
    (ended,) = watch.ended()
    assert (ended.status, ended.error) == (status, "why") and not watch.jobs


def test_a_job_that_is_gone_without_a_word_was_killed(tmp_path: Path, queue: dict[str, Queued]) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path / "a")})
    an_attempt(tmp_path / "a", 1, "running", slurm_job="15")
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "12_0_0_log.out").write_text("something\noom-kill event\n")
    (ended,) = watch.ended()
    assert ended.status == "killed" and "oom-kill event" in ended.error and "12_0_0_log.out" in ended.error


def test_a_job_is_given_time_for_its_files_to_arrive(
    tmp_path: Path, queue: dict[str, Queued], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(squeue, "MISSED", 60.0)
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    assert watch.ended() == [] and list(watch.jobs) == ["12_0"]
    an_attempt(tmp_path, 1, "failed")
    assert [ended.status for ended in watch.ended()] == ["failed"]


def test_an_attempt_from_before_says_nothing_of_a_job(tmp_path: Path, queue: dict[str, Queued]) -> None:
    an_attempt(tmp_path, 1, "failed")
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    (ended,) = watch.ended()
    assert ended.status == "killed" and "before it began" in ended.error


@pytest.mark.parametrize("owner", [{"slurm_job": "99"}, {"slurm_job": None}])
def test_a_run_that_somebody_else_trains_is_busy(
    tmp_path: Path, queue: dict[str, Queued], owner: dict[str, Any]
) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    an_attempt(tmp_path, 1, "running", **owner)
    queue["98_1"] = Queued("99", "RUNNING", "None")
    assert [ended.status for ended in watch.ended()] == ["busy"]


def test_squeue_may_fail_for_a_while_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squeue, "in_queue", lambda users: None)
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path)})
    assert watch.ended() == []
    monkeypatch.setattr(squeue, "SILENCE", 0.0)
    with pytest.raises(FailedRun, match="squeue has not answered"):
        watch.ended()


def test_a_job_that_waits_for_somebody_is_told_of_once(
    tmp_path: Path, queue: dict[str, Queued], capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path / "a"), "12_1": a_job(tmp_path / "b")})
    queue.update({name: Queued("12", "PENDING", "JobHeldUser") for name in watch.jobs})
    watch.ended()
    watch.ended()
    assert capsys.readouterr().out.count("JobHeldUser") == 1


@pytest.mark.parametrize(
    "reason", ["launch failed requeued held", "ReqNodeNotAvail, UnavailableNodes:n1", "InvalidQOS"]
)
def test_what_will_not_start_by_itself_is_told(
    tmp_path: Path, queue: dict[str, Queued], capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    watch = Watch()
    watch.add({"12_0": a_job(tmp_path / "a"), "12_1": a_job(tmp_path / "b")})
    queue.update({"12_0": Queued("12", "PENDING", reason), "12_1": Queued("12", "PENDING", "Priority")})
    watch.ended()
    said = capsys.readouterr().out
    assert f"job 12_0 waits, and will until somebody acts: {reason}." in said and "12_1" not in said


@pytest.fixture
def sbatch(monkeypatch: pytest.MonkeyPatch, queue: dict[str, Queued]) -> list[list[str]]:
    """The names of the jobs of each array that is submitted; all of them then wait in the queue."""
    submitted: list[list[str]] = []

    class Executor:
        def __init__(self, folder: Path) -> None:
            self.count = 0

        def update_parameters(self, **parameters: Any) -> None:
            pass

        @contextmanager
        def batch(self) -> Iterator[None]:
            submitted.append([])
            yield
            queue.update({f"{len(submitted)}_{n}": Queued("1", "PENDING", "Priority") for n in range(self.count)})

        def submit(self, task: Task) -> Any:
            submitted[-1].append(task.job.name)
            self.count += 1
            return SimpleNamespace(job_id=f"{len(submitted)}_{self.count - 1}")

    monkeypatch.setattr(slurm, "_submitit", lambda: SimpleNamespace(SlurmExecutor=Executor))
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(slurm, "_largest_array", lambda: 1000)
    return submitted


def some_jobs(sweep: Path, *names: str) -> Iterator[Job]:
    return (replace(a_job(sweep / name), name=name) for name in names)


def test_what_is_in_the_queue_is_not_submitted_again(
    tmp_path: Path, sbatch: list[list[str]], queue: dict[str, Queued], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert not list(launcher(detach=True).launch(some_jobs(tmp_path, "a", "b"), tmp_path))
    assert "jobs in Slurm's queue: 2, 2 of them from before" in capsys.readouterr().out
    del queue["1_0"]  # a was cancelled before it began
    assert not list(launcher(detach=True).launch(some_jobs(tmp_path, "a", "b", "c"), tmp_path))
    assert sbatch == [["a", "b"], ["a", "c"]]
    out = capsys.readouterr().out
    assert "queue: 3, 1 of them from before" in out and "scancel 1 2" in out


def test_what_is_in_the_queue_already_is_watched(
    tmp_path: Path, sbatch: list[list[str]], queue: dict[str, Queued]
) -> None:
    assert not list(launcher(detach=True).launch(some_jobs(tmp_path, "a"), tmp_path))
    endings = launcher().launch(some_jobs(tmp_path, "a", "b"), tmp_path)

    def end() -> None:
        an_attempt(tmp_path / "a", 1, "failed")
        queue.clear()

    threading.Timer(0.1, end).start()
    assert {(ended.job.name, ended.status) for ended in endings} == {("a", "failed"), ("b", "killed")}
    assert sbatch == [["a"], ["b"]]


def test_squeue_is_waited_for_before_anything_is_submitted_again(
    tmp_path: Path, sbatch: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not list(launcher(detach=True).launch(some_jobs(tmp_path, "a"), tmp_path))
    monkeypatch.setattr(squeue, "in_queue", lambda users: None)
    monkeypatch.setattr(squeue, "SILENCE", 0.0)
    with pytest.raises(FailedRun, match="squeue has not answered"):
        list(launcher(detach=True).launch(some_jobs(tmp_path, "a"), tmp_path))
    assert sbatch == [["a"]]


@pytest.mark.parametrize("text", ["{", "[]", '{"user": "x", "jobs": {}}', '{"user": 1, "jobs": {"--": "a", "1_0": 2}}'])
def test_a_damaged_record_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm" / "7.json").write_text(text)
    assert [list(queues.read(path)) for path in queues.records(tmp_path)] == [[]]


def test_the_queue_is_read_as_squeue_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "squeue"
    program.write_text("#!/bin/sh\necho '12_0|14|RUNNING|None'\necho '13|13|PENDING|(launch | failed)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert queues.in_queue() == {
        "12_0": Queued("14", "RUNNING", "None"),
        "13": Queued("13", "PENDING", "(launch | failed)"),
    }
