"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from snnlab.registry import register
from snnlab.sweeps.jobs import Ended, Job, perform
from snnlab.sweeps.launchers.base import Launcher


@register("launcher")
class Basic(Launcher):
    """One job after the other, in this process: nothing is imported twice."""

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended]:
        """Train jobs one by one."""
        for job in jobs:
            yield perform(job)
