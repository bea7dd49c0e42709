"""What a launcher is."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

from snnlab.parts import Declared
from snnlab.sweeps.jobs import Ended, Job


class Launcher(Declared):
    """Where jobs are trained: in this process, in others, on other machines."""

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended]:
        """Train jobs, and tell what became of each as soon as it ended.

        Args:
            jobs: taken one by one, when there is room for one more: which comes next may depend on what ended before.
            sweep: the sweep's folder.
        Raises: Interrupted, when a signal came, after the jobs that train in processes of this launcher have saved.
        """
        raise NotImplementedError

    @property
    def waits(self) -> bool:
        """Whether `launch` waits until jobs have ended; one that hands them to a queue may leave them there."""
        return True

    def preview(self, jobs: int, sweep: Path) -> str | None:
        """What would be handed to somebody else, for --dry-run: a script for a cluster. None where there is nothing."""
        return None
