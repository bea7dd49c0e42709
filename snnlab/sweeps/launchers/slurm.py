"""Jobs of Slurm's, submitted as arrays and watched from here."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import redirect_stderr
from dataclasses import replace
from functools import cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, Gt

from snnlab.errors import FailedRun, Interrupted, WrongOption
from snnlab.options import PositiveInt
from snnlab.registry import register
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers.base import Launcher
from snnlab.sweeps.launchers.squeue import FOLDER, Watch
from snnlab.sweeps.task import Task


@register("launcher")
class Slurm(Launcher):
    """Jobs of Slurm's, submitted as arrays through submitit; preempted and timed-out ones go on where they were.

    Whoever started the sweep may leave: the jobs stay in the queue. What became of each is read from its folder, and
    from squeue, so no accounting is needed. A job whose folder says nothing and that is gone from the queue was killed.

    Args:
        partition: as for sbatch; the cluster's default without it.
        account: who pays.
        qos: quality of service.
        constraint: features that a node must have.
        time: minutes that a job may take until it goes back into the queue and on from there.
        nodes: nodes of a job.
        tasks_per_node: processes of a job on each node; with several in all, it is trained by them together (ddp).
        gpus_per_node: GPUs of a job on each node.
        cpus_per_task: cores of a process.
        memory_gb: memory of a job on each node, in GiB.
        array: most jobs in the queue at once. With a sweeper that learns from what ended, how many trials may go on
            without knowing of each other. With detach, most jobs that run at once.
        setup: lines of the script before the command, as module load cuda.
        extra: any other options of sbatch, as {exclude: node7, mail-type: FAIL}; true is an option without a value.
        detach: whether to submit all jobs and be done; snnlab results --watch follows them.
        notice_seconds: how long before the end of its time a job is told to save and go back into the queue. Slurm may
            tell it up to 60 s earlier.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: PositiveInt = 60
    nodes: PositiveInt = 1
    tasks_per_node: PositiveInt = 1
    gpus_per_node: Annotated[int, Ge(0)] | None = None
    cpus_per_task: PositiveInt | None = None
    memory_gb: Annotated[float, Gt(0)] | None = None
    array: PositiveInt = 100
    setup: list[str] = []
    extra: dict[str, Any] = {}
    detach: bool = False
    notice_seconds: Annotated[int, Ge(5)] = 90

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended, None, None]:
        """Submit jobs, and tell what became of each.

        Raises: WrongOption, FailedRun, when Slurm does not take them or does not answer; Interrupted.
        """
        self._check()
        if shutil.which("sbatch") is None:
            raise WrongOption("launcher=slurm: there is no sbatch here. Start the sweep where Slurm takes jobs.")
        if self.detach:
            self._submit_all(jobs, sweep)
            return
        watch = Watch()
        try:
            while True:
                if new := list(islice(jobs, min(_largest_array(), self.array - len(watch.jobs)))):
                    watch.add(self._submit(new, sweep))
                if not watch.jobs:
                    return
                ended = watch.ended()
                yield from ended
                if not ended:
                    watch.wait()
        except (GeneratorExit, Interrupted, KeyboardInterrupt):
            if watch.jobs:
                print(f"\njobs that stay in Slurm's queue: {len(watch.jobs)}\n{_how_to(watch.jobs, sweep)}", flush=True)
            raise

    @property
    def waits(self) -> bool:
        """Unless it submits and leaves."""
        return not self.detach

    def preview(self, jobs: int, sweep: Path) -> str:
        """The script that would be submitted."""
        self._check()
        make = _submitit()._make_sbatch_string
        command = f"{sys.executable} -u -m submitit.core._submit {sweep.absolute() / FOLDER}"
        count = min(jobs, _largest_array())
        text = make(command, sweep.absolute() / FOLDER, map_count=count, **self._parameters(sweep))
        return str(text)

    def _submit_all(self, jobs: Iterator[Job], sweep: Path) -> None:
        submitted: dict[str, Job] = {}
        while new := list(islice(jobs, _largest_array())):
            submitted |= self._submit(new, sweep)
        if submitted:
            print(f"jobs in Slurm's queue: {len(submitted)}\n{_how_to(submitted, sweep)}", flush=True)

    def _submit(self, jobs: list[Job], sweep: Path) -> dict[str, Job]:
        """Submit jobs as one array.

        Returns: the jobs by what Slurm calls them.
        Raises: FailedRun, when Slurm does not take them.
        """
        folder = sweep.absolute() / FOLDER
        environment = {key: os.environ[key] for key in ("SNNLAB_PLUGINS",) if key in os.environ}
        tasks = [Task(self._with_processes(job), environment, tuple(sys.path)) for job in jobs]
        try:
            with redirect_stderr(StringIO()):  # submitit prints what sbatch said, and raises it
                executor = _submitit().SlurmExecutor(folder)
                executor.update_parameters(**self._parameters(sweep))
                with executor.batch():
                    submitted = [executor.submit(task) for task in tasks]
        except (OSError, RuntimeError) as error:
            said = [line.removeprefix("sbatch: error: ").strip() for line in str(error).splitlines()]
            why = "; ".join(filter(None, said)) or type(error).__name__
            raise FailedRun(f"launcher=slurm: {len(jobs)} jobs were not taken: {why}.") from error
        return {str(one.job_id): job for one, job in zip(submitted, jobs, strict=True)}

    def _parameters(self, sweep: Path) -> dict[str, Any]:
        """What submitit is to ask for; options without a value are left to the cluster."""
        several = self.nodes * self.tasks_per_node > 1
        srun = ["--kill-on-bad-exit=1"] if several else []  # the others would wait for the one that is gone
        if self.cpus_per_task is not None:
            srun.append(f"--cpus-per-task={self.cpus_per_task}")  # since 22.05 srun does not take it over from sbatch
        extra = {"requeue": True} | {key.replace("_", "-"): value for key, value in self.extra.items()}
        if extra.get("no-requeue"):
            del extra["requeue"]
        if self.memory_gb is not None:
            extra.setdefault("mem", f"{round(self.memory_gb * 1024)}M")
        return {
            "job_name": _as_name(f"snnlab-{sweep.name}"),
            "partition": self.partition,
            "account": self.account,
            "qos": self.qos,
            "constraint": self.constraint,
            "time": self.time,
            "nodes": self.nodes,
            "ntasks_per_node": self.tasks_per_node,
            "gpus_per_node": self.gpus_per_node,
            "cpus_per_task": self.cpus_per_task,
            "setup": self.setup or None,
            "array_parallelism": self.array,
            "signal_delay_s": self.notice_seconds,
            "stderr_to_stdout": True,
            "wckey": None,
            "srun_args": srun,
            "additional_parameters": {key: value for key, value in extra.items() if value not in (None, False)},
        }

    def _with_processes(self, job: Job) -> Job:
        """The job, to be trained by as many processes as Slurm starts, unless it says how many itself."""
        if self.nodes * self.tasks_per_node == 1:
            return job
        known = {"devices": self.tasks_per_node, "num_nodes": self.nodes, "strategy": "ddp"}
        return replace(job, config={**job.config, "trainer": known | job.config["trainer"]})

    def _check(self) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise WrongOption("launcher=slurm: it needs submitit. Run: pip install 'snnlab-lightning[slurm]'")
        if self.notice_seconds > 30 * self.time:
            raise WrongOption(
                f"launcher.notice_seconds: {self.notice_seconds}. It takes at most half of launcher.time "
                f"({self.time} minutes), or jobs go back into the queue before they have trained."
            )


@cache
def _largest_array() -> int:
    """How many elements an array may have on this cluster."""
    try:
        known = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        known = ""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", known)
    return max(1, int(found[1]) - 1) if found else 1000


def _submitit() -> Any:
    import submitit.slurm.slurm

    return submitit.slurm.slurm


def _as_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in text)[:60]


def _how_to(submitted: dict[str, Job], sweep: Path) -> str:
    arrays = sorted({job.partition("_")[0] for job in submitted}, key=int)
    return f"  to follow them: snnlab results {sweep} --watch\n  to cancel them: scancel {' '.join(arrays)}"
