"""Where runs that nobody trains are in Slurm's queue, as the records of their sweeps and squeue say."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from snnlab.sweeps import queue
from snnlab.sweeps.queue import Queued, Submitted

ASKED_EVERY, PATIENCE = 5.0, 10.0
"""Seconds between two questions to squeue, and until it is not waited for."""


@dataclass(frozen=True)
class Place:
    """Where a run is that was submitted.

    Args:
        queued: whether the queue has it; None where that cannot be told, or not yet.
        error: what became of one that the queue does not have.
    """

    queued: bool | None
    error: str = ""


class Queue:
    """Looks for runs in the queue, again and again.

    Args:
        certain_after: seconds that a job must be gone for: its files may reach this machine later.
    """

    def __init__(self, certain_after: float = 0.0) -> None:
        self.certain_after = certain_after
        self._read: dict[Path, list[Submitted]] = {}
        self._gone: dict[Path, float] = {}
        self._answer: dict[str, Queued] | None = None
        self._asked: tuple[float, frozenset[int]] = (0.0, frozenset())

    def places(self, folders: Iterable[Path]) -> dict[Path, Place]:
        """Where the runs of some folders are; those that nobody submitted are left out."""
        folders = list(folders)
        known = {sweep: self._submitted(sweep) for sweep in {folder.parent for folder in folders}}
        found = {folder: jobs for folder in folders if (jobs := known[folder.parent].get(folder.name))}
        if not found:
            return {}
        there = self._queue(frozenset(job.user for jobs in found.values() for job in jobs))
        return {folder: self._place(folder, jobs, there) for folder, jobs in found.items()}

    def _place(self, folder: Path, jobs: list[Submitted], there: dict[str, Queued] | None) -> Place:
        if there is None:
            return Place(None)
        if any(job.name in there for job in jobs):
            self._gone.pop(folder, None)
            return Place(True)
        now = time.monotonic()
        if now - self._gone.setdefault(folder, now) < self.certain_after:
            return Place(None)
        log = queue.log_of(folder.parent, jobs[-1].name)
        see = f"see {log}" if log.exists() else f"job {jobs[-1].name} never started, as after scancel"
        return Place(False, f"it left the queue before it began; {see}")

    def _submitted(self, sweep: Path) -> dict[str, list[Submitted]]:
        """The jobs of a sweep by their folders' names, the latest last."""
        found: dict[str, list[Submitted]] = {}
        for path in queue.records(sweep):
            if path not in self._read:
                self._read[path] = list(queue.read(path))
            for job in self._read[path]:
                found.setdefault(job.folder, []).append(job)
        return found

    def _queue(self, users: frozenset[int]) -> dict[str, Queued] | None:
        before, asked_for = self._asked
        if time.monotonic() - before >= ASKED_EVERY or not users <= asked_for:
            self._answer = queue.in_queue(users, patience=PATIENCE)
            self._asked = time.monotonic(), users
        return self._answer
