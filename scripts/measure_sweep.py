"""What a sweep costs a job beside fit and test, and what its driver needs of memory. See docs/how-to/sweep.md.

python scripts/measure_sweep.py [JOBS]        1000 jobs of two steps each, one after the other in this process
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from snnlab.commands import main
from snnlab.sweeps.launchers import basic

TINY = (
    "network.hidden=[8]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "trainer.limit_test_batches=1",
)


def resident() -> float:
    """Memory of this process in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function; what it takes is added to the last of `spent`."""

    def run(*arguments: Any, **keywords: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **keywords)
        finally:
            spent[-1] += time.perf_counter() - began

    return run


def measure(jobs: int) -> None:
    """Run the sweep and print the figures."""
    training, memory, ends = [0.0], [], []
    pl.Trainer.fit, pl.Trainer.test = timed(pl.Trainer.fit, training), timed(pl.Trainer.test, training)
    perform = basic.perform

    def performed(job: Any) -> Any:
        ended = perform(job)
        assert ended.status == "completed", ended
        memory.append(resident())
        ends.append(time.perf_counter())
        training.append(0.0)
        return ended

    basic.perform = performed
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        code = main(["train", "-m", f"seed=range({jobs})", *TINY, f"sweep_dir={folder}/sweep"])
        whole = time.perf_counter() - began
    assert code == 0 and len(ends) == jobs
    each = [after - before for before, after in pairwise(ends)]
    beside = [job - trained for job, trained in zip(each, training[1:], strict=False)]
    checking = (whole - (ends[-1] - began)) / jobs
    before_first = ends[0] - began - training[0]
    print(f"{jobs} jobs in {whole:.0f} s; before the first was trained {before_first:.1f} s, composing all of them")
    trained = statistics.mean(training[1:-1])
    print(f"a job after the first: {statistics.mean(each):.3f} s, of it fit and test {trained:.3f} s")
    print(f"beside them: {statistics.mean(beside):.3f} s (median {statistics.median(beside):.3f} s)")
    print(f"composed and checked beforehand, and concluded: {(before_first + checking) / jobs:.3f} s a job")
    first = min(10, jobs - 1)
    print(f"memory: {memory[first]:.0f} MB after {first + 1} jobs, {memory[-1]:.0f} MB after {jobs}")


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
