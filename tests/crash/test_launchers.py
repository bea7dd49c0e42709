"""Signals, SIGKILL and Ctrl-C while jobs of a sweep train in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import snnlab

pytestmark = pytest.mark.crash

ROOT = Path(snnlab.__file__).parent.parent
SLOW = ("trainer.max_epochs=80", "trainer.limit_train_batches=1", "network.hidden=[4]", "time.steps=2")
PROCESSES, JOBLIB = (
    ("hydra/launcher=processes", "launcher.jobs=2"),
    ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
)


class Sweep:
    """A sweep of two jobs that is running, in a session of its own as on a terminal."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder, self._words = folder, words
        self.process = self.started()

    def started(self) -> subprocess.Popen[str]:
        """The sweep's driver."""
        plugin = str(ROOT / "tests" / "sweeps" / "probe.py")
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "SNNLAB_PLUGINS": plugin}
        command = [
            sys.executable,
            "-m",
            "snnlab",
            "train",
            "-m",
            "callback=[probe]",
            *SLOW,
            *self._words,
            "sweep_dir=sweep",
        ]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def runs(self) -> list[Path]:
        """Folders of runs that have begun to train."""
        return [path.parent for path in (self.folder / "sweep").glob("*/probe.json")]

    def processes(self) -> set[int]:
        """The processes that have trained."""
        return {json.loads((run / "probe.json").read_text())["pid"] for run in self.runs()}

    def attempts(self) -> list[dict[str, Any]]:
        """The latest attempts at the runs."""
        latest = (max((run / "attempts").glob("*.json"), key=lambda path: int(path.stem)) for run in self.runs())
        return [json.loads(path.read_text()) for path in latest]

    def until(self, true: Callable[[], Any], seconds: float = 100.0) -> None:
        """Wait for something."""
        until = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < until, self.process.poll()
            time.sleep(0.05)

    def until_they_train(self) -> None:
        """Wait until both jobs have a checkpoint of an epoch."""
        self.until(lambda: len(list((self.folder / "sweep").glob("*/checkpoints/last.ckpt"))) == 2)


@pytest.fixture
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Sweep]:
    """Starts a sweep, of which nothing is left after the test."""

    def starting(*words: str) -> Sweep:
        sweep = Sweep(tmp_path, *words)
        request.addfinalizer(lambda: end(sweep))
        return sweep

    def end(sweep: Sweep) -> None:
        for process in {sweep.process.pid, *sweep.processes()}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        sweep.process.communicate()

    return starting


def there(process: int) -> bool:
    """Whether a process lives; one that nobody has asked for its exit code does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("launcher", "number", "whole_group"),
    [
        (PROCESSES, signal.SIGINT, True),  # Ctrl-C on a terminal
        (PROCESSES, signal.SIGTERM, False),
        (PROCESSES, signal.SIGKILL, False),
        (JOBLIB, signal.SIGINT, True),
        (JOBLIB, signal.SIGTERM, False),
    ],
)
def test_a_sweep_that_is_stopped_has_saved_leaves_no_process_and_goes_on(
    launcher: Sequence[str], number: int, whole_group: bool, start: Callable[..., Sweep]
) -> None:
    sweep = start("seed=0,1", "callback.probe.act=slow", *launcher)
    sweep.until_they_train()
    (os.killpg if whole_group else os.kill)(sweep.process.pid, number)
    said = sweep.process.communicate(timeout=60)[0]
    assert sweep.process.returncode == (-number if number == signal.SIGKILL else 128 + number), said
    sweep.until(lambda: not any(map(there, sweep.processes())), 30)
    assert [attempt["status"] for attempt in sweep.attempts()] == ["interrupted"] * 2, said
    assert "Traceback" not in said
    epochs = {run: len((run / "metrics.csv").read_text().splitlines()) for run in sweep.runs()}
    sweep.process = sweep.started()
    said = sweep.process.communicate(timeout=120)[0]
    assert sweep.process.returncode == 0, said
    assert [attempt["status"] for attempt in sweep.attempts()] == ["completed"] * 2
    for run, before in epochs.items():
        assert 1 < before < 81
        assert len((run / "metrics.csv").read_text().splitlines()) == 81
        assert (run / "log.txt").read_text().count(" epoch  0/") == 1  # it went on


def test_a_second_ctrl_c_ends_what_does_not_save(start: Callable[..., Sweep]) -> None:
    sweep = start("seed=0,1", "callback.probe.act=deaf", *PROCESSES)
    sweep.until(lambda: len(sweep.runs()) == 2)
    time.sleep(2.0)  # they have stopped to listen
    os.killpg(sweep.process.pid, signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        sweep.process.wait(timeout=1.5)
    os.killpg(sweep.process.pid, signal.SIGINT)
    said = sweep.process.communicate(timeout=10)[0]
    assert sweep.process.returncode == 130
    assert "Ctrl-C ends them at once" in said
    assert not any(map(there, sweep.processes()))


def test_a_process_that_is_killed_from_outside_takes_its_job_and_no_other(start: Callable[..., Sweep]) -> None:
    sweep = start("seed=0,1", "callback.probe.act=slow", "trainer.max_epochs=40", *PROCESSES)
    sweep.until_they_train()
    killed, _ = sweep.runs()
    os.kill(json.loads((killed / "probe.json").read_text())["pid"], signal.SIGKILL)
    said = sweep.process.communicate(timeout=100)[0]
    assert sweep.process.returncode == 1
    assert "1 completed" in said and "1 killed" in said and "SIGKILL" in said


def test_joblib_is_started_again_when_one_of_its_processes_is_killed(start: Callable[..., Sweep]) -> None:
    sweep = start("seed=0,1,2", "callback.probe.act=slow", "trainer.max_epochs=20", *JOBLIB)
    sweep.until_they_train()
    os.kill(min(sweep.processes()), signal.SIGKILL)
    said = sweep.process.communicate(timeout=150)[0]
    assert sweep.process.returncode == 1
    assert "killed. its process ended without a word" in said
    completed = [run for run in (sweep.folder / "sweep").iterdir() if (run / "result.json").is_file()]
    assert any(run.name.startswith("seed=2") for run in completed)
