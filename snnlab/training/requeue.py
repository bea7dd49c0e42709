"""A run that Slurm stops goes back into the queue: Slurm does not put back a job that leaves when it is asked to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from snnlab.errors import BadData, Interrupted

STOPS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What Slurm sends: the first when another job takes the place, one of the others before the time is over."""

FRUITLESS = 5
"""So many attempts in a row that trained nothing, and the job stays out: the next would end as they did."""

RESTARTS = 100
"""So many times a job is put back that was stopped before it was known what it trains."""

PATIENCE = 15.0
"""Seconds that the other processes of a job wait for the first: some clusters end a job when one process has left."""


@contextmanager
def requeued(folder: Path | None, *, main: bool) -> Iterator[None]:
    """While it lasts, what a signal of Slurm's stops is put back into the queue, after its checkpoint is there.

    Slurm's signals raise Interrupted wherever nothing better is done about them. Elsewhere than under Slurm nothing
    happens. Ctrl-C is somebody's wish to end the run, and so is scancel.

    Args:
        folder: the run's folder, where it is known yet.
        main: whether this is the first process of the run.
    """
    job = job_name()
    if job is None:
        yield
        return
    try:
        with _raising():
            yield
    except Interrupted as interrupted:
        if interrupted.number in STOPS and not interrupted.answered:
            interrupted.answered = True
            # Slurm ends what is left of a job that goes back with a SIGTERM of its own.
            _set_all(signal.SIG_IGN if main else signal.SIG_DFL)
            if main:
                _say(_put_back(job, folder))
            elif int(os.environ.get("SLURM_NTASKS", "1")) > 1:
                time.sleep(PATIENCE)
        raise


def job_name() -> str | None:
    """What Slurm calls this job, 12 or 12_3; None outside of Slurm.

    Not: SLURM_JOB_ID, which is another number for the elements of an array. scancel does not know all of them by it.
    """
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID")


def _put_back(job: str, folder: Path | None) -> str:
    """Put a job back into the queue if it may go there, and tell what was done."""
    known = _scontrol("-o", "show", "job", job)
    if known is None:
        return f"job {job} was not put back into the queue: scontrol does not answer."
    if "JobState=RUNNING" not in known:  # cancelled, or out of time, or in the queue already
        return f"job {job} is being ended by Slurm."
    if "Requeue=1" not in known:
        return f"job {job} was not put back into the queue: it was submitted with --no-requeue."
    if folder is not None and _fruitless(folder) >= FRUITLESS:
        return f"job {job} was not put back into the queue: {FRUITLESS} times it was stopped before it had trained."
    if folder is None and int(os.environ.get("SLURM_RESTART_COUNT") or 0) >= RESTARTS:
        return f"job {job} was not put back into the queue: it was there {RESTARTS} times."
    if _scontrol("requeue", job) is None:
        return f"job {job} was not put back into the queue: scontrol refused."
    return f"job {job} was put back into the queue. It goes on by itself."


def _scontrol(*words: str) -> str | None:
    """What scontrol says; None when it fails."""
    try:
        return subprocess.run(["scontrol", *words], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def _fruitless(folder: Path) -> int:
    """How many attempts began since the last checkpoint was written."""
    from snnlab.training import attempts
    from snnlab.training import checkpoint as checkpoints

    try:
        saved = (folder / checkpoints.FOLDER / "last.ckpt").stat().st_mtime
    except OSError:
        saved = 0.0
    began = (_began(path) for path in (folder / attempts.FOLDER).glob("*.json"))
    return sum(1 for moment in began if moment > saved)


def _began(path: Path) -> float:
    from snnlab.training.plain import read_json

    try:
        said: Any = read_json(path)
        return float(said["began"])
    except (OSError, BadData, KeyError, TypeError, ValueError):
        return 0.0


@contextmanager
def _raising() -> Iterator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python takes handlers nowhere else
        before = {number: signal.getsignal(number) for number in STOPS}
    for number in before:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _set_all(handler: signal.Handlers) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            signal.signal(number, handler)


def _say(text: str) -> None:
    print(f"snnlab: {text}", file=sys.stderr, flush=True)
