"""Sweeps and runs on a real Slurm of two nodes: what is stopped goes on, what is killed is told, nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(150)]


def test_a_sweep_of_four_ends_as_it_does_in_one_process(cluster: Any) -> None:
    words = ("train", "-m", *cluster.tiny, "trainer.max_epochs=2", "seed=0,1,2,3")
    there = cluster.lab(*words, "hydra/launcher=slurm", "sweep_dir=there")
    assert there.code == 0 and "4 completed" in there.out, there
    assert cluster.lab(*words, "sweep_dir=here").code == 0
    runs = sorted(path.parent.name for path in cluster.folder.glob("here/*/result.json"))
    assert len(runs) == 4
    for run in runs:
        here, there = (cluster.folder / place / run for place in ("here", "there"))
        assert (here / "metrics.csv").read_bytes() == (there / "metrics.csv").read_bytes()
        assert cluster.attempt(there)["owner"]["slurm_job"]


@pytest.mark.parametrize(("nodes", "tasks"), [(1, 2), (2, 1)])
def test_processes_of_a_job_train_one_run_together(cluster: Any, nodes: int, tasks: int) -> None:
    words = ("train", "-m", *cluster.tiny, "trainer.max_epochs=2", "seed=3")
    shape = (f"launcher.nodes={nodes}", f"launcher.tasks_per_node={tasks}")
    there = cluster.lab(*words, "hydra/launcher=slurm", *shape, "sweep_dir=there")
    assert there.code == 0 and "1 completed" in there.out, there
    assert cluster.lab(*words, "sweep_dir=here").code == 0
    (one,) = cluster.folder.glob("here/*/result.json")
    (several,) = cluster.folder.glob("there/*/result.json")
    assert one.parent.name == several.parent.name  # how a run is spread is no part of what it is
    assert [path.name for path in several.parent.glob("attempts/*")] == ["1.json"]
    # Gradients are summed in another order, which is an ulp or two of a loss after two epochs.
    want, got = (json.loads(path.read_text())["metrics"] for path in (one, several))
    assert got == pytest.approx(want, rel=1e-6, abs=1e-6)


def test_a_preempted_job_ends_as_one_that_nobody_disturbed(cluster: Any) -> None:
    words = (*cluster.slow, "trainer.max_epochs=3", "seed=0,1")
    place = "launcher.extra={nodelist: n1}"
    sent = cluster.lab("train", "-m", "hydra/launcher=slurm", *words, "launcher.detach=true", place, "sweep_dir=sweep")
    assert sent.code == 0 and "jobs in Slurm's queue: 2" in sent.out, sent
    assert "snnlab results sweep --watch" in sent.out
    folders = [cluster.one(f"sweep/seed={seed}*/metrics.csv").parent for seed in (0, 1)]
    cluster.batch("sleep 1", "--partition=high", "--nodelist=n1", "--exclusive")
    quick = ("train", "-m", *cluster.tiny, "trainer.max_epochs=3", "seed=0,1", "sweep_dir=quick")
    assert cluster.lab(*quick).code == 0
    for folder in folders:
        result = json.loads(cluster.one(f"sweep/{folder.name}/result.json").read_text())
        stopped, last = cluster.attempt(folder, 1), cluster.attempt(folder, 2)
        assert (stopped["status"], last["status"]) == ("interrupted", "completed")
        assert "SIGTERM" in stopped["error"] and stopped["owner"]["slurm_job"] == last["owner"]["slurm_job"]
        undisturbed = cluster.one(f"quick/{folder.name.partition('_')[0]}*/result.json")
        assert (folder / "metrics.csv").read_bytes() == (undisturbed.parent / "metrics.csv").read_bytes()
        assert result["metrics"] == json.loads(undisturbed.read_text())["metrics"]
    table = cluster.lab("results", "sweep", "--json")
    assert table.code == 0 and json.loads(table.out)[0]["n"] == 2, table


@pytest.fixture(scope="module")
def disturbed(long_job: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A sweep of three jobs: the first is killed, the second cancelled, the third left alone."""
    cluster = type(long_job[0])(tmp_path_factory.mktemp("disturbed"))
    driver = cluster.sweep(*cluster.slow, "trainer.max_epochs=4", "seed=0,1,2", "sweep_dir=sweep")
    cancelled = cluster.one("sweep/seed=1*/metrics.csv").parent
    (array,) = {job.partition("_")[0] for job in cluster.states()}
    cluster.run("scancel", f"{array}_1")
    killed = cluster.one("sweep/seed=0*/metrics.csv").parent
    os.kill(cluster.attempt(killed)["owner"]["pid"], signal.SIGKILL)
    killed_at = time.monotonic()
    folders = [killed, cancelled, cluster.one("sweep/seed=2*")]
    code, said = driver.end(90)
    return cluster, folders, driver.lines, killed_at, code, said


def test_a_job_that_was_killed_is_told_within_half_a_minute(disturbed: Any) -> None:
    _, folders, lines, killed_at, code, said = disturbed
    told = [(moment, line) for moment, line in lines if line.startswith("seed=0: killed")]
    assert len(told) == 1 and told[0][0] - killed_at < 30, said
    assert f"{folders[0].parent / 'slurm'}" in said or "slurm/" in told[0][1]
    assert code == 1


def test_a_cancelled_job_saves_and_does_not_come_back(disturbed: Any) -> None:
    cluster, folders, _, _, _, said = disturbed
    assert "seed=1: interrupted" in said
    assert cluster.attempt(folders[1])["status"] == "interrupted"
    assert (folders[1] / "checkpoints" / "last.ckpt").is_file()
    assert not cluster.states() and not (folders[1] / "attempts" / "2.json").exists()  # longer ago than a requeue takes


def test_jobs_beside_a_killed_one_end_well(disturbed: Any) -> None:
    _, folders, _, _, _, said = disturbed
    assert (folders[2] / "result.json").is_file() and "1 completed" in said


def test_jobs_stay_when_their_driver_is_stopped_and_the_same_command_waits_for_them(cluster: Any) -> None:
    words = (*cluster.slow, "trainer.max_epochs=3", "seed=0", "sweep_dir=sweep")
    driver = cluster.sweep(*words)
    folder = cluster.one("sweep/*/attempts/1.json").parents[1]
    driver.process.send_signal(signal.SIGINT)
    code, said = driver.end(10)
    (job,) = cluster.states()
    assert code == 130 and f"scancel {job.partition('_')[0]}" in said and "snnlab results sweep --watch" in said, said
    assert cluster.lab("train", "-m", "hydra/launcher=slurm", *words).code == 0
    assert (folder / "result.json").is_file() and not (folder / "attempts" / "2.json").exists()


def test_what_is_in_the_queue_is_not_submitted_again_and_is_told_of_when_it_is_cancelled(cluster: Any) -> None:
    words = ("train", "-m", *cluster.tiny, "trainer.max_epochs=1", "seed=0,1", "hydra/launcher=slurm", "sweep_dir=s")
    held = ("launcher.detach=true", "launcher.extra={hold: true}")
    for _ in range(2):
        sent = cluster.lab(*words, *held)
        assert sent.code == 0 and "jobs in Slurm's queue: 2" in sent.out, sent
    assert len(cluster.states()) == 2
    (array,) = {job.partition("_")[0] for job in cluster.states()}
    assert "2 jobs: 2 waiting" in cluster.lab("results", "s").out
    cluster.run("scancel", f"{array}_1")
    cluster.run("scontrol", "release", f"{array}_0")
    told = cluster.lab("results", "s", "--watch")
    assert "2 jobs: 1 completed, 1 killed" in told.out and f"job {array}_1 never started" in told.out, told
    again = cluster.lab(*words)
    assert again.code == 0 and "1 completed, 1 done before" in again.out, again


def test_what_slurm_refuses_is_told_in_a_sentence(cluster: Any) -> None:
    words = ("train", "-m", *cluster.tiny, "seed=0,1", "hydra/launcher=slurm", "launcher.partition=nowhere")
    done = cluster.lab(*words)
    assert done.code == 1 and "invalid partition specified: nowhere" in done.err and "Traceback" not in done.err
    assert len(done.err.splitlines()) == 1 and not cluster.states()


def test_a_run_that_takes_longer_than_its_job_may_ends_in_a_plain_script(cluster: Any, long_job: Any) -> None:
    there, number = long_job
    folder = there.one("runs/digits_lif/*/result.json", 140).parent
    assert [path.name for path in folder.parent.iterdir()] == [f"slurm_{number}.0"]
    endings = [cluster.attempt(folder, n + 1) for n in range(len([*folder.glob("attempts/*")]))]
    assert len(endings) > 1 and {ending["status"] for ending in endings[:-1]} == {"interrupted"}
    assert all("SIGUSR2" in ending["error"] for ending in endings[:-1])
    assert {ending["owner"]["slurm_job"] for ending in endings} == {number}
    assert cluster.lab("train", *cluster.tiny, "trainer.max_epochs=12", "output_dir=quick").code == 0
    assert (folder / "metrics.csv").read_bytes() == (cluster.folder / "quick" / "metrics.csv").read_bytes()
