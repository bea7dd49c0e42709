"""Several jobs at once on the GPUs of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

from snnlab.errors import WrongOption
from snnlab.options import PositiveInt
from snnlab.registry import register
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers.base import Launcher
from snnlab.sweeps.slots import Slots

VISIBLE = "CUDA_VISIBLE_DEVICES"


@register("launcher")
class Gpus(Launcher):
    """Several jobs at once on the GPUs of this machine: each process sees the GPU of its jobs and no other.

    The processes are used for all jobs, and the cores shared out among them, as with the launcher processes. A job with
    trainer.devices=2 waits until two GPUs have room, and sees both. Small networks leave most of a GPU idle: several
    jobs on each are then faster.

    Args:
        devices: which GPUs, by number as nvidia-smi counts them, or by name (GPU-…, MIG-…); without it all there are.
        jobs_per_gpu: how many jobs at once on each.
    """

    devices: list[int | str] | int | str | None = None
    jobs_per_gpu: PositiveInt = 1

    def launch(self, jobs: Iterator[Job], sweep: Path) -> Generator[Ended]:
        """Train jobs, as many at once as there are places on GPUs.

        Raises: WrongOption, when there is no GPU, or one that may not be used is asked for.
        """
        chosen = self.chosen()
        if not _all():
            print("Note: torch sees no GPU here; jobs train on the CPU.", file=sys.stderr, flush=True)
        return Slots("gpus", chosen * self.jobs_per_gpu, _devices_of).perform(map(_counted, jobs))

    def chosen(self) -> list[str]:
        """The GPUs, as CUDA_VISIBLE_DEVICES takes them.

        Raises: WrongOption.
        """
        given = self.devices if isinstance(self.devices, list) else [] if self.devices is None else [self.devices]
        chosen = [word.strip() for device in given for word in str(device).split(",") if word.strip()]
        if len(set(chosen)) < len(chosen):
            raise WrongOption(f"launcher.devices: {chosen}. Each once; launcher.jobs_per_gpu=2 puts two jobs on each.")
        allowed = _visible()
        if allowed is not None and (others := [device for device in chosen if device not in allowed]):
            there = f"{VISIBLE} of this process names {', '.join(allowed) or 'none'}"
            raise WrongOption(f"launcher.devices: {others[0]}. {there}, and it takes some of these.")
        if not chosen:
            chosen = _all() if allowed is None else allowed
        if not chosen:
            raise WrongOption(
                "hydra/launcher=gpus: there is no GPU that this process can see. hydra/launcher=processes trains "
                "several jobs at once on the CPU."
            )
        return chosen


def _visible() -> list[str] | None:
    """What this process may use, by the environment; None where that says nothing."""
    if VISIBLE not in os.environ:
        return None
    words = [word.strip() for word in os.environ[VISIBLE].split(",")]
    valid = [word for word in words if word and word != "-1"]
    return valid if len(valid) == len(words) else []


def _all() -> list[str]:
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _counted(job: Job) -> Job:
    """A job that names its devices gets as many: what it sees are those of its places, counted from 0."""
    trainer = job.config["trainer"]
    named = isinstance(trainer.get("devices"), list) or "," in str(trainer.get("devices", ""))
    if not named or trainer.get("accelerator") == "cpu":
        return job
    return replace(job, config={**job.config, "trainer": {**trainer, "devices": _devices_of(job)}})


def _devices_of(job: Job) -> int:
    """How many GPUs a job asks for; all that it sees are those that it gets, so that is one."""
    trainer = job.config["trainer"]
    asked = trainer.get("devices")
    if isinstance(asked, str):
        asked = [word for word in asked.split(",") if word.strip()] if "," in asked else asked
    if isinstance(asked, list):
        asked = len(asked)
    several = trainer.get("accelerator") != "cpu" and str(asked).isdecimal()
    return max(1, int(str(asked))) if several else 1
