"""One batch after the network ran over it: what losses, readouts and regularizers look at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from snnlab.data.base import Batch
from snnlab.networks import Result


class Outcome(NamedTuple):
    """A batch and what the network made of it.

    Args:
        result: the network's Result; the potentials of its last layer are recorded where somebody needs them.
        batch: the samples.
        spiking: the names of the layers that fire.
    """

    result: Result
    batch: Batch
    spiking: tuple[str, ...]

    @property
    def mask(self) -> Tensor | None:
        """(T, B), True at valid steps, or None."""
        return self.batch.mask

    def field(self, name: str) -> Tensor:
        """The spikes or the potential of the last layer, (T, B, units)."""
        last = self.result.layers[list(self.result.layers)[-1]]
        return last.outputs if name == "spikes" else last.records[name]

    def spikes(self, name: str) -> Tensor:
        """The spikes of a layer that fires, (T, B, units), without what noise adds to its readout."""
        sequence = self.result.layers[name]
        return sequence.records.get("spikes", sequence.outputs)

    def hidden(self) -> list[Tensor]:
        """The spikes of the hidden layers that fire, (T, B, units) each; of the only layer where there is one."""
        last = list(self.result.layers)[-1]
        names = [name for name in self.spiking if name != last] if len(self.result.layers) > 1 else self.spiking
        return [self.spikes(name) for name in names]

    def valid_steps(self) -> Tensor | int:
        """Samples times valid steps."""
        steps, samples = self.result.outputs.shape[:2]
        return steps * samples if self.mask is None else self.mask.sum()

    def spike_counts(self) -> dict[str, Tensor]:
        """Spikes of each unit of the layers that fire, over all samples and valid steps, (units,)."""
        return {name: _sum_over_valid(self.spikes(name).detach(), self.mask) for name in self.spiking}


def _sum_over_valid(outputs: Tensor, mask: Tensor | None) -> Tensor:
    if mask is not None:
        outputs = outputs * mask.reshape(*mask.shape, *[1] * (outputs.dim() - 2))
    return outputs.sum((0, 1), dtype=torch.float32).flatten()
