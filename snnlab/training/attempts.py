"""Attempts at a run: who trains it, since when, and how it ended. The latest attempt is the lease of the run's folder.

`attempts/1.json`, `attempts/2.json`, … : each is made by the process that begins, and by no other, since a file that is
there is never written over by somebody else. So of any number of processes that want to train a run, on any number of
machines with a folder in common, one does. The file is touched while its process lives, and says at last how it ended.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnlab import files
from snnlab.errors import BadData, Busy, FailedRun, Interrupted, Pruned, WrongOption
from snnlab.training.folder import RESULT
from snnlab.training.plain import read_json

FOLDER = "attempts"
RENEWED_EVERY, EXPIRES_AFTER = 15.0, 90.0
"""Seconds. A process that is silent for longer than the second is taken to be dead, unless it can be seen to live."""
_NUMBERED = re.compile(r"([1-9][0-9]{0,5})\.json")


@dataclass(frozen=True)
class Attempt:
    """One try at a run.

    Args:
        number: from 1.
        status: running, completed, failed, interrupted or pruned, as its process wrote it.
        error: how it failed, in a sentence.
        owner: host, process and job of the one who tried.
        live: whether its process still trains.
        ended: when, in seconds since 1970; 0 where that is not known.
    """

    number: int
    status: str
    error: str
    owner: dict[str, Any]
    live: bool
    ended: float = 0.0


class Lease:
    """What the process that trains a run holds."""

    def __init__(self, folder: Path, attempt: Attempt, said: dict[str, Any]) -> None:
        self.folder, self.attempt, self._said = folder, attempt, said
        self.path = _path(folder, attempt.number)

    def confirm(self) -> None:
        """Before something is written that another process might have taken over.

        Raises: Busy, when one has: this process was silent, as one on a suspended machine is.
        """
        if _path(self.folder, self.attempt.number + 1).exists():
            raise Busy(f"{self.folder}: another process took this run over while this one was silent.")

    def renew(self) -> None:
        """Say that this process lives."""
        with suppress(OSError):  # a folder that is away for a while; the next time is soon
            os.utime(self.path)

    def end(self, status: str, error: str = "") -> None:
        """Say how the attempt ended."""
        with suppress(OSError):  # on a full disk it stays an attempt whose process is gone
            files.write_json(self.path, self._said | {"status": status, "error": error, "ended": time.time()})


def latest(folder: Path) -> Attempt | None:
    """The latest attempt at the run of a folder; None where nobody tried."""
    number = _highest(folder)
    if not number:
        return None
    path = _path(folder, number)
    said, age = None, 0.0
    with suppress(OSError, BadData):  # just being made, or of a file system that is away for a while
        age = time.time() - path.stat().st_mtime
        said = read_json(path)
    if not isinstance(said, dict) or not isinstance(said.get("owner"), dict):
        return Attempt(number, "failed", f"{path} is damaged", {}, live=age < EXPIRES_AFTER)
    status, owner = str(said.get("status")), said["owner"]
    live, ended = status == "running" and _lives(owner, age), said.get("ended")
    ended = float(ended) if isinstance(ended, int | float) else 0.0
    return Attempt(number, status, str(said.get("error") or ""), owner, live, ended)


def status_of(folder: Path) -> str:
    """What became of the run of a folder.

    Returns: running, completed, failed, interrupted, pruned; killed, when its process is gone without a word; waiting,
        when nobody has begun.
    """
    attempt = latest(folder)
    if attempt is not None and attempt.live:
        return "running"
    if (folder / RESULT).is_file():
        return "completed"
    if attempt is None:
        return "waiting"
    return "killed" if attempt.status in ("running", "completed") else attempt.status


def refuse_if_live(folder: Path) -> Attempt | None:
    """The latest attempt, over now.

    Raises: Busy, when its process lives.
    """
    attempt = latest(folder)
    if attempt is not None and attempt.live:
        raise _busy(folder, attempt)
    return attempt


@contextmanager
def lease(folder: Path, before: Attempt | None) -> Iterator[Lease]:
    """The right to train the run of a folder, as long as the block lasts.

    Args:
        folder: the run's folder.
        before: the latest attempt when this process looked at what the folder holds. What it saw is still true if it
            gets the next number.
    Raises: Busy, when another process was faster.
    """
    number = before.number + 1 if before else 1
    owner = _me()
    said = {"owner": owner, "began": time.time(), "status": "running", "error": "", "ended": None}
    try:
        files.write_new(_path(folder, number), json.dumps(said, indent=2) + "\n")
    except FileExistsError:
        raise _busy(folder, latest(folder)) from None
    except (PermissionError, NotADirectoryError) as error:
        raise WrongOption(f"output_dir: {folder} cannot be written to ({error.strerror}).") from error
    except OSError as error:
        raise FailedRun(f"{folder}: it cannot be written to ({error.strerror}).") from error
    held = Lease(folder, Attempt(number, "running", "", owner, live=True), said)
    with _renewed(held):
        try:
            yield held
        except BaseException as error:
            held.end(*_ending(error))
            raise
        held.end("completed")


@contextmanager
def _renewed(held: Lease) -> Iterator[None]:
    """While it lasts, a thread says that the process lives."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(RENEWED_EVERY):
            held.renew()

    thread = threading.Thread(target=renew, name="snnlab-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _ending(error: BaseException) -> tuple[str, str]:
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        return "interrupted", str(error)
    if isinstance(error, Pruned):
        return "pruned", str(error)
    text = str(error) if hasattr(error, "exit_code") else f"{type(error).__name__}: {error}"
    return "failed", text[:2000]


def _highest(folder: Path) -> int:
    try:
        names = os.listdir(folder / FOLDER)
    except OSError:
        return 0
    return max((int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))), default=0)


def _path(folder: Path, number: int) -> Path:
    return folder / FOLDER / f"{number}.json"


def _busy(folder: Path, attempt: Attempt | None) -> Busy:
    owner = attempt.owner if attempt else {}
    who = f"process {owner.get('pid')} on {owner.get('host')}" if owner else "another process"
    return Busy(f"{folder}: {who} trains this run just now.")


def _me() -> dict[str, Any]:
    """Who this process is, so that others can tell whether it lives."""
    return {
        "host": socket.gethostname(),
        "processes": _processes(),
        "pid": os.getpid(),
        "started": _started(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
        "slurm_restarts": int(os.environ.get("SLURM_RESTART_COUNT") or 0),
    }


def _lives(owner: dict[str, Any], age: float) -> bool:
    me, pid = _me(), owner.get("pid")
    same_job = me["slurm_job"] is not None and owner.get("slurm_job") == me["slurm_job"]
    if same_job and owner.get("slurm_restarts") != me["slurm_restarts"]:
        return False  # it is this job, which was started again
    if all(owner.get(key) == me[key] for key in ("host", "processes")) and isinstance(pid, int):
        started = _started(pid)
        return started is not None and started == owner.get("started")
    return age < EXPIRES_AFTER


def _processes() -> str:
    """Which processes the numbers of processes are about: those of a machine since its start, or of a container."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{started} {os.readlink('/proc/self/ns/pid')}"  # the first one is called alike on all machines
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    """When a process of this machine started, as a number that no other process of its number has; None without one."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return _started_elsewhere(pid)
    return None if fields[0] == "Z" else int(fields[19])


def _started_elsewhere(pid: int) -> int | None:
    """Where there is no /proc: 0 for a process that lives."""
    if os.path.isdir("/proc/self"):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
