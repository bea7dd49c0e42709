"""What became of jobs that were handed to Slurm, from their folders and from squeue."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snnlab.errors import BadData, FailedRun
from snnlab.sweeps.jobs import Ended, Job
from snnlab.training import attempts
from snnlab.training.stored import stored_result

FOLDER = "slurm"
"""Of a sweep's folder: submitit's files, and what the jobs said before and after they trained."""

SOONEST, LATEST = 1.0, 10.0
"""Seconds between two looks at the queue: the longer nothing has happened, the more."""

MISSED = 10.0
"""Seconds that a job must be gone from the queue before it counts as killed: a file may reach this machine later."""

SILENCE = 900.0
"""Seconds that squeue may fail for, as while Slurm's controller is started again."""

HELD = ("JobHeldUser", "JobHeldAdmin", "DependencyNeverSatisfied", "PartitionTimeLimit", "PartitionNodeLimit")
"""Reasons for which a job waits until somebody does something."""


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


class Watch:
    """Jobs in Slurm's queue, by what Slurm calls them."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._before: dict[str, int] = {}  # the latest attempt at each, when it was submitted
        self._gone: dict[str, float] = {}
        self._told: set[str] = set()
        self._heard = self._eventful = time.monotonic()

    def add(self, jobs: Mapping[str, Job]) -> None:
        """Take in jobs that were submitted."""
        self.jobs.update(jobs)
        for name, job in jobs.items():
            attempt = attempts.latest(Path(job.folder))
            self._before[name] = attempt.number if attempt else 0
        self._eventful = time.monotonic()

    def ended(self) -> list[Ended]:
        """What became of the jobs that ended since the last call.

        Raises: FailedRun, when Slurm has not answered for a long time.
        """
        queue, now = in_queue(), time.monotonic()
        if queue is None:
            if now - self._heard > SILENCE:
                raise FailedRun(f"launcher=slurm: squeue has not answered for {SILENCE / 60:.0f} minutes.")
            return []
        self._heard = now
        self._tell_of_held(queue)
        running = {queued.number for queued in queue.values() if queued.state != "PENDING"}
        gone = {name: self._gone.get(name, now) for name in self.jobs if name not in queue}
        found = {name: self._outcome(name, running, certain=now - since >= MISSED) for name, since in gone.items()}
        self._gone = {name: since for name, since in gone.items() if found[name] is None}
        endings = {name: ended for name, ended in found.items() if ended is not None}
        for name in endings:
            del self.jobs[name]
            self._eventful = now
        return list(endings.values())

    def wait(self) -> None:
        """Until the next look at the queue."""
        pause = 0.0 if self._gone else (time.monotonic() - self._eventful) / 10
        time.sleep(min(max(pause, SOONEST), LATEST))

    def _outcome(self, name: str, running: set[str], *, certain: bool) -> Ended | None:
        """What became of a job that is not in the queue; None while that may still come to light."""
        job = self.jobs[name]
        folder = Path(job.folder)
        status, attempt = attempts.status_of(folder), attempts.latest(folder)
        tried = attempt is not None and attempt.number > self._before[name]
        if status == "completed" and (tried or not job.redo_stale):
            return _completed(job)
        if attempt is not None and tried and status in ("failed", "pruned", "interrupted"):
            return Ended(job, status, attempt.error)  # type: ignore[arg-type]
        if not certain:
            return None
        if attempt is not None and status == "running" and attempt.owner.get("slurm_job") in {None, *running}:
            owner = attempt.owner
            return Ended(job, "busy", f"process {owner.get('pid')} on {owner.get('host')} trains this run just now.")
        log = folder.parent / FOLDER / f"{name}_0_log.out"
        how = "without a word, as by SIGKILL or for want of memory" if tried else "before it began"
        return Ended(job, "killed", f"job {name} of Slurm ended {how}; see {log}.{_last_line(log)}")

    def _tell_of_held(self, queue: Mapping[str, Queued]) -> None:
        for name in self.jobs:
            reason = queue[name].reason if name in queue else ""
            if reason in HELD and reason not in self._told:
                self._told.add(reason)
                print(
                    f"job {name} waits, and will until somebody acts: {reason}. See: scontrol show job {name}",
                    flush=True,
                )


def in_queue() -> dict[str, Queued] | None:
    """This user's jobs that wait or run, by their names, as 12 or 12_3; None when squeue fails."""
    command = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i|%A|%T|%r"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.strip().split("|", 3) for line in said.splitlines() if line.count("|") >= 3)
    return {name: Queued(number, state, reason) for name, number, state, reason in rows}


def _completed(job: Job) -> Ended:
    try:
        result = stored_result(Path(job.folder))
    except (OSError, BadData) as error:
        return Ended(job, "failed", f"its result cannot be read: {error}")
    return Ended(job, "completed", metrics=result["metrics"], seconds=result["seconds"])


def _last_line(log: Path) -> str:
    """The last line of a job's log, as a sentence; empty without one."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4000))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f" Its last line: {said[-1][:300]}" if said else ""
