"""Processes on this machine that perform jobs: a queue, and as many at once as there are places."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path

from snnlab.errors import FailedRun, Interrupted
from snnlab.sweeps.done import done
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.worker import keep, stray
from snnlab.training.processes import without_ranks

TRIES = 3
"""How often in a row a process may end before it is ready."""

_COMMAND = "import sys; sys.path[:] = {path!r}; from snnlab.sweeps.worker import main; main({descriptor})"


class Slots:
    """Places for processes. A process is started when a job first needs its place, and used again for the next one.

    Args:
        launcher: whose they are, for errors.
        devices: the device of each place, as CUDA_VISIBLE_DEVICES takes it; empty for one that sees what this one sees.
        needed: how many devices a job takes; it gets as many places, of different devices.
    """

    def __init__(self, launcher: str, devices: Sequence[str], needed: Callable[[Job], int] = lambda job: 1) -> None:
        self._launcher, self._devices, self._needed = launcher, devices, needed
        self._most = len(devices) if "" in devices else len(set(devices))
        self._processes: list[_Process] = []
        self._failed_starts = 0

    def perform(self, jobs: Iterator[Job]) -> Generator[Ended]:
        """Perform jobs, each drawn when there is a place for it; whatever ends this, no process is left.

        Raises: FailedRun, when processes end before they are ready; Interrupted, after running jobs have saved.
        """
        try:
            yield from self._perform(jobs)
            self._dismiss(list(self._processes))
        except BaseException:
            self._stop()
            raise

    def _perform(self, jobs: Iterator[Job]) -> Generator[Ended]:
        job: Job | None = None
        while True:
            while self._free(1) and (job := job or next(jobs, None)) is not None:
                count = self._needed(job)
                if places := self._free(count):
                    self._begin(job, places)
                elif count <= self._most:
                    break  # until there is room
                else:
                    there_are = f"The launcher {self._launcher} has {self._most} devices."
                    yield Ended(job, "failed", f"trainer.devices: {count}. {there_are}")
                job = None
            if not any(process.job for process in self._processes):
                return
            yield from self._endings()

    def _free(self, count: int) -> tuple[int, ...]:
        """Places for a job, of the devices with the least to do; empty while there are not so many."""
        busy = [place for process in self._processes if process.job for place in process.places]
        load = Counter(self._devices[place] for place in busy)
        waiting = {place for process in self._processes if not process.job for place in process.places}
        free = [place for place in range(len(self._devices)) if place not in busy]
        free.sort(key=lambda place: (load[self._devices[place]], place not in waiting, place))
        found = {self._devices[place] or str(place): place for place in reversed(free)}
        places = sorted(found.values(), key=free.index)[:count]
        return tuple(sorted(places)) if len(places) == count else ()

    def _begin(self, job: Job, places: tuple[int, ...]) -> None:
        """Hand a job to the process of these places; others on them, which have nothing to do, make room."""
        there = [process for process in self._processes if set(process.places) & set(places)]
        if len(there) == 1 and there[0].places == places and there[0].take(job):
            return
        self._dismiss(there)
        self._start(job, places)

    def _dismiss(self, processes: Sequence[_Process]) -> None:
        """Let processes go that have nothing to do."""
        for process in processes:
            process.connection.close()
        for process in processes:
            process.wait()
            self._remove(process)

    def _remove(self, process: _Process) -> None:
        self._processes.remove(process)
        process.close()

    def _start(self, job: Job, places: tuple[int, ...]) -> None:
        threads = max(1, cores() // len(self._devices))
        environment = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"} | without_ranks(os.environ)
        if devices := ",".join(filter(None, (self._devices[place] for place in places))):
            environment |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": devices}
        self._processes.append(_Process(job, places, environment))

    def _endings(self) -> Iterator[Ended]:
        """Wait until something happens; what became of jobs that ended."""
        known = {process.connection: process for process in self._processes}
        for connection in wait([*known]):
            process = known[connection]  # type: ignore[index]
            try:
                ended = process.hear()
                self._failed_starts = 0
            except (EOFError, OSError):
                ended = self._bury(process)
            if ended is not None:
                yield ended

    def _bury(self, process: _Process) -> Ended | None:
        """Take away a process that is gone, and tell what became of its job; one that it did not begin has another."""
        process.wait()
        job, said = process.job, process.said.strip().rpartition("\n")[2]
        ended = process.outcome(job) if job and process.ready else None
        self._remove(process)
        if job is None or ended is not None:
            return ended
        self._failed_starts += 1
        if self._failed_starts == TRIES:
            raise FailedRun(
                f"launcher={self._launcher}: its processes end before they begin: {process.how}. {said}".strip()
            )
        self._start(job, process.places)
        return None

    def _stop(self) -> None:
        """Let running jobs save what they have and end; a Ctrl-C meanwhile ends them at once.

        Raises: Interrupted, at a Ctrl-C.
        """
        for process in self._processes:
            process.tell(signal.SIGTERM)
        if running := sum(process.job is not None for process in self._processes):
            print(f"\n{running} running: they save what they have and end; Ctrl-C ends them at once.", flush=True)
        while self._processes:
            try:
                self._processes[-1].popen.wait()
                self._remove(self._processes[-1])
            except (Interrupted, KeyboardInterrupt) as again:
                if getattr(again, "number", signal.SIGINT) != signal.SIGINT:
                    continue  # it is being done
                for process in self._processes:
                    process.tell(signal.SIGKILL)
                    process.popen.wait()
                    process.close()
                raise


class _Process:
    """A process that performs jobs, seen from the one that started it.

    It has a session of its own, so that Ctrl-C on a terminal does not reach it a second time. What it says beside the
    logs of its jobs goes to a file without a name.

    Args:
        job: the first one.
        places: what it takes up.
        environment: its variables.
    """

    def __init__(self, job: Job, places: tuple[int, ...], environment: dict[str, str]) -> None:
        self.job: Job | None = job
        self.places, self.ready = places, False
        self.connection, its = Pipe()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - read when the process is gone
        with its:
            command = _COMMAND.format(path=sys.path, descriptor=its.fileno())
            self.popen = subprocess.Popen(
                [sys.executable, "-c", command],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                pass_fds=[its.fileno()],
                start_new_session=True,
            )

    def take(self, job: Job) -> bool:
        """Hand it a job; whether it lives to take it."""
        try:
            self.connection.send(job)
        except OSError:
            return False
        self.job = job
        return True

    def hear(self) -> Ended | None:
        """What it says: that it is ready, and gets its first job, or how a job ended.

        Raises: EOFError, OSError, when it is gone.
        """
        said: Ended | None = self.connection.recv()
        if said is None:
            self.ready = True
            self.connection.send(self.job)
            return None
        self.job = None
        return said

    def outcome(self, job: Job) -> Ended:
        """What became of a job when the process is gone without a word of it."""
        if (result := done(job)) is not None:  # all was written but the word
            return Ended(job, "completed", metrics=result.metrics, seconds=result.seconds)
        keep(self.said, Path(job.folder))
        ended = Ended(job, "killed")
        with suppress(OSError):
            last = ended.log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            return Ended(job, "killed", f"its process {self.how}. The last line of its log: {last[:200]}")
        return Ended(job, "killed", f"its process {self.how}, before it had a log.")

    @property
    def how(self) -> str:
        """How it ended."""
        code = self.popen.returncode
        if code >= 0:
            return f"ended with exit code {code}"
        memory = ", perhaps for want of memory" if code == -signal.SIGKILL else ""
        return f"was ended by {signal.Signals(-code).name}{memory}"

    @property
    def said(self) -> str:
        """What it said beside the log since its last job began."""
        return stray(self._words.fileno())

    def tell(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        self.popen.send_signal(number)

    def wait(self) -> None:
        """Until it is gone."""
        try:
            self.popen.wait(timeout=30)
        except subprocess.TimeoutExpired:  # it has nothing to do, and hangs
            self.popen.kill()
            self.popen.wait()

    def close(self) -> None:
        """Let go of what belongs to it, once it is gone."""
        self.connection.close()
        self._words.close()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
