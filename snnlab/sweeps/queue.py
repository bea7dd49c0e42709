"""What Slurm's queue holds, and which jobs of a sweep were put there: one that waits in it has left no other trace."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from snnlab import files
from snnlab.errors import BadData
from snnlab.training.plain import read_json

FOLDER = "slurm"
"""Of a sweep's folder: submitit's files, what the jobs said before and after they trained, and ARRAY.json."""

MISSED = 10.0
"""Seconds that a job must be gone from the queue before it counts as killed: a file may reach this machine later."""

_RECORD = re.compile(r"[1-9][0-9]*\.json")
_NAME = re.compile(r"[1-9][0-9]*(_[0-9]+)?")


@dataclass(frozen=True)
class Queued:
    """A job in the queue.

    Args:
        number: its own, which each element of an array has from its start on.
        state: as Slurm tells it: RUNNING, PENDING, …
        reason: why it waits.
    """

    number: str
    state: str
    reason: str


@dataclass(frozen=True)
class Submitted:
    """A job that was put into the queue.

    Args:
        name: what Slurm calls it, 12 or 12_3.
        user: the number of who put it there.
        folder: the name of the run's folder in the sweep's.
    """

    name: str
    user: int
    folder: str


def in_queue(users: Iterable[int] = (), *, patience: float = 60) -> dict[str, Queued] | None:
    """Jobs that wait or run, by their names, as 12 or 12_3; None when squeue fails.

    Args:
        users: whose jobs, by number; this user's by default.
        patience: seconds until squeue counts as failed.
    """
    whose = ",".join(map(str, sorted({*users} or {os.getuid()})))
    command = ["squeue", "--noheader", "--array", "--user", whose, "--format", "%i|%A|%T|%r"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=patience, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.strip().split("|", 3) for line in said.splitlines() if line.count("|") >= 3)
    return {name: Queued(number, state, reason) for name, number, state, reason in rows}


def record(sweep: Path, folders: Mapping[str, str]) -> None:
    """Write down which jobs of a sweep were submitted as one array.

    Args:
        sweep: the sweep's folder.
        folders: the runs' folders by what Slurm calls their jobs.
    """
    array = next(iter(folders)).partition("_")[0]
    jobs = {name: Path(folder).name for name, folder in folders.items()}
    files.write_json(sweep / FOLDER / f"{array}.json", {"user": os.getuid(), "jobs": jobs})


def records(sweep: Path) -> list[Path]:
    """The files of what was submitted for a sweep, the latest last; each stays as it was written."""
    try:
        names = [name for name in os.listdir(sweep / FOLDER) if _RECORD.fullmatch(name)]
    except OSError:
        return []
    return [sweep / FOLDER / name for name in sorted(names, key=lambda name: int(name.partition(".")[0]))]


def read(path: Path) -> Iterator[Submitted]:
    """What a record says; nothing where it is damaged."""
    try:
        said = read_json(path)
    except (OSError, BadData):
        return
    user, jobs = (said.get("user"), said.get("jobs")) if isinstance(said, dict) else (None, None)
    if type(user) is not int or user < 0 or not isinstance(jobs, dict):
        return
    for name, folder in jobs.items():
        if _NAME.fullmatch(name) and isinstance(folder, str):
            yield Submitted(name, user, folder)


def log_of(sweep: Path, name: str) -> Path:
    """Where a job says what it does, as submitit calls it."""
    return sweep / FOLDER / f"{name}_0_log.out"
