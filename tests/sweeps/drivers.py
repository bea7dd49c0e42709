"""Drivers of one sweep at once: python drivers.py NUMBER KILLED WORD… gives WORD… to `snnlab train -m` NUMBER times.

Each driver is a fork of one process that has imported everything and trained nothing. With KILLED above 0 all of them
are killed once as many runs are done and another one trains. Prints exit code, output and errors of each as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import torch

import snnlab.sweeps.begin
import snnlab.training.run  # noqa: F401
from snnlab.commands import main as snnlab_command
from snnlab.registry import FAMILIES, names
from snnlab.training.attempts import status_of


def drivers(number: int, killed: int, words: list[str]) -> list[list[object]]:
    """Start them, and wait for all."""
    torch.set_num_threads(1)
    for family in FAMILIES:
        names(family)
    sweep = Path(next(word for word in words if word.startswith("sweep_dir=")).partition("=")[2])
    children = [_driver(index, words) for index in range(number)]
    while killed and not _in_the_middle(sweep, killed, children):
        time.sleep(0.002)
    codes = []
    for pid in children:
        if killed:
            os.kill(pid, signal.SIGKILL)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return [[code, *(Path(f"{kind}{n}").read_text() for kind in ("out", "err"))] for n, code in enumerate(codes)]


def _in_the_middle(sweep: Path, done: int, children: list[int]) -> bool:
    """Whether so many runs are done and another one trains; then the drivers are left stopped."""
    if len(list(sweep.glob("*/result.json"))) < done:
        return False
    for pid in children:
        os.kill(pid, signal.SIGSTOP)
    if any(status_of(run) == "running" and not (run / "result.json").exists() for run in sweep.iterdir()):
        return True
    for pid in children:
        os.kill(pid, signal.SIGCONT)
    return False


def _driver(index: int, words: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    for stream, kind in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{kind}{index}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    code = 70
    try:
        code = snnlab_command(["train", "-m", *words])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    found = drivers(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    print(json.dumps(found))
