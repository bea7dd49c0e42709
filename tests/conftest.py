"""What all tests share: one thread a process, and random numbers whose seed is told when a test fails."""

from __future__ import annotations

import os
import zlib

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported, and for the processes that tests start

import pytest
import torch

torch.set_num_threads(1)  # the tests already run in one process per core


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> torch.Generator:
    """A generator of this test's own: the same numbers in every run, other ones with SNNLAB_TEST_SEED=<a number>."""
    base = int(os.environ.get("SNNLAB_TEST_SEED", "0"))
    seed = zlib.crc32(request.node.nodeid.encode()) + base
    print(f"rng: seed {seed} (SNNLAB_TEST_SEED={base})")  # pytest shows it with a failure
    return torch.Generator().manual_seed(seed)
