"""Where the processes of a run meet, in the words that Lightning asks in."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.strategies.strategy import Strategy
from torch import distributed

from snnlab.errors import FailedRun, WrongOption
from snnlab.training.processes import Place, place
from snnlab.training.slurm import address_of_first

PATIENCE = timedelta(minutes=30)
"""For the first process to read its data: torch's own limit for a collective."""

_KEPT: list[Any] = []
"""The first connection to the meeting point of a launcher's processes: where it ends, so does what it hosts."""


class Environment(ClusterEnvironment):
    """What Lightning asks: how many processes there are, which one this is, where the first one listens.

    Not: Lightning's own ones, which repeat the command line to start a process, end the first by SIGKILL when another
        one fails, and requeue jobs by themselves.
    """

    def __init__(self) -> None:
        self.place = place()
        self.port = 0
        self._rank, self._world = self.place.rank, self.place.world

    @property
    def creates_processes_externally(self) -> bool:
        """Always: if not a launcher, `together` has started them."""
        return True

    @property
    def main_address(self) -> str:
        """The first process's machine."""
        if "MASTER_ADDR" in os.environ or self.place.launcher != "srun":
            return os.environ.get("MASTER_ADDR", "127.0.0.1")
        nodes = os.environ.get("SLURM_STEP_NODELIST") or os.environ["SLURM_JOB_NODELIST"]
        return address_of_first(nodes)

    @property
    def main_port(self) -> int:
        """Where it listens: a port that it holds already, or one that all processes of a job step agree on."""
        if self.port:
            return self.port
        if "MASTER_PORT" in os.environ or self.place.launcher != "srun":
            return int(os.environ.get("MASTER_PORT", "0"))
        step = os.environ.get("SLURM_STEP_ID", "0")
        return 15000 + (int(os.environ["SLURM_JOB_ID"]) + 1000 * int(step)) % 10000

    @staticmethod
    def detect() -> bool:
        """Lightning is given it, and need not look for it."""
        return False

    def world_size(self) -> int:
        """The number of processes."""
        return self._world

    def set_world_size(self, size: int) -> None:
        """Lightning tells it, where no launcher has."""
        self._world = size

    def global_rank(self) -> int:
        """The number of this process."""
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """Lightning works it out from the rank on this machine; it is known already."""

    def local_rank(self) -> int:
        """Its number on this machine."""
        return self.place.local_rank

    def node_rank(self) -> int:
        """The number of this machine."""
        return self.place.node

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        """Hold the Trainer's devices and machines against the processes that there are.

        Raises: WrongOption.
        """
        here = self.place
        if here.launcher and (num_devices, num_nodes) != (here.local_world, here.nodes):
            raise WrongOption(
                f"trainer.devices: {num_devices}, trainer.num_nodes: {num_nodes}. {here.launcher} started "
                f"{here.local_world} processes on each of {here.nodes} machines. Give the same numbers."
            )


def meeting_point(environment: Environment) -> Any:
    """Where the processes meet. The first one holds its port from here on: torch's process group shares it."""
    hosts = environment.place.rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    tcp_store: Any = distributed.TCPStore  # type: ignore[attr-defined]  # Linux has it; torch's own list does not
    store = tcp_store(
        environment.main_address,
        environment.main_port,
        None,
        is_master=hosts,
        timeout=PATIENCE,
        wait_for_workers=False,
        multi_tenant=hosts,
    )
    if environment.place.launcher and not _KEPT:
        _KEPT.append(store)
    return store


def part_for_run(environment: Environment, number: int) -> Any:
    """What one run says at the meeting point. torchrun's outlives a run, and a start of its processes.

    Args:
        environment: knows where it is.
        number: how many runs these processes have begun.
    """
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    prefix_store: Any = distributed.PrefixStore  # type: ignore[attr-defined]  # as above
    return prefix_store(f"snnlab/{start}/{number}", meeting_point(environment))


def wait_until(condition: Callable[[], bool], who: str) -> None:
    """Wait as Python does, which hears a signal: in torch, a process that waits for the others hears none.

    Raises: FailedRun, after `PATIENCE`.
    """
    until = time.monotonic() + PATIENCE.total_seconds()
    while not condition():
        if time.monotonic() > until:
            raise FailedRun(f"{who} said nothing for half an hour.")
        time.sleep(0.1)


def say_words(store: Any, here: Place, words: Sequence[str]) -> None:
    """Say with what command line this process was started."""
    store.set(f"words/{here.rank}", json.dumps(list(words)))


def difference_of_words(store: Any, here: Place, mine: Sequence[str]) -> str:
    """A sentence where another process was started with other words: they were to be runs of their own."""
    for rank in range(1, here.world):
        key = f"words/{rank}"
        wait_until(partial(store.check, [key]), f"process {rank} of the run")
        theirs = json.loads(store.get(key))
        if theirs == list(mine):
            continue
        advice = "Give all the same words."
        if here.launcher == "srun":
            advice = "For runs of their own start each by `srun --exact -n1 snnlab train … &`, and `wait` for them."
        return (
            f"{here.launcher}: its {here.world} processes are those of one run, but process {rank} was told "
            f"`{' '.join(theirs)}`, and process 0 `{' '.join(mine)}`. {advice}"
        )
    return ""


def join(strategy: Strategy, environment: Environment, store: Any) -> None:
    """Begin the process group, all of whose processes are there, at a place of this run's own.

    Lightning would begin it where the addresses of the run before still lie; it takes one that there is.
    """
    backend = getattr(strategy, "_get_process_group_backend", None)
    if backend is None or distributed.is_initialized():  # a strategy that begins its own
        return
    device = strategy.root_device
    if strategy.accelerator is not None:
        strategy.accelerator.setup_device(device)
    distributed.init_process_group(
        backend(),
        store=store,
        rank=environment.global_rank(),
        world_size=environment.world_size(),
        timeout=getattr(strategy, "_timeout", None),
        device_id=None if device.type == "cpu" else device,
    )
