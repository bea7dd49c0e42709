"""One process trains a run at a time, wherever; one that is gone is followed by the next; its end is on record."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snnlab as package
from snnlab import files
from snnlab.errors import Busy, FailedRun, Interrupted, Pruned, WrongOption
from snnlab.training import attempts

TINY = ("trainer.max_epochs=2", "network.hidden=[8]", "plots=false", "time.steps=4")
ROOT = Path(package.__file__).parent.parent
HOUR = 3600.0

RACE = """
import os, select, sys, time
from pathlib import Path
from snnlab.errors import Busy
from snnlab.training import attempts

root = Path(sys.argv[1])
for number in range(50):
    folder = root / str(number)
    if number % 2:  # somebody tried before, and is gone
        pid = os.fork()
        if pid == 0:
            with attempts.lease(folder, None):
                os._exit(0)
        os.waitpid(pid, 0)
    start, over = time.monotonic() + 0.01, os.pipe()
    children = []
    for _ in range(8):
        children.append(pid := os.fork())
        if pid == 0:
            os.close(over[1])
            while time.monotonic() < start:
                pass
            code = 2
            try:
                with attempts.lease(folder, attempts.refuse_if_live(folder)):
                    code = 0
                    select.select([over[0]], [], [], 5)  # until the parent has heard of all the others
            except Busy:
                code = 1
            os._exit(code)
    os.close(over[0])
    refused = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(7)]
    os.close(over[1])
    print(*sorted(refused), os.waitstatus_to_exitcode(os.wait()[1]))
    if refused != [1] * 7:
        break
"""

HOLD = """
import sys, time
from pathlib import Path
from snnlab.training import attempts

with attempts.lease(Path(sys.argv[1]), None):
    print("held", flush=True)
    sys.stdin.read()
"""

STOPPED_AT = """
import os, signal, sys
from snnlab.commands import main
from snnlab.training.module import Training

steps, step = iter(range(1000)), Training.training_step

def stopping(self, *arguments):
    if next(steps) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGSTOP)
    return step(self, *arguments)

Training.training_step = stopping
sys.exit(main(sys.argv[2:]))
"""


def started(program: str, *words: str | Path, **more: Any) -> subprocess.Popen[str]:
    """A Python process of its own, with its words kept."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], env=environment, text=True, **pipes, **more
    )


def write_attempt(folder: Path, number: int = 1, *, age: float = 0.0, status: str = "running", **owner: Any) -> Path:
    """An attempt at the run of `folder`, by this process unless `owner` says otherwise, silent for `age` seconds."""
    path = folder / attempts.FOLDER / f"{number}.json"
    said = {"owner": attempts._me() | owner, "began": 0.0, "status": status, "error": "why", "ended": None}
    files.write_json(path, said)
    os.utime(path, (time.time() - age,) * 2)
    return path


def gone() -> dict[str, Any]:
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return {"pid": process.pid}


def test_of_eight_processes_at_once_one_gets_the_lease(tmp_path: Path) -> None:
    with started(RACE, tmp_path) as process:
        said = process.communicate(timeout=120)
    assert said[0].splitlines() == ["1 1 1 1 1 1 1 0"] * 50, said[1]


def test_a_process_that_was_killed_is_followed_at_once(tmp_path: Path) -> None:
    with started(HOLD, tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert attempts.status_of(tmp_path) == "running"
        process.kill()
    assert attempts.status_of(tmp_path) == "killed"
    with attempts.lease(tmp_path, attempts.refuse_if_live(tmp_path)) as held:
        assert held.attempt.number == 2
        assert attempts.status_of(tmp_path) == "running"


def test_a_process_that_lives_is_not_followed_however_long_it_is_silent(tmp_path: Path) -> None:
    with started(HOLD, tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        os.kill(process.pid, signal.SIGSTOP)
        os.utime(tmp_path / "attempts" / "1.json", (time.time() - HOUR,) * 2)
        with pytest.raises(Busy, match=f"process {process.pid} on {socket.gethostname()} trains this run just now"):
            attempts.refuse_if_live(tmp_path)
        os.kill(process.pid, signal.SIGCONT)
        process.communicate()
    assert process.returncode == 0


def test_another_machines_process_is_followed_once_it_was_silent_for_long(tmp_path: Path) -> None:
    path = write_attempt(tmp_path, host="elsewhere", age=attempts.EXPIRES_AFTER - 5)
    with pytest.raises(Busy, match="on elsewhere"):
        attempts.refuse_if_live(tmp_path)
    os.utime(path, (time.time() - attempts.EXPIRES_AFTER - 1,) * 2)
    found = attempts.refuse_if_live(tmp_path)
    assert found is not None and not found.live


def test_a_container_of_this_machine_is_followed_like_another_machine(tmp_path: Path) -> None:
    path = write_attempt(tmp_path, processes="pid:[1]", pid=gone()["pid"])
    assert attempts.status_of(tmp_path) == "running"
    os.utime(path, (0, 0))
    assert attempts.status_of(tmp_path) == "killed"


def test_a_process_whose_number_another_one_has_now_is_followed(tmp_path: Path) -> None:
    write_attempt(tmp_path, started=1)  # this process's number, and another time
    assert attempts.status_of(tmp_path) == "killed"
    assert attempts.refuse_if_live(tmp_path) is not None


def test_a_process_that_ended_and_was_not_waited_for_is_gone(tmp_path: Path) -> None:
    with started(HOLD, tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert attempts.status_of(tmp_path) == "killed"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"status": "running"}', b"\xff\xfe", b'{"owner": 3}'])
def test_a_damaged_attempt_is_followed(tmp_path: Path, content: bytes) -> None:
    path = write_attempt(tmp_path)
    path.write_bytes(content)
    assert attempts.status_of(tmp_path) == "running"  # perhaps somebody is just making it
    os.utime(path, (1, 1))
    assert attempts.status_of(tmp_path) == "failed"
    with attempts.lease(tmp_path, attempts.refuse_if_live(tmp_path)) as held:
        assert held.attempt.number == 2


@pytest.mark.parametrize("name", ["x.json", "0.json", "-1.json", "1.json.part", "\u0661.json", "99999999.json"])
def test_a_file_that_is_no_attempt_is_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / name).write_text("{}")
    assert attempts.latest(tmp_path) is None
    with attempts.lease(tmp_path, None) as held:
        assert held.attempt.number == 1


def test_the_lease_is_renewed_while_the_process_lives_and_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "RENEWED_EVERY", 0.01)
    with attempts.lease(tmp_path, None) as held:
        os.utime(held.path, (0, 0))
        until = time.monotonic() + 20
        while held.path.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.01)
        assert time.time() - held.path.stat().st_mtime < 20
    os.utime(held.path, (0, 0))
    time.sleep(0.1)
    assert held.path.stat().st_mtime == 0


def test_a_folder_that_is_away_for_a_while_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away(*arguments: Any) -> None:
        asked.append(arguments)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(attempts, "RENEWED_EVERY", 0.01)
    with attempts.lease(tmp_path, None) as held:
        monkeypatch.setattr(attempts.os, "utime", away)
        while len(asked) < 3:
            time.sleep(0.01)
        monkeypatch.undo()
        held.confirm()
    assert attempts.status_of(tmp_path) == "killed"  # completed, and without a result: somebody removed it


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (Interrupted(signal.SIGTERM, "stopped."), "interrupted", "stopped."),
        (KeyboardInterrupt(), "interrupted", ""),
        (Pruned("hopeless."), "pruned", "hopeless."),
        (FailedRun("the loss is nan."), "failed", "the loss is nan."),
        (ValueError("of a part"), "failed", "ValueError: of a part"),
    ],
)
def test_how_an_attempt_ended_is_on_record(tmp_path: Path, error: BaseException, status: str, text: str) -> None:
    with pytest.raises(type(error)), attempts.lease(tmp_path, None):
        raise error
    found = attempts.latest(tmp_path)
    assert found is not None
    assert (found.status, found.error, found.live) == (status, text, False)
    assert attempts.status_of(tmp_path) == status


def test_a_run_nobody_began_waits_and_one_with_a_result_is_completed(tmp_path: Path) -> None:
    assert attempts.status_of(tmp_path / "nowhere") == "waiting"
    with attempts.lease(tmp_path, None):
        (tmp_path / "result.json").write_text("{}")
        assert attempts.status_of(tmp_path) == "running"  # its pictures may still be drawn
    assert attempts.status_of(tmp_path) == "completed"
    write_attempt(tmp_path, 2, **gone())
    assert attempts.status_of(tmp_path) == "completed"  # killed after it had written its result
    (tmp_path / "result.json").unlink()
    assert attempts.status_of(tmp_path) == "killed"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (errno.ENOSPC, FailedRun, "No space left on device"),
        (errno.EIO, FailedRun, "Input/output error"),
        (errno.EACCES, WrongOption, "output_dir: .* cannot be written to"),
    ],
)
def test_where_an_attempt_cannot_be_written_nothing_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception], message: str
) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files.os, "link", refuse)
    with pytest.raises(kind, match=message), attempts.lease(tmp_path, None):
        raise AssertionError("it began")
    assert list((tmp_path / "attempts").iterdir()) == []


def test_a_job_that_slurm_started_again_follows_itself_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    write_attempt(tmp_path, host="elsewhere", slurm_restarts=0)
    with pytest.raises(Busy):  # another node of the job, or another step
        attempts.refuse_if_live(tmp_path)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    found = attempts.refuse_if_live(tmp_path)
    assert found is not None and found.number == 1
    monkeypatch.setenv("SLURM_JOB_ID", "8")  # of another job nothing is known
    with pytest.raises(Busy):
        attempts.refuse_if_live(tmp_path)


def test_who_was_followed_may_write_no_more(tmp_path: Path) -> None:
    with pytest.raises(Busy, match="another process took this run over while this one was silent"):  # noqa: SIM117
        with attempts.lease(tmp_path, None) as held:
            held.confirm()
            write_attempt(tmp_path, 2)
            held.confirm()


def test_a_suspended_process_that_wakes_up_after_it_was_followed_leaves_the_run_alone(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("train", *TINY, "output_dir=run")
    run = tmp_path / "run"
    with started(STOPPED_AT, 30, *words, cwd=tmp_path) as process:  # in the second epoch
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        assert snnlab(*words).err == (
            f"snnlab: run: process {process.pid} on {socket.gethostname()} trains this run just now.\n"
        )
        path = run / "attempts" / "1.json"
        said = json.loads(path.read_text())
        said["owner"]["host"] = "elsewhere"  # where it cannot be seen to live
        files.write_json(path, said)
        os.utime(path, (time.time() - HOUR,) * 2)
        followed = snnlab(*words)
        assert (followed.code, "goes on after 1 epochs" in followed.out) == (0, True), followed.err
        written = [other for other in run.rglob("*") if other.is_file() and other.name not in ("1.json", "log.txt")]
        before = {other: (other.stat().st_mtime_ns, other.read_bytes()) for other in written}
        os.kill(process.pid, signal.SIGCONT)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert err == "snnlab: run: another process took this run over while this one was silent.\n"
    assert {other: (other.stat().st_mtime_ns, other.read_bytes()) for other in written} == before
    assert snnlab(*words).out.startswith("run: this run is done.")


def test_of_a_command_that_is_given_twice_the_second_says_who_trains_and_later_that_it_is_done(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("train", *TINY, "output_dir=run")
    with started(STOPPED_AT, 0, *words, cwd=tmp_path) as process:
        assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
        again = snnlab(*words)
        assert again.code == 1
        assert again.err == f"snnlab: run: process {process.pid} on {socket.gethostname()} trains this run just now.\n"
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)
    assert process.returncode == 0
    after = snnlab(*words)
    assert (after.code, after.out.startswith("run: this run is done.")) == (0, True)
    assert [path.name for path in (tmp_path / "run" / "attempts").iterdir()] == ["1.json"]
