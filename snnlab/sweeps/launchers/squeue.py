"""What became of jobs that were handed to Slurm, from their folders and from squeue."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from snnlab.errors import BadData, FailedRun
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.queue import MISSED, Queued, in_queue, log_of, read, records
from snnlab.training import attempts
from snnlab.training.stored import stored_result

SOONEST, LATEST = 5.0, 10.0
"""Seconds between two looks at the queue: the longer nothing has happened, the more."""

SILENCE = 900.0
"""Seconds that squeue may fail for, as while Slurm's controller is started again."""

HELD = {
    *("JobHeldUser", "JobHeldAdmin", "JobHoldMaxRequeue", "launch_failed_requeued_held", "DependencyNeverSatisfied"),
    *("PartitionTimeLimit", "PartitionNodeLimit", "PartitionDown", "PartitionInactive", "BadConstraints"),
    *("AccountNotAllowed", "QOSNotAllowed", "InvalidAccount", "InvalidQOS", "ReqNodeNotAvail"),
    *("QOSMaxWallDurationPerJobLimit", "AssocMaxWallDurationPerJobLimit"),
    *("QOSMaxCpuPerJobLimit", "QOSMaxMemoryPerJob", "QOSMaxNodePerJobLimit", "QOSMaxGRESPerJob"),
    *("AssocMaxCpuPerJobLimit", "AssocMaxMemPerJob", "AssocMaxNodePerJobLimit", "AssocMaxGRESPerJob"),
}
"""Reasons for which a job waits until somebody does something."""


class Watch:
    """Jobs in Slurm's queue, by what Slurm calls them.

    Args:
        users: who submitted them, by number; this user by default.
    """

    def __init__(self, users: Iterable[int] = ()) -> None:
        self.users = {*users, os.getuid()}
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
            # One that trains is taken to be this job, which began before this look.
            self._before[name] = attempt.number - attempt.live if attempt else 0
        self._eventful = time.monotonic()

    def ended(self) -> list[Ended]:
        """What became of the jobs that ended since the last call.

        Raises: FailedRun, when Slurm has not answered for a long time.
        """
        queue, now = self.queue(), time.monotonic()
        if queue is None:
            return []
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

    def queue(self) -> dict[str, Queued] | None:
        """The queue; None when squeue fails.

        Raises: FailedRun, when it has failed for a long time.
        """
        queue, now = in_queue(self.users), time.monotonic()
        if queue is not None:
            self._heard = now
        elif now - self._heard > SILENCE:
            raise FailedRun(f"launcher=slurm: squeue has not answered for {SILENCE / 60:.0f} minutes.")
        return queue

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
        log = log_of(folder.parent, name)
        how = "without a word, as by SIGKILL or for want of memory" if tried else "before it began"
        return Ended(job, "killed", f"job {name} of Slurm ended {how}; see {log}.{_last_line(log)}")

    def _tell_of_held(self, queue: Mapping[str, Queued]) -> None:
        for name in self.jobs:
            reason = queue[name].reason if name in queue and queue[name].state == "PENDING" else ""
            kind = reason.strip("() ").partition(",")[0].replace(" ", "_")
            if kind in HELD and kind not in self._told:
                self._told.add(kind)
                print(
                    f"job {name} waits, and will until somebody acts: {reason}. See: scontrol show job {name}",
                    flush=True,
                )


class Before:
    """Jobs of a sweep that somebody submitted before, with the same command or another one.

    Args:
        sweep: the sweep's folder.
    """

    def __init__(self, sweep: Path) -> None:
        known = [job for path in records(sweep) for job in read(path)]
        self.watch = Watch(job.user for job in known)
        self._names: dict[str, list[str]] = {}
        for job in known:
            self._names.setdefault(job.folder, []).append(job.name)

    def parted(self, jobs: list[Job]) -> tuple[dict[str, Job], list[Job]]:
        """Those that are in the queue, by what Slurm calls them, and the others.

        Raises: FailedRun, when squeue has failed for a long time.
        """
        if not any(Path(job.folder).name in self._names for job in jobs):
            return {}, jobs
        while (there := self.watch.queue()) is None:
            time.sleep(SOONEST)
        found: dict[str, Job] = {}
        missing = []
        for job in jobs:
            names = [name for name in self._names.get(Path(job.folder).name, []) if name in there]
            if names:
                found[names[-1]] = job
            else:
                missing.append(job)
        return found, missing


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
