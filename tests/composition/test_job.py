"""Jobs of several processes: apart from this process, obedient to it, and telling why they failed."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.composition import Composer, job
from snnlab.errors import FailedRun, Interrupted, WrongOption

pytestmark = pytest.mark.processes

SMALL = (
    "trainer=ddp_cpu",
    "network.hidden=[8]",
    "time.steps=4",
    "encoder=bernoulli",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=2",
)


def test_a_job_of_two_processes_leaves_this_one_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": "1"}.items():  # left by somebody else's run
        monkeypatch.setenv(name, value)
    composer, before = Composer(), dict(os.environ)
    config = composer.job(composer.translated(SMALL)) | {"output_dir": str(tmp_path / "run")}
    result = job.run_job(config, SMALL)
    assert dict(os.environ) == before
    assert set(result["metrics"]) >= {"val/accuracy", "test/accuracy"}
    out, err = capfd.readouterr()
    assert "epoch 0/0" in out  # what it says is said here: a notebook shows it, a sweep keeps it back
    assert err == ""
    log = (tmp_path / "run" / "log.txt").read_text()
    assert log.count("epoch 0/0") == log.count("2 processes: of a batch of 64 samples each takes 32;") == 1
    assert "could not be drawn" not in log  # the pictures' samples pass the random encoder in one process
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} >= {"raster.png", "confusion.png"}
    assert job.run_job(config, SMALL) == result  # done


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log.txt").write_text("snnlab: of a run before\n", encoding="utf-8")
    return tmp_path / "log.txt"


def python(code: str, log: Path) -> int:
    with log.open("ab") as errors:
        return job._obedient([sys.executable, "-c", code], errors)


def failure(code: str, log: Path) -> BaseException:
    before = log.stat().st_size
    return job._ended(python(code, log), log, before)


@pytest.mark.parametrize(
    ("code", "kind", "sentence"),
    [
        ("import sys; sys.exit('snnlab: loss: it is nan.')", FailedRun, "loss: it is nan."),
        ("import sys; print('snnlab: lr: -1.', file=sys.stderr); sys.exit(2)", WrongOption, "lr: -1."),
        ("1 / 0", FailedRun, r"it ended with exit code 1\. .*log\.txt ends: .*ZeroDivisionError: division by zero"),
        ("import os; os.kill(os.getpid(), 9)", FailedRun, r"it was ended by signal 9\."),
        ("raise SystemExit(143)", Interrupted, "ended by SIGTERM"),
        ("import os; os.kill(os.getpid(), 15)", Interrupted, "ended by SIGTERM"),
    ],
)
def test_a_failure_comes_back_as_a_sentence(code: str, kind: type, sentence: str, log: Path) -> None:
    error = failure(code, log)
    assert type(error) is kind
    with pytest.raises(kind, match=sentence):
        raise error


OBEYS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit("saved"))
print("up", flush=True)
time.sleep(60)
"""


def test_a_signal_to_this_process_is_passed_on_and_awaited(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(number: int, frame: Any) -> None:
        raise Interrupted(number)

    heard = []
    monkeypatch.setattr("builtins.print", lambda line, **_: heard.append(line))
    before = signal.signal(signal.SIGTERM, stop)
    try:
        threading.Thread(target=_when, args=(lambda: "up\n" in heard, signal.SIGTERM), daemon=True).start()
        assert python(OBEYS, log) == 1
    finally:
        signal.signal(signal.SIGTERM, before)
    assert log.read_text().endswith("saved\n")


def test_a_job_ends_when_this_process_gives_it_up(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(line: str, **_: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", broken)
    begun = time.monotonic()
    with pytest.raises(BrokenPipeError):
        python(OBEYS, log)
    assert time.monotonic() - begun < 30
    assert log.read_text().endswith("saved\n")


def _when(condition: Callable[[], bool], number: int) -> None:
    while not condition():
        time.sleep(0.01)
    os.kill(os.getpid(), number)
