"""Synapses: the weights between layers, and those of a layer back to itself."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.options import FromRun, Part, PositiveInt
from snnlab.parts import Declared
from snnlab.registry import register


class Synapse(Declared, nn.Module):
    """Weights: outputs of a layer (…, inputs) to currents (…, units) of the next.

    A synapse declares its options and writes `initialize`, which makes its parameters, and `forward`.

    Args:
        inputs: number of inputs of a unit.
        units: number of units.
        draws: source of the initial values.
    """

    takes: ClassVar[Literal["sequence", "step"]] = "sequence"
    """Whether it is called once for all steps of what comes from below, or in each step for the layer's own outputs."""

    inputs: FromRun[PositiveInt]
    units: FromRun[PositiveInt]
    draws: FromRun[Draws | None] = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.initialize()

    def initialize(self) -> None:
        """Make the parameters."""
        raise NotImplementedError

    def initial(self, name: str, init: Part, shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
        """A parameter with its initial values, from the generator of its name."""
        draws = self.draws or Draws(int(torch.randint(2**31, ())))  # in a notebook: follow torch.manual_seed
        return nn.Parameter(init(shape, fan_in, draws.generator(name)).to(torch.get_default_dtype()))


@register("synapse")
class Dense(Synapse):
    """All-to-all weights from one layer to the next.

    I[t] = W x[t] + b

    Shape: (T, B, *features) with features of `inputs` numbers in all -> (T, B, units).
    Args:
        biased: whether there is a b.
        init: initial values of W.
        bias_init: initial values of b.
    """

    biased: bool = True
    init: Part = "torch_default"
    bias_init: Part = "torch_default"

    def initialize(self) -> None:
        """W (units, inputs) and b (units,)."""
        self.weight = self.initial("weight", self.init, (self.units, self.inputs), self.inputs)
        self.bias = self.initial("bias", self.bias_init, (self.units,), self.inputs) if self.biased else None

    def forward(self, x: Tensor) -> Tensor:
        """Currents of every step at once.

        Raises: WrongOption, where the features are not `inputs` in number.
        """
        if x.dim() < 3 or math.prod(x.shape[2:]) != self.inputs:
            raise WrongOption(
                f"dense: inputs of shape {tuple(x.shape)}. It takes (T, B, *features), {self.inputs} features in all."
            )
        steps = x.shape[0]
        if x.stride(0) == 0:  # a constant input is a view of one step: the product is made once, and seen at every step
            x = x[:1]
        currents = nn.functional.linear(x.flatten(2) if x.dim() > 3 else x, self.weight, self.bias)
        return currents.expand(steps, -1, -1)


@register("synapse")
class Recurrent(Synapse):
    """Weights of a layer back to itself, without bias.

    I[t] += V output[t-1]

    Shape: (B, units) -> (B, units), once a step.
    Args:
        init: initial values of V; its gain decides whether tasks that need memory train at all.
        self_connections: whether a unit sees its own output; without, the diagonal of V is held at 0.
    """

    takes: ClassVar[Literal["sequence", "step"]] = "step"

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
