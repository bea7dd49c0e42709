"""Several jobs at once on this machine."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from snnlab.options import PositiveInt
from snnlab.registry import register
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers.base import Launcher
from snnlab.sweeps.slots import Slots, cores


@register("launcher")
class Processes(Launcher):
    """Several jobs at once on this machine, in processes that are started once and used for all jobs.

    The cores are shared out: each process has as many threads as there are cores for it, at least one, unless
    OMP_NUM_THREADS says otherwise. A process that is killed, as for want of memory, takes its job with it and no other.

    Args:
        jobs: how many at once; without it, one for each core.
    """

    jobs: PositiveInt | None = None

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended]:
        """Train jobs, as many at once as there are processes."""
        return Slots("processes", [""] * (self.jobs or cores())).perform(jobs)
