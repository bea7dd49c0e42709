"""A job as it is handed to Slurm. It listens to signals before anything heavy is imported: one may come at once."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from snnlab.sweeps.jobs import Job, perform
from snnlab.training.processes import is_main_process, place
from snnlab.training.requeue import requeued


@dataclass(frozen=True)
class Task:
    """What is pickled: a job, and what its process must know to find the parts that it names."""

    job: Job
    environment: dict[str, str]
    path: tuple[str, ...]

    def __call__(self) -> str:
        """Perform the job. submitit calls it, in each process of the job.

        Raises: Interrupted; SystemExit, where several processes train and this one failed: the others must not wait.
        """
        with requeued(Path(self.job.folder), main=is_main_process()):  # in place of what submitit does at a signal
            return self._perform()

    def _perform(self) -> str:
        os.environ.update(self.environment)
        os.environ.setdefault("OMP_NUM_THREADS", os.environ.get("SLURM_CPUS_PER_TASK", "1"))
        sys.path.extend(entry for entry in self.path if entry not in sys.path)
        ended = perform(self.job)
        print(f"{self.job.folder}: {ended.status}. {ended.error}".rstrip(), flush=True)
        if ended.status != "completed" and place().launcher:
            raise SystemExit(1)
        return ended.status
