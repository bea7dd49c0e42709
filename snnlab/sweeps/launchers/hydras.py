"""Any other launcher that Hydra knows: joblib, submitit's, those of a site."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from snnlab.errors import FailedRun
from snnlab.registry import register
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers.base import Launcher
from snnlab.sweeps.slots import cores

FOLDER = "launcher"
"""Where in a sweep's folder such a launcher may write."""


@register("launcher")
class Hydras(Launcher):
    """A launcher of Hydra's plugins.

    It is chosen by its own name, hydra/launcher=joblib, and set by its own options, hydra.launcher.n_jobs=2. It is
    handed as many jobs as it trains at once, and more when all of them have ended; the launcher processes waits for
    none. What became of a job is read from its folder where the launcher does not tell; jobs that did not begin because
    the launcher failed are handed to it again.

    Args:
        node: the launcher as Hydra's configuration has it.
    """

    node: dict[str, Any]

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended]:
        """Train jobs, batch by batch.

        Raises: FailedRun, when the launcher fails before one job of a batch has begun; Interrupted.
        """
        from snnlab.sweeps.batch import Batch

        folder, size = sweep.absolute() / FOLDER, self._at_once()
        try:
            while waiting := list(islice(jobs, size)):
                while waiting:
                    with Batch(self.node, waiting, folder, threads=max(1, cores() // size)) as batch:
                        batch.wait()
                    endings = list(batch.endings())
                    if not any(endings):
                        raise FailedRun(f"hydra/launcher: it failed before a job had begun. {batch.reason}")
                    yield from filter(None, endings)
                    waiting = [job for job, ended in zip(waiting, endings, strict=True) if ended is None]
        finally:
            with suppress(OSError):  # there may be what the launcher left, as submitit's logs
                folder.rmdir()

    def _at_once(self) -> int:
        """How many jobs it trains at once, as far as its options tell."""
        count = self.node.get("n_jobs") or self.node.get("array_parallelism") or cores()
        return int(count) if count > 0 else max(1, cores() + 1 + int(count))
