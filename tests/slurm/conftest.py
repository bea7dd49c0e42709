"""A real Slurm of two nodes, started for these tests and stopped after them whatever happens."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry
from snnlab.sweeps.launchers import squeue

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm.sh"
ASIDE = ("--partition=high", "--nodelist=n2")  # where the test of preemption does not come by
TINY = ("network.hidden=[8]", "time.steps=4", "batch_size=100", "plots=false")  # 13 batches an epoch


class Driver:
    """A sweep in a process of its own, and when it said what."""

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        command = [sys.executable, "-u", "-m", "snnlab", "train", "-m", "hydra/launcher=slurm", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.lines: list[tuple[float, str]] = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as words:
            self.lines.extend((time.monotonic(), line) for line in words)

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Its exit code and all that it said."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        self.reader.join(5)
        return code, "".join(line for _, line in self.lines)


class Cluster:
    """What tests do with Slurm.

    Args:
        folder: the working folder of commands and jobs.
        lab: runs a command of snnlab in this process.
    """

    tiny = TINY
    slow = (*TINY, "callback=[slow]", "callback.slow.seconds=0.2")  # three seconds an epoch

    def __init__(self, folder: Path, lab: Callable[..., Any] | None = None) -> None:
        self.folder, self.lab = folder, lab

    def run(self, *command: str) -> str:
        """The output of a command that must not fail."""
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def batch(self, command: str, *options: str) -> str:
        """Submit a script of one command, and give the job's number."""
        path = self.folder / "script.sh"
        path.write_text(f"#!/bin/bash\n{command}\n")
        log = ("--output", str(self.folder / "job_%j.txt"), "--open-mode=append")
        return self.run("sbatch", "--parsable", *log, *options, str(path)).strip()

    def sweep(self, *words: str) -> Driver:
        """A sweep on Slurm, in a process of its own."""
        return Driver(self.folder, words)

    def states(self) -> dict[str, str]:
        """The jobs in the queue, but for the long one that all tests share, and their states."""
        lines = self.run("squeue", "--noheader", "--array", "--format", "%i %j %T").splitlines()
        return {words[0]: words[2] for words in map(str.split, lines) if words[1] != "long"}

    def wait(self, found: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """What `found` gives, as soon as it gives something true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if value := found():
                return value
            time.sleep(0.2)
        raise AssertionError(f"not within {seconds} s: {what}; the queue: {self.states()}")

    def one(self, pattern: str, seconds: float = 60) -> Path:
        """The file that a pattern means, as soon as it is there."""
        found: Path = self.wait(lambda: next(self.folder.glob(pattern), None), pattern, seconds)
        return found

    @staticmethod
    def attempt(folder: Path, number: int = 1) -> dict[str, Any]:
        """What an attempt at a run says."""
        said: dict[str, Any] = json.loads((folder / "attempts" / f"{number}.json").read_text())
        return said


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    required = os.environ.get("SNNLAB_REQUIRE_SLURM") == "1"
    installed = subprocess.run(["bash", str(SCRIPT), "install"], capture_output=True, text=True)
    if installed.returncode:
        (pytest.fail if required else pytest.skip)(f"no Slurm: {installed.stderr.strip()}")
    folder = tmp_path_factory.mktemp("slurm")
    command = ["bash", str(SCRIPT), "start", str(folder), str(os.getpid())]
    started = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stderr
    before = dict(os.environ)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    os.environ["SNNLAB_PLUGINS"] = str(Path(__file__).parent / "slow.py")
    registry._plugins = None  # they are read once in a process
    looks, squeue.SOONEST = squeue.SOONEST, 1.0
    try:
        yield
    finally:
        squeue.SOONEST = looks
        os.environ.clear()
        os.environ.update(before)
        registry._plugins = None
        subprocess.run(["bash", str(SCRIPT), "stop", str(folder)], timeout=120)


@pytest.fixture(scope="session")
def long_job(slurm: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, str]:
    """A run that takes longer than its job may, in a plain script. It runs beside all other tests."""
    cluster = Cluster(tmp_path_factory.mktemp("long"))
    words = shlex.join((*Cluster.slow, "callback.slow.seconds=0.3", "trainer.max_epochs=12"))
    script = f"srun {sys.executable} -m snnlab train {words}"  # where it writes is left to it
    return cluster, cluster.batch(script, "--job-name=long", "--time=1", "--signal=USR2@10", *ASIDE)


@pytest.fixture
def cluster(long_job: Any, tmp_path: Path, snnlab: Callable[..., Any]) -> Iterator[Cluster]:
    """Slurm, a working folder, and no jobs that are left over for the next test."""
    made = Cluster(tmp_path, snnlab)
    yield made
    if left := made.states():
        made.run("scancel", "--quiet", *left)
    made.wait(lambda: not made.states(), "an empty queue")
