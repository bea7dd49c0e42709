"""Batches cut ahead by processes of their own, in the order asked for."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch.utils.data import DataLoader

LOOK = 1.0  # s, how often a worker looks whether its parent lives

Job = TypeVar("Job")
Made = TypeVar("Made")


def made_ahead(make: Callable[[Job], Made], jobs: Sequence[Job], workers: int) -> Iterator[Made]:
    """`make` of each job, in order; with workers, each has two of them made ahead.

    The processes end with the last job, with the iterator, or when this process was killed. A signal that reaches all
    processes of a run, as Ctrl-C does, is left to this one.

    Args:
        make: draws no random numbers.
        jobs: what to make.
        workers: number of processes; 0 makes everything here, when it is asked for.
    """
    if workers == 0 or not jobs:
        yield from map(make, jobs)
        return
    with _born_deaf(), warnings.catch_warnings():
        # How many processes are worth it is the user's to say; threads that wait do not mind a fork.
        warnings.filterwarnings("ignore", message="This DataLoader will create .* worker processes")
        warnings.filterwarnings("ignore", message="This process .* is multi-threaded")
        loader: DataLoader[Any] = DataLoader(
            jobs,  # type: ignore[arg-type]
            batch_size=None,
            collate_fn=make,  # type: ignore[arg-type]
            num_workers=min(workers, len(jobs)),
            worker_init_fn=_obey_parent_alone,
            generator=torch.Generator(),  # the global one is not touched
        )
        iterator = iter(loader)
    for count, made in enumerate(iterator, 1):
        if count == len(jobs):
            next(iterator, None)  # so the workers end: who counts what comes, as Lightning does, will not ask again
        yield made


@contextmanager
def _born_deaf() -> Iterator[None]:
    """What is forked here hears neither Ctrl-C nor SIGTERM, from its first moment; this process hears them after it."""
    if sys.platform != "linux":  # elsewhere a signal does not tell its sender
        yield
        return
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)


def _obey_parent_alone(worker: int) -> None:
    """In a worker: end at a SIGTERM that the parent sent; at any other one it may still want batches."""
    if sys.platform == "linux":
        threading.Thread(target=_wait_for_parent, args=(os.getppid(),), daemon=True).start()


def _wait_for_parent(parent: int) -> None:
    while os.getppid() == parent:
        told = signal.sigtimedwait({signal.SIGTERM}, LOOK)
        if told is not None and told.si_pid == parent:
            break
    os._exit(0)
