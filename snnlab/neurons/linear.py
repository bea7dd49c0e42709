"""The readout without memory."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.neurons.base import Neuron
from snnlab.neurons.constants import Constant
from snnlab.registry import register


@register("neuron")
class Linear(Neuron):
    """No dynamics at all: the output is the current, as in the linear readout of a rate network.

    y[t] = I[t]

    Shape: currents (T, B, *units) -> currents (T, B, *units).
    Not: `li`, which leaks and remembers.
    Source: nn4n's readout, y[t] = W_out (r[t] + xi[t]); the weights are the layer's.
    """

    delay: ClassVar[int] = 0
    clock: ClassVar[Literal["ms", "steps"]] = "steps"

    class State(NamedTuple):
        """What the step leaves; the next one does not look at it."""

        potential: Tensor

    def constants(self) -> dict[str, Constant]:
        """None."""
        return {}

    def check(self) -> None:
        """Refuse a first state that nothing would look at."""
        if self.initial == "learned":
            raise WrongOption(
                "linear.initial: learned. It has no memory, so that a first state has no effect. It takes rest."
            )

    def output(self, state: State) -> Tensor:
        """The current."""
        return state.potential

    def step(self, current: Tensor, state: State) -> State:
        """One step."""
        return self.State(current)
