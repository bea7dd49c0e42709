"""Weights of a layer back to itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from snnlab.options import FromRun, Part, PositiveInt
from snnlab.registry import register
from snnlab.synapses.base import Synapse, Takes


@register("synapse")
class Recurrent(Synapse):
    """Weights of a layer back to itself, without bias.

    I[t] += V output[t-1]

    Shape: (B, units) -> (B, units), once a step.
    Args:
        inputs: number of units.
        units: number of units.
        init: initial values of V; its gain decides whether tasks that need memory train at all.
        self_connections: whether a unit sees its own output; without, the diagonal of V is held at 0.
    """

    takes: ClassVar[Takes] = "step"

    inputs: FromRun[PositiveInt]
    units: FromRun[PositiveInt]
    init: Part = "torch_default"
    self_connections: bool = True

    def initialize(self) -> None:
        """V (units, units)."""
        self.weight = self.initial("weight", self.init, (self.units, self.units), self.units)

    def effective_weight(self) -> Tensor:
        """V as it acts, its diagonal 0 where self-connections are off."""
        if self.self_connections:
            return self.weight
        return self.weight - torch.diag(self.weight.diagonal())

    def forward(self, outputs: Tensor) -> Tensor:
        """Currents of one step."""
        return nn.functional.linear(outputs, self.effective_weight())
