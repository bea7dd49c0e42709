"""Studies whose drivers are killed and started again, each a fork of one process: python studies.py CASE FOLDER.

Prints one JSON object: how often a driver was killed, and what is not as it should be.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import torch

from snnlab.commands import main as snnlab
from snnlab.training import journal

STUDY = (
    *("train", "-m", "hydra/sweeper=optuna", "sweeper.n_startup_trials=1"),
    *("optimizer.lr=tag(log,interval(0.001,0.1))", "neuron.tau=interval(5,30)"),
    *("network.hidden=[8]", "time.steps=4", "batch_size=300", "checkpoint_minutes=0", "trainer.max_epochs=1"),
)
TRIALS = {"at_each_write": 2, "at_random_moments": 3, "two_drivers": 4}
LOCK = 3
"""Seconds after which the lock of a killed process is broken; ten, where it matters."""


def at_each_write(root: Path, want: list[Any]) -> dict[str, Any]:
    """SIGKILL before, within and after records of the journal: every third one, or all with SNNLAB_ALL_FAULTS=1."""
    wrong: dict[str, list[str]] = {}
    stride = 1 if os.environ.get("SNNLAB_ALL_FAULTS") else 3
    for kills, number in enumerate(range(1, 1000, stride)):
        place = ("before", "within", "after")[kills % 3]
        sweep = root / f"{number}_{place}"
        code = in_child(drive, sweep, kill_at=(number, place))
        if code == 0:
            return {"killed": kills, "wrong": wrong}
        assert code == -signal.SIGKILL, code
        go_on(sweep, [] if half_drawn(sweep) else want, wrong)
    raise AssertionError("it never ended")


def at_random_moments(root: Path, want: list[Any]) -> dict[str, Any]:
    """One study after the other, each killed at random moments until it is done."""
    wrong: dict[str, list[str]] = {}
    begun = time.perf_counter()
    assert in_child(drive, root / "whole") == 0
    seconds, killed, seed = time.perf_counter() - begun, 0, random.randrange(2**32)
    moments = random.Random(seed)
    for number in range(2):
        sweep = root / str(number)
        halves = 0
        for _ in range(5):
            killed += in_child(drive, sweep, kill_after=moments.uniform(0.1, seconds / 2)) == -signal.SIGKILL
            halves += half_drawn(sweep)
        go_on(sweep, [] if halves else want, wrong)
    return {"killed": killed, "wrong": wrong, "seed": seed}


def two_drivers(root: Path, want: list[Any]) -> dict[str, Any]:
    """Two at once; then two of which one is killed, and the other ends, and the same command finishes what is left."""
    wrong: dict[str, list[str]] = {}
    sweep = root / "both"
    pids = [child(drive, sweep) for _ in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if codes != [0, 0]:
        wrong["both"] = [f"exit codes {codes}"]
    check(sweep, wrong)
    if any(len(list(run.glob("attempts/*.json"))) != 1 for run in runs(sweep)):
        wrong.setdefault("both", []).append("a run was tried twice")
    sweep = root / "one killed"
    pids = [child(drive, sweep) for _ in range(2)]
    time.sleep(2)
    os.kill(pids[0], signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    if codes[1] != 0:
        wrong["one killed"] = [f"exit codes {codes}"]
    go_on(sweep, [], wrong)
    return {"killed": 1, "wrong": wrong}


CASES: dict[str, Callable[..., dict[str, Any]]] = {
    "at_each_write": at_each_write,
    "at_random_moments": at_random_moments,
    "two_drivers": two_drivers,
}


def main(case: str, folder: str) -> dict[str, Any]:
    """Compare the disturbed studies of one case with the undisturbed one."""
    torch.set_num_threads(1)
    root = Path(folder)
    os.chdir(root)
    lock = journal.JournalFileOpenLock
    journal._lock = lambda path: lock(str(path), grace_period=LOCK)
    assert in_child(drive, root / "undisturbed") == 0
    return CASES[case](root, sketch(root / "undisturbed"))


def drive(sweep: Path, kill_at: tuple[int, str] | None = None) -> None:
    """The command, killed at a record of the journal."""
    count, append = 0, journal.Journal.append_logs

    def append_and_die(self: journal.Journal, logs: list[dict[str, Any]]) -> None:
        nonlocal count
        count += 1
        assert kill_at is not None
        if count == kill_at[0]:
            if kill_at[1] == "after":
                append(self, logs)
            elif kill_at[1] == "within":
                self._lock.acquire()
                with open(self._path, "ab") as file:
                    file.write(json.dumps(logs[0], separators=(",", ":")).encode()[:30])
            os.kill(os.getpid(), signal.SIGKILL)
        append(self, logs)

    if kill_at is not None:
        journal.Journal.append_logs = append_and_die  # type: ignore[method-assign]
    raise SystemExit(snnlab([*STUDY, f"sweeper.n_trials={trials()}", f"sweep_dir={sweep}"]))


def trials() -> int:
    """How many the study of this case has."""
    return TRIALS[sys.argv[1]]


def go_on(sweep: Path, want: list[Any], wrong: dict[str, list[str]]) -> None:
    """The same command again; then the study is as `want` says."""
    if (code := in_child(drive, sweep)) != 0:
        wrong.setdefault(sweep.name, []).append(f"it went on to exit code {code}")
        return
    check(sweep, wrong)
    if want and sketch(sweep) != want:
        wrong.setdefault(sweep.name, []).append(f"trials {sketch(sweep)}, not {want}")


def check(sweep: Path, wrong: dict[str, list[str]]) -> None:
    """All trials are there, once, and each is a run that is done."""
    found = sketch(sweep)
    rates = {params["optimizer.lr"] for _, params, _ in found}
    done = sorted(json.loads((run / "result.json").read_text())["metrics"]["val/accuracy"] for run in runs(sweep))
    if (
        [state for state, *_ in found] != ["COMPLETE"] * len(found)
        or len(rates) != len(found)
        or len(found) != trials()
    ):
        wrong.setdefault(sweep.name, []).append(f"trials {found}")
    elif done != sorted(values[0] for *_, values in found):
        wrong.setdefault(sweep.name, []).append(f"runs {done}, trials {found}")


def half_drawn(sweep: Path) -> bool:
    """Whether a kill came between the draws of a trial's two options: the second is then another one."""
    path = sweep / "study" / journal.NAME
    lines = path.read_bytes().splitlines() if path.is_file() else []
    draws = (json.loads(line) for line in lines if journal._is_record(line) and b'"param_name"' in line)
    return 1 in Counter(draw["trial_id"] for draw in draws).values()


def sketch(sweep: Path) -> list[tuple[str, dict[str, Any], Any]]:
    """What the study says of its trials."""
    study = optuna.load_study(study_name=journal.STUDY, storage=journal.storage(sweep / "study"))
    return [(trial.state.name, trial.params, trial.values) for trial in study.get_trials()]


def runs(sweep: Path) -> list[Path]:
    """The folders of its runs."""
    return [path.parent for path in sweep.glob("*/config.yaml")]


def child(function: Callable[..., None], *arguments: Any, **keywords: Any) -> int:
    """The number of a fork of this process that calls a function."""
    if pid := os.fork():
        return pid
    os.dup2(2, 1)
    try:
        function(*arguments, **keywords)
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def in_child(function: Callable[..., None], *arguments: Any, kill_after: float | None = None, **keywords: Any) -> int:
    """The exit code of a function in a fork; -9 where it was killed."""
    pid = child(function, *arguments, **keywords)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
