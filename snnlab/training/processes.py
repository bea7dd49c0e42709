"""Which process of a run this one is, by what its launcher says, and what it does when its parent dies."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from snnlab.errors import Interrupted, WrongOption

PARENT = "SNNLAB_PARENT"
"""The variable that tells a process of ours who started it."""

RANK_VARIABLES = (
    "LOCAL_RANK",
    "NODE_RANK",
    "RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
    "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS",
    "TORCHELASTIC_RUN_ID",
    PARENT,
)
"""What must not be handed to a process that is a run of its own."""

_ONE_OF_SEVERAL = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}
"""Variables of launchers, and the most that a process on its own may find there."""


class Place(NamedTuple):
    """A process among those of its run.

    Args:
        launcher: who started them: snnlab, torchrun or srun; empty for one that nobody started as one of several.
        rank: its number, 0 … world - 1.
        world: how many there are.
        local_rank: its number on its machine.
        local_world: how many there are on each machine.
        node: the machine's number.
        nodes: how many machines there are.
        start: what the launcher calls this start, the same for all and after a requeue; empty where it does not say.
    """

    launcher: Literal["", "snnlab", "torchrun", "srun"] = ""
    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1
    node: int = 0
    nodes: int = 1
    start: str = ""


def place() -> Place:
    """The place of this process.

    Raises: WrongOption, where a launcher started more processes on one machine than on another, or an unknown one
        started several.
    """
    if PARENT in os.environ and "RANK" in os.environ:
        rank, world, local_rank, local = _numbers("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
        return Place("snnlab", rank, world, local_rank, local)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        rank, world, local_rank, local, node = _numbers(
            "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK"
        )
        name = os.environ["TORCHELASTIC_RUN_ID"]
        start = "" if name == "none" else f"torchrun_{re.sub(r'[^A-Za-z0-9._-]', '_', name)}"
        nodes = int(os.environ.get("GROUP_WORLD_SIZE", world // local))
        return _even(Place("torchrun", rank, world, local_rank, local, node, nodes, start))
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:  # srun alone sets it; a batch script has no step
        rank, world, local_rank, node = _numbers(
            "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NODEID"
        )
        nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
        return _even(Place("srun", rank, world, local_rank, world // nodes, node, nodes, _step()))
    if multiprocessing.parent_process() is not None:  # with strategy=ddp_fork or ddp_spawn, Lightning says this much
        return Place(rank=int(os.environ.get("LOCAL_RANK", "0")), start=_step())
    _refuse_unknown_launcher()
    return Place(start=_step())


def _refuse_unknown_launcher() -> None:
    said = {name: os.environ[name] for name in _ONE_OF_SEVERAL if name in os.environ}
    if all(number.isdecimal() and int(number) <= _ONE_OF_SEVERAL[name] for name, number in said.items()):
        return
    words, without = (
        " ".join(f"{name}={number}" for name, number in said.items()),
        " ".join(f"-u {name}" for name in said),
    )
    raise WrongOption(
        f"{words}: variables of a launcher, and neither torchrun nor srun started this process. Start several "
        f"processes with one of them, or one with `env {without}` before the command."
    )


def _step() -> str:
    """What Slurm calls this job step, also after a requeue; empty outside of one, and where somebody types in it."""
    job, step = os.environ.get("SLURM_JOB_ID"), os.environ.get("SLURM_STEP_ID")
    return f"slurm_{job}.{step}" if job and step and "SLURM_PTY_PORT" not in os.environ else ""


def is_main_process() -> bool:
    """Whether this is the first process of the run, on the first machine.

    Raises: what `place` raises.
    """
    return place().rank == 0


def devices_as_launched(trainer: Mapping[str, Any], words: Mapping[str, Any], here: Place) -> dict[str, Any]:
    """The Trainer's options for the processes that torchrun or srun started.

    Args:
        trainer: the options.
        words: what the command line says, which may not contradict; a preset's devices give way.
        here: this process.
    Raises: WrongOption, when the command line asks for another number of processes.
    """
    refuse_machines(trainer, here)
    if not here.launcher:
        return dict(trainer)
    for name, there_are in (("devices", here.local_world), ("num_nodes", here.nodes)):
        asked = words.get(f"trainer.{name}")
        if asked not in (None, "auto", -1) and number_of(asked) != there_are:
            each = "on each machine" if name == "devices" else "machines"
            raise WrongOption(
                f"trainer.{name}: {asked}, and {here.launcher} started {there_are} {each}. Leave it out: it is what "
                f"{here.launcher} started."
            )
    return {**trainer, "devices": here.local_world, "num_nodes": here.nodes}


def refuse_machines(trainer: Mapping[str, Any], here: Place) -> None:
    """Refuse several machines where nobody has started processes there.

    Raises: WrongOption.
    """
    nodes = trainer.get("num_nodes", 1)
    if not here.launcher and nodes != 1:
        raise WrongOption(
            f"trainer.num_nodes: {nodes}. On several machines srun or torchrun starts the processes: put "
            "`torchrun --nnodes=… -m` before `snnlab train`, or submit it to Slurm."
        )


def number_of(devices: Any) -> Any:
    """How many devices `2`, `"2"`, `[0, 3]` or `"0,3"` are."""
    if isinstance(devices, str):
        listed = [word for word in devices.split(",") if word.strip()]
        return len(listed) if "," in devices else int(devices) if devices.isdecimal() else devices
    return len(devices) if isinstance(devices, list | tuple) else devices


def end_with_parent() -> None:
    """Let this process be sent SIGTERM when the one that started it ends, however that ends. Linux only.

    Raises: Interrupted, when it has ended already.
    """
    parent = os.environ.get(PARENT, "")
    if parent.isdecimal() and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG
        if os.getppid() != int(parent):
            raise Interrupted(signal.SIGTERM)


def without_ranks(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that is a run of its own, and ends with this one."""
    kept = {key: value for key, value in environment.items() if key not in RANK_VARIABLES}
    return kept | {PARENT: str(os.getpid())}


def _numbers(*names: str) -> list[int]:
    return [int(os.environ[name]) for name in names]


def _even(found: Place) -> Place:
    if found.local_world * found.nodes != found.world:
        raise WrongOption(
            f"{found.launcher}: {found.world} processes on {found.nodes} machines, {found.local_world} on this one. "
            "It takes the same number on each."
        )
    return found
