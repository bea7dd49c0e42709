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

from annotated_types import Ge, Gt, Unit

from snnlab.errors import FailedRun, Interrupted, WrongOption
from snnlab.options import PositiveInt
from snnlab.registry import register
from snnlab.sweeps import queue
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers.base import Launcher
from snnlab.sweeps.launchers.squeue import Before
from snnlab.sweeps.task import Task
from snnlab.training.processes import number_of

# Days first, or all of hours, minutes and seconds: what is 4:00, sbatch and its users do not agree on.
_TIME = re.compile(r"(?=\d+-|\d+:\d+:)(?:(\d{1,3})-)?(\d{1,4})(?::(\d{1,2}))?(?::(\d{1,2}))?")


@register("launcher")
class Slurm(Launcher):
    """Jobs of Slurm's, submitted as arrays through submitit; preempted and timed-out ones go on where they were.

    Whoever started the sweep may leave: the jobs stay in the queue, and the same command waits for them. What became of
    each is read from its folder, and from squeue, so no accounting is needed. A job whose folder says nothing and that
    is gone from the queue was killed.

    Args:
        partition: as for sbatch; the cluster's default without it.
        account: who pays.
        qos: quality of service.
        constraint: features that a node must have.
        time: how long a job may take until it goes back into the queue and on from there: minutes, or as for sbatch
            4:00:00 and 1-12:00:00, which YAML files need in quotes.
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
    time: PositiveInt | str = 60
    nodes: PositiveInt = 1
    tasks_per_node: PositiveInt = 1
    gpus_per_node: Annotated[int, Ge(0)] | None = None
    cpus_per_task: PositiveInt | None = None
    memory_gb: Annotated[float, Gt(0), Unit("GiB")] | None = None
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
        before = Before(sweep)
        if self.detach:
            self._submit_all(jobs, sweep, before)
            return
        watch = before.watch
        try:
            while True:
                if new := list(islice(jobs, min(_largest_array(), self.array - len(watch.jobs)))):
                    there, missing = before.parted(new)
                    watch.add(there)
                    if missing:
                        watch.add(self._submit(missing, sweep))
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
        command = f"{sys.executable} -u -m submitit.core._submit {sweep.absolute() / queue.FOLDER}"
        count = min(jobs, _largest_array())
        text = make(command, sweep.absolute() / queue.FOLDER, map_count=count, **self._parameters(sweep))
        return str(text)

    def _submit_all(self, jobs: Iterator[Job], sweep: Path, before: Before) -> None:
        submitted: dict[str, Job] = {}
        there: dict[str, Job] = {}
        while new := list(islice(jobs, _largest_array())):
            found, missing = before.parted(new)
            there |= found
            if missing:
                submitted |= self._submit(missing, sweep)
        if every := submitted | there:
            already = f", {len(there)} of them from before" if there else ""
            print(f"jobs in Slurm's queue: {len(every)}{already}\n{_how_to(every, sweep)}", flush=True)

    def _submit(self, jobs: list[Job], sweep: Path) -> dict[str, Job]:
        """Submit jobs as one array.

        Returns: the jobs by what Slurm calls them.
        Raises: FailedRun, when Slurm does not take them; WrongOption, when one asks for other processes.
        """
        folder = sweep.absolute() / queue.FOLDER
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
        found = {str(one.job_id): job for one, job in zip(submitted, jobs, strict=True)}
        try:
            queue.record(sweep, {name: job.folder for name, job in found.items()})
        except OSError as error:  # they are in the queue all the same
            print(f"{folder}: which jobs were submitted could not be written down ({error.strerror}).", file=sys.stderr)
        return found

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
            "time": self._minutes,
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

    @property
    def _minutes(self) -> int:
        """The time of a job in whole minutes, as Slurm counts it.

        Raises: WrongOption, for a text that is no time.
        """
        if isinstance(self.time, int):
            return self.time
        found = _TIME.fullmatch(self.time.strip())
        days, hours, minutes, seconds = (int(part or 0) for part in found.group(1, 2, 3, 4)) if found else (0, 0, 0, 0)
        if not (total := ((days * 24 + hours) * 60 + minutes) * 60 + seconds):
            raise WrongOption(
                f"launcher.time: {self.time!r}. It takes minutes, hours:minutes:seconds as 4:00:00, or with days as "
                "1-12:00:00."
            )
        return -(-total // 60)

    def _with_processes(self, job: Job) -> Job:
        """The job, to be trained by as many processes as Slurm starts; a preset's devices give way.

        Raises: WrongOption, when its words ask for others.
        """
        trainer = job.config["trainer"]
        several = self.nodes * self.tasks_per_node > 1
        spoken = {word.partition("=")[0].lstrip("+") for word in job.words}
        for name, option in (("devices", "tasks_per_node"), ("num_nodes", "nodes")):
            asked, there_are = trainer.get(name), getattr(self, option)
            # One process starts others of its node itself, and none on other nodes.
            held = f"trainer.{name}" in spoken if several else name == "num_nodes"
            if held and asked not in (None, "auto", -1, "-1") and number_of(asked) != there_are:
                raise WrongOption(
                    f"trainer.{name}: {asked}, and Slurm is to start {there_are}. Leave it out and set "
                    f"launcher.{option}={number_of(asked)}."
                )
        if not several:
            return job
        known = {"strategy": "ddp", **trainer, "devices": self.tasks_per_node, "num_nodes": self.nodes}
        return replace(job, config={**job.config, "trainer": known})

    def _check(self) -> None:
        if importlib.util.find_spec("submitit") is None:
            raise WrongOption("launcher=slurm: it needs submitit. Run: pip install 'snnlab-lightning[slurm]'")
        if self.notice_seconds > 30 * self._minutes:
            raise WrongOption(
                f"launcher.notice_seconds: {self.notice_seconds}. It takes at most half of launcher.time "
                f"({self._minutes} minutes), or jobs go back into the queue before they have trained."
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
