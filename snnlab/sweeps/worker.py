"""A process that performs jobs, one after the other, for the process that started it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from snnlab.errors import Interrupted
from snnlab.sweeps.jobs import Ended, Job, outlived
from snnlab.training.processes import PARENT, end_with_parent

KEPT = 1_000_000
"""Bytes that are kept of what a job says beside its log."""


def main(descriptor: int) -> None:
    """Say that this process is ready, then perform what comes.

    Args:
        descriptor: of the connection with the process that started this one.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    with suppress(Interrupted, EOFError, ConnectionError), Connection(descriptor) as driver:
        end_with_parent()
        os.environ.pop(PARENT, None)  # what a job starts is this process's own
        import snnlab.training.run  # noqa: F401 - before the first job, so that all that fails at the start fails now

        driver.send(None)
        while True:
            ended = _performed(driver.recv())
            driver.send(ended)
            if ended.status == "interrupted":
                return


def stray(descriptor: int) -> str:
    """What was said to standard output and error, kept in a file, since the last job began."""
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, KEPT, max(0, size - KEPT)).decode("utf-8", "replace")


def keep(said: str, folder: Path) -> None:
    """Add it to a run's log, if the run has begun one."""
    if said.strip() and (folder / "log.txt").is_file():
        with suppress(OSError), (folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(said if said.endswith("\n") else f"{said}\n")


def _performed(job: Job) -> Ended:
    """What became of a job; nothing that it does ends this process, but a signal."""
    os.ftruncate(1, 0)
    os.lseek(1, 0, os.SEEK_SET)
    try:
        return outlived(job)
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        keep(stray(1), Path(job.folder))
        _give_back()


def _give_back() -> None:
    """Let other processes have the memory that this one holds on a GPU."""
    import torch

    cuda: Any = torch.cuda
    if cuda.is_initialized():
        gc.collect()
        cuda.empty_cache()


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)
