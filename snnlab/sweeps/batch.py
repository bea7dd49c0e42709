"""Jobs in the hands of a launcher of Hydra's plugins."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobRuntime, JobStatus, setup_globals
from hydra.types import HydraContext, RunMode
from omegaconf import open_dict

from snnlab.composition.job import hydra_aside
from snnlab.composition.values import in_words
from snnlab.errors import Interrupted
from snnlab.sweeps.done import done
from snnlab.sweeps.jobs import Ended, Job, outlived
from snnlab.training import attempts

JOBS = "jobs.pickle"
"""As long as it is there, jobs may begin."""

SETTLES_AFTER = 10.0
"""Seconds that processes get to be gone, once their launcher has failed or was told to stop."""


class Batch:
    """Some jobs, performed by a launcher in the block's beginning, `wait`, and judged after it.

    The launcher works in a thread: so a signal finds this process waiting, and not the launcher, which might kill what
    trains before it has saved, as joblib does.

    Args:
        node: the launcher as Hydra's configuration has it.
        jobs: the jobs.
        folder: where the launcher may write.
        threads: of each job, where nobody says otherwise.
    """

    def __init__(self, node: Mapping[str, Any], jobs: Sequence[Job], folder: Path, *, threads: int) -> None:
        self._node, self._jobs, self._folder, self._threads = node, jobs, folder, threads
        self._before = [_attempts(job) for job in jobs]
        self._returned: list[Ended | None] = [None] * len(jobs)
        self._over = threading.Event()
        self.reason = "it began no job."

    def __enter__(self) -> Batch:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._own = Path(tempfile.mkdtemp(prefix="batch_", dir=self._folder))  # where other machines find it too
        (self._own / JOBS).write_bytes(pickle.dumps(list(self._jobs)))
        threading.Thread(target=self._launch, daemon=True).start()
        return self

    def __exit__(self, *ending: object) -> None:
        shutil.rmtree(self._own, ignore_errors=True)

    def wait(self) -> None:
        """Until the launcher is done.

        Raises: Interrupted, when a signal came, after jobs that train on this machine have saved.
        """
        try:
            while not self._over.is_set():  # a thread whose join() is interrupted by a signal counts as ended
                time.sleep(0.05)
        except (Interrupted, KeyboardInterrupt):
            self._stop()
            raise

    def endings(self) -> Iterator[Ended | None]:
        """What became of each job; None, where it did not begin."""
        until = time.monotonic() + SETTLES_AFTER
        for job, before, returned in zip(self._jobs, self._before, self._returned, strict=True):
            while returned is None and attempts.status_of(Path(job.folder)) == "running" and time.monotonic() < until:
                time.sleep(0.1)
            yield replace(returned, job=job) if returned else self._judged(job, before)

    def _launch(self) -> None:
        words = [[f"+job={number}"] for number in range(len(self._jobs))]
        environment = {key: os.environ[key] for key in ("SNNLAB_PLUGINS",) if key in os.environ}
        task = Task(self._own, environment, tuple(sys.path), self._threads)
        try:
            with hydra_aside():
                returns: Sequence[JobReturn] = _launcher(self._node, self._folder, task).launch(words, 0)
        except BaseException as error:
            self.reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        else:
            ended = [one.return_value if one.status == JobStatus.COMPLETED else None for one in returns]
            self._returned = [one if isinstance(one, Ended) else None for one in ended]
        self._over.set()

    def _judged(self, job: Job, before: int) -> Ended | None:
        """What became of a job of which the launcher does not tell."""
        folder = Path(job.folder)
        if (result := done(job)) is not None:
            return Ended(job, "completed", metrics=result.metrics, seconds=result.seconds)
        status, attempt = attempts.status_of(folder), attempts.latest(folder)
        if status == "running":
            return Ended(job, "busy", f"{folder}: another process trains this run just now.")
        if attempt is None or attempt.number == before:
            return None
        if status in ("failed", "pruned", "interrupted"):
            return Ended(job, status, attempt.error)  # type: ignore[arg-type]
        return Ended(job, "killed", f"its process ended without a word. {self.reason}")

    def _stop(self) -> None:
        """Let no more jobs begin, and those that train on this machine save and end; Ctrl-C ends them at once.

        Raises: Interrupted, at a Ctrl-C.
        """
        (self._own / JOBS).unlink(missing_ok=True)
        if running := self._running():
            print(f"\n{len(running)} running: they save what they have and end; Ctrl-C ends them at once.", flush=True)
        told, until = set[int](), time.monotonic() + SETTLES_AFTER
        while not self._over.is_set() and (self._running() or time.monotonic() < until):
            try:
                for process in self._running() - told:
                    told.add(process)
                    _send(process, signal.SIGTERM)
                time.sleep(0.05)
            except (Interrupted, KeyboardInterrupt) as again:
                if getattr(again, "number", signal.SIGINT) != signal.SIGINT:
                    continue  # it is being done
                for process in self._running():
                    _send(process, signal.SIGKILL)
                raise

    def _running(self) -> set[int]:
        """The processes on this machine that perform a job of the batch; not this one, whose thread hears no signal."""
        marks = [path.name.partition(",") for path in self._own.glob("*,*")]
        processes = {int(number) for host, _, number in marks if host == socket.gethostname()}
        return {process for process in processes - {os.getpid()} if _send(process, 0)}


@dataclass(frozen=True)
class Task:
    """What the launcher calls for each job, in whatever process. It can be pickled.

    Args:
        folder: where the jobs are, and where processes say that they perform one.
        environment: variables that a job needs.
        path: where its parts are found.
        threads: of a job.
    """

    folder: Path
    environment: dict[str, str]
    path: tuple[str, ...]
    threads: int

    def __call__(self, config: Any) -> Ended | None:
        """Perform a job.

        Returns: None, when the sweep was stopped before.
        """
        threads = os.environ.get("SLURM_CPUS_PER_TASK", "1") if "SLURM_JOB_ID" in os.environ else str(self.threads)
        for key, value in (self.environment | {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "passive"}).items():
            os.environ.setdefault(key, value)
        sys.path.extend(entry for entry in self.path if entry not in sys.path)
        mark = self.folder / f"{socket.gethostname()},{os.getpid()}"
        try:
            job: Job = pickle.loads((self.folder / JOBS).read_bytes())[int(config["job"])]
            mark.touch()
        except OSError:
            return None
        try:
            with _ended_by_signals():
                return outlived(job)
        finally:
            with suppress(OSError):
                mark.unlink()


def _launcher(node: Mapping[str, Any], folder: Path, task: Task) -> Any:
    """The launcher, told what it needs to know; it configures no logging, and a job has no folder of Hydra's."""
    setup_globals()
    JobRuntime.instance().set("name", "snnlab")
    loader = ConfigLoaderImpl(create_config_search_path(None))
    words = in_words({"hydra.sweep.dir": str(folder), "hydra.sweep.subdir": ".", "hydra.output_subdir": None})
    words += ["hydra/job_logging=none", "hydra/hydra_logging=none"]
    config = loader.load_configuration(None, words, RunMode.MULTIRUN)
    with open_dict(config):
        config.hydra.launcher = dict(node)
    context = HydraContext(config_loader=loader, callbacks=Callbacks())
    return Plugins.instance().instantiate_launcher(context, task, config)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM raise Interrupted, if this is a main thread: elsewhere Python takes none."""
    heard = (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, _raise) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _send(process: int, number: int) -> bool:
    """Send a process a signal; whether there is such a process."""
    try:
        os.kill(process, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _attempts(job: Job) -> int:
    attempt = attempts.latest(Path(job.folder))
    return attempt.number if attempt else 0
