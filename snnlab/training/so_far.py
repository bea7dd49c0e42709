"""What a run knows within an epoch and Lightning does not save: sums, learning rates, what was told, time used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from snnlab.training.module import Training


class SoFar:
    """The part of a checkpoint without which a run that goes on would not end with the same numbers.

    Args:
        module: the run's LightningModule.
    """

    def __init__(self, module: Training) -> None:
        self._module = module
        self._states: list[dict[str, Any]] = []  # what each process of the stopped run knew, until `take_up`
        self.val: dict[str, float] = {}
        """The numbers of the epoch's latest validation."""
        self._begun = time.perf_counter()

    @property
    def seconds(self) -> float:
        """How long the run has taken, over all its starts."""
        return time.perf_counter() - self._begun

    def of_all_processes(self) -> list[dict[str, Any]]:
        """What each process knows; all processes must call it."""
        module = self._module
        mine = {
            "sums": module.tallies["train"].state_dict(),
            "carry": module.carries["train"].state_dict(),
            "val": self.val,
            "extras": module.row_extras,
            "lr": module.latest_rates,
            "health": module.health.state_dict(),
            "seconds": self.seconds,
        }
        if module.trainer.world_size == 1:
            return [mine]
        gathered: list[Any] = [None] * module.trainer.world_size
        torch.distributed.all_gather_object(gathered, mine)
        return gathered

    def load(self, states: list[dict[str, Any]]) -> None:
        """Remember what `of_all_processes` gave in the run that goes on."""
        self._states = states
        self._begun -= states[0]["seconds"]

    def take_up(self) -> None:
        """Go on from there, in as many processes as there are now: sums are added up, the rest is the same in all."""
        if not self._states:
            return
        module, first = self._module, self._states[0]
        sums = [state["sums"] for state in self._states[module.global_rank :: module.trainer.world_size]]
        module.tallies["train"].load_state_dict(*sums, device=module.device)
        module.carries["train"].load_state_dict(first["carry"], device=module.device)
        module.health.load_state_dict(first["health"])
        module.latest_rates, module.row_extras, self.val = first["lr"], first["extras"], first["val"]
        # Lightning forgets the numbers of a validation within the epoch; a scheduler asks for them at its end.
        module.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in self.val.items()})
        self._states = []
