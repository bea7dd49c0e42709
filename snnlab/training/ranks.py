"""The processes of one run at work: they start, find each other, begin with the same options and end together."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import distributed

from snnlab.errors import FailedRun, Interrupted, WrongOption
from snnlab.training.console import log
from snnlab.training.environment import (
    Environment,
    difference_of_words,
    join,
    meeting_point,
    part_for_run,
    say_words,
    wait_until,
)
from snnlab.training.processes import PARENT, is_main_process, number_of, place, refuse_machines
from snnlab.training.signals import HEARD

GRACE = 8.0
"""Seconds that a process gets to end by itself once another one of its run is gone."""

FORKS = re.compile("fork|spawn|notebook")
"""Strategies whose processes begin as copies of this one."""

_RUN, _LEFT, _READY = "run", "left", "ready"

_begun = 0  # runs of a launcher's processes that this one has begun: each has a part of the meeting point of its own


@contextmanager
def leading(words: Sequence[str] | None = None) -> Iterator[None]:
    """Where torchrun or srun started several processes: the others learn if this first one ends before it trains.

    Args:
        words: the command line, where each of the others `declare`s its own.
    Raises: WrongOption, when they differ.
    """
    global _begun
    _begun += 1
    environment = Environment()
    store = part_for_run(environment, _begun)
    code, why = 1, ""
    try:
        if words is not None:
            why = difference_of_words(store, environment.place, words)
            if why:
                raise WrongOption(why)
        yield
        code = 0
    except BaseException as error:
        told = getattr(error, "exit_code", getattr(error, "code", 1))
        code = told if isinstance(told, int) else 1
        raise
    finally:
        with suppress(RuntimeError):  # torchrun may be gone, and its store with it
            _dismiss(store, {"over": code, "why": why}, environment.place.world - 1)


def _dismiss(store: Any, told: Mapping[str, Any], others: int) -> None:
    """Let the others end with an exit code, if they have not begun to train, and wait until they have heard it."""
    if store.check([_RUN]):
        return
    store.set(_RUN, json.dumps(told))
    until = time.monotonic() + GRACE
    while store.add(_LEFT, 0) < others and time.monotonic() < until:
        time.sleep(0.1)


def declare(words: Sequence[str]) -> None:
    """Say what command line this process was started with, before it is `following`.

    Raises: FailedRun, when the first process is not reached.
    """
    environment = Environment()
    try:
        say_words(part_for_run(environment, _begun + 1), environment.place, words)
    except RuntimeError as error:
        raise _unreached(error) from error


def following() -> tuple[dict[str, Any], str] | int:
    """What the first process trains, and the id of its run; or its exit code, where it ended without training.

    Raises: FailedRun, when nothing came; WrongOption, when the processes were started with different words.
    """
    global _begun
    environment = Environment()
    _begun += environment.place.launcher != "snnlab"
    try:
        store = part_for_run(environment, _begun)
        wait_until(lambda: bool(store.check([_RUN])), "the first process of the run")
        said = json.loads(store.get(_RUN))
        if "over" in said:
            store.add(_LEFT, 1)
    except RuntimeError as error:
        raise _unreached(error) from error
    if said.get("why"):
        raise WrongOption(said["why"])
    return int(said["over"]) if "over" in said else (said["config"], said["id"])


def _unreached(error: RuntimeError) -> FailedRun:
    line = str(error).partition("\n")[0].strip()
    return FailedRun(f"the first process of the run could not be reached ({line}).")


@contextmanager
def company(trainer: Mapping[str, Any], folder: Path) -> Iterator[Others]:
    """The other processes of a run, none of which outlives the block where it ends by an error.

    Where the Trainer's options say how many there are, they start at once: what they import takes them seconds.

    Args:
        trainer: the options.
        folder: the run's folder.
    Raises: FailedRun, when a process was lost; Interrupted, when a signal ended it.
    """
    before, others = dict(os.environ), Others(folder)
    try:
        refuse_machines(trainer, place())
        if is_main_process() and not place().launcher and (world := _sure_of(trainer)) > 1:
            others.start(world)
        yield others
    except BaseException as error:
        told = others.end_by(error)
        if told is error:
            raise
        raise told from error
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def together(others: Others, trainer: pl.Trainer, facts: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, the processes of a run compute as one. It begins where all is well in the first one.

    Args:
        others: those that nobody but this process starts.
        trainer: knows how many there are.
        facts: the run's, `config` and `id` among them.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    if not isinstance(environment, Environment):  # one process, or forks of this one
        yield
        return
    # Lightning's handler of SIGTERM speaks to the other processes, which listen to something else just then.
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    if environment.place.rank == 0:
        if not environment.place.launcher:
            environment.validate_settings(trainer.num_devices, trainer.num_nodes)
            environment.port = others.start(trainer.world_size)
        store = part_for_run(environment, _begun)
        config = facts["config"] | {"output_dir": str(others.folder.absolute())}
        store.set(_RUN, json.dumps({"config": config, "id": facts["id"]}))
    _assemble(others, trainer, environment)
    yield
    with suppress(RuntimeError):  # all is computed, whoever is lost now
        trainer.strategy.barrier()
    _part()
    others.end_well()


def _assemble(others: Others, trainer: pl.Trainer, environment: Environment) -> None:
    """Wait until all processes are ready, and begin their process group."""
    store = part_for_run(environment, _begun)
    store.add(_READY, 1)

    def all_are_there() -> bool:
        if others.lost:
            raise distributed.DistError("a process was lost")
        return bool(store.add(_READY, 0) >= trainer.world_size)

    wait_until(all_are_there, "another process of the run")
    join(trainer.strategy, environment, store)


class Others:
    """The other processes of a run that nobody but this first one starts. They are told what it trains.

    Args:
        folder: the run's folder; what they say goes to its log.txt.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.world = folder, 1
        self.processes: list[subprocess.Popen[bytes]] = []
        self.lost: list[tuple[int, int]] = []  # rank and exit code, in the order in which they ended
        self._over = threading.Event()
        self._said_before = 0
        self._store: Any = None

    def start(self, world: int) -> int:
        """Start them, if so many are not there, and give the port where they meet this one."""
        if self._store is not None and self.world == world:
            return int(self._store.port)
        assert self._store is None, (self.world, world)
        self.world, self._store = world, meeting_point(Environment())
        ours = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": self._store.port, PARENT: os.getpid(), "NODE_RANK": 0}
        ours |= {"WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world, "GROUP_RANK": 0}
        environment = {"TORCH_CPP_LOG_LEVEL": "ERROR"} | dict(os.environ) | {key: str(ours[key]) for key in ours}
        command = [sys.executable, "-m", "snnlab", "train"]
        with (self.folder / "log.txt").open("ab") as words:
            self._said_before = words.tell()
            for rank in range(1, world):
                own = environment | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
                process = subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=words, stderr=words)
                self.processes.append(process)
                threading.Thread(target=self._watch, args=(rank, process), daemon=True).start()
        return int(self._store.port)

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        """Note how a process ends. If it was lost, and this one waits for it for ever, end this one."""
        code = process.wait()
        if code == 0:
            return
        self.lost.append((rank, code))
        if not self._over.wait(GRACE):
            log.error("%s", self._sentence())
            print(f"snnlab: {self._sentence()}", file=sys.stderr, flush=True)
            self._kill()
            os._exit(1)

    def end_well(self) -> None:
        """They have nothing more to do, and are left to end; if this one ends before them, they end with it."""
        self._over.set()

    def end_by(self, error: BaseException) -> BaseException:
        """Let none go on after `error` here, and tell what is to be raised: perhaps it is but that one was lost."""
        self._over.set()
        broken = (self.processes or place().launcher) and of_connection(error)
        if not broken:
            _part()
            self._wait(1.0)  # they write nothing of their own: those that are not through with leaving may be killed
            self._kill()
            return error
        self._until_lost()
        lost = list(self.lost)
        self._kill()
        if not lost:
            return FailedRun(f"another process of the run is gone; see {self.folder / 'log.txt'}. {self._to_go_on}")
        code = lost[0][1]
        number = -code if code < 0 else code - 128
        return Interrupted(number, self._sentence()) if number in HEARD else FailedRun(self._sentence())

    def _until_lost(self) -> None:
        """A connection breaks a moment before its process can be seen to be gone."""
        until = time.monotonic() + 3.0
        while self.processes and not self.lost and time.monotonic() < until:
            time.sleep(0.02)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))

    def _kill(self) -> None:
        for process in self.processes:
            if process.poll() is None:  # one that waits for the others hears nothing else
                process.kill()
        for process in self.processes:
            process.wait()

    def _sentence(self) -> str:
        rank, code = self.lost[0]
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return f"process {rank} of {self.world} {how}, and the others with it. {self._reason()}{self._to_go_on}"

    @property
    def _to_go_on(self) -> str:
        return f"To go on: snnlab train resume={self.folder}"

    def _reason(self) -> str:
        """What a process said when it failed: the first such line, or the last one of a traceback."""
        with (self.folder / "log.txt").open("rb") as words:
            words.seek(self._said_before)
            lines = words.read(1_000_000).decode("utf-8", "replace").splitlines()
        said = [line.removeprefix("snnlab: ") for line in lines if line.startswith("snnlab: ")]
        said += [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))][-1:]
        return f"It said: {said[0]} " if said else ""


def _sure_of(trainer: Mapping[str, Any]) -> int:
    """How many processes the Trainer's options mean; 1 where only Lightning knows."""
    if FORKS.search(str(trainer.get("strategy", "auto"))) or trainer.get("num_nodes", 1) != 1:
        return 1
    devices = number_of(trainer.get("devices", 1))
    return devices if isinstance(devices, int) else 1


def _part() -> None:
    """End the process group: left to the interpreter's exit, one of the processes may abort."""
    if distributed.is_initialized():
        with suppress(RuntimeError):
            distributed.destroy_process_group()


def of_connection(error: BaseException) -> bool:
    """Whether it is but the loss of another process."""
    if isinstance(error, torch.distributed.DistError):
        return True
    return isinstance(error, RuntimeError) and any(name in str(error).lower() for name in ("gloo", "nccl"))
