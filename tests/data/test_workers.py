"""Batches cut ahead by other processes: the same ones, and nobody is left behind."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from snnlab.data import Loader, Split


def split(samples=37):
    inputs = torch.rand(samples, 4, 3, generator=torch.Generator().manual_seed(0))
    lengths, streams = 1 + torch.arange(samples) % 4, torch.arange(samples)
    return Split(inputs, torch.arange(samples), lengths, streams)


def loader(**changes):
    options = {"series": True, "batch_size": 4, "seed": 3, "shuffle": True}
    return Loader(split(), **(options | changes))


def equal(one, other):
    tensors = zip(one[:3] + one[5:], other[:3] + other[5:], strict=True)
    return one[3:5] == other[3:5] and all(a is b is None or torch.equal(a, b) for a, b in tensors)


@pytest.mark.parametrize("carry", [False, True])
def test_workers_cut_the_same_batches_in_the_same_order(carry):
    for one, other in zip(loader(carry=carry), loader(carry=carry, workers=2), strict=True):
        assert equal(one, other)


def test_a_position_counts_the_batches_given_out_whatever_was_cut_ahead():
    plain, ahead = loader(), loader(workers=2)
    for _ in zip(itertools.islice(plain, 3), ahead, strict=False):
        assert ahead.state_dict() == plain.state_dict()
    resumed = loader(workers=2)
    resumed.load_state_dict(plain.state_dict())
    assert [batch.number for batch in resumed] == list(range(3, 10))


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    list(loader(workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_last_batch_leaves_no_worker_behind():
    given = loader(workers=2)
    for batch, _ in zip(given, range(len(given)), strict=False):  # as Lightning, it does not ask for one more
        assert bool(multiprocessing.active_children()) == (batch.number < 9)


def test_a_pass_that_is_given_up_leaves_no_worker_behind():
    given = iter(loader(workers=2))
    next(given)
    assert len(multiprocessing.active_children()) == 2
    given.close()
    assert not multiprocessing.active_children()


def test_batches_come_out_on_the_device_that_was_asked_for():
    batch = next(iter(loader(device="meta", workers=1)))
    assert {tensor.device.type for tensor in (batch.inputs, batch.targets, batch.mask)} == {"meta"}


PROGRAM = """
import multiprocessing, signal, sys, time, torch
from snnlab.data import Loader, Split
stopped = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: stopped.append(number))
split = Split(torch.zeros(400, 1), torch.arange(400))
for number, batch in enumerate(Loader(split, series=False, batch_size=1, seed=0, shuffle=True, workers=2)):
    if number == 5:
        print(*[child.pid for child in multiprocessing.active_children()], flush=True)
        while not stopped:
            time.sleep(0.01)
        time.sleep(0.2)
print(number + 1, *stopped)
"""


def started():
    """A program that has two workers, prints their ids, and waits for a signal."""
    run = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(word) for word in run.stdout.readline().split()]
    assert len(workers) == 2, run.stderr.read()
    return run, workers


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_is_left_to_the_one_that_trains(number):
    run, workers = started()
    os.killpg(run.pid, number)
    out, err = run.communicate(timeout=60)
    assert (out.split(), err, run.returncode) == (["400", str(int(number))], "", 0)
    assert all(map(gone, workers))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_workers_of_a_killed_process_end():
    run, workers = started()
    run.kill()
    run.communicate(timeout=60)
    end = time.monotonic() + 30  # they look every second
    while not all(map(gone, workers)) and time.monotonic() < end:
        time.sleep(0.1)
    assert all(map(gone, workers))
