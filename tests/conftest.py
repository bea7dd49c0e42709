"""What all tests share: one thread a process, random numbers whose seed is told, the command line in this process."""

from __future__ import annotations

import os
import signal
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for the processes that tests start

import pytest
import torch

from snnlab.commands import main

torch.set_num_threads(1)  # the tests already run in one process per core
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets commands in its background ignore Ctrl-C


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> torch.Generator:
    """A generator of this test's own: the same numbers in every run, other ones with SNNLAB_TEST_SEED=<a number>."""
    base = int(os.environ.get("SNNLAB_TEST_SEED", "0"))
    seed = zlib.crc32(request.node.nodeid.encode()) + base
    print(f"rng: seed {seed} (SNNLAB_TEST_SEED={base})")  # pytest shows it with a failure
    return torch.Generator().manual_seed(seed)


class Ran(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def snnlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a command of snnlab in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> Ran:
        capsys.readouterr()
        code = main(words)
        return Ran(code, *capsys.readouterr())

    return run
