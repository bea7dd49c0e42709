"""The leaky integrator without spikes."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from torch import Tensor

from snnlab.neurons.base import Neuron
from snnlab.neurons.constants import Constant, Milliseconds, decay
from snnlab.registry import register


@register("neuron")
class LI(Neuron):
    """Leaky integrator: a membrane without threshold, the usual output layer of a classifier.

    U[t] = alpha U[t-1] + I[t],   alpha = exp(-dt / tau)

    Shape: currents (T, B, *units) -> potentials (T, B, *units).
    Args:
        tau: membrane time constant.
    Not: an average: the current is added whole, so that a constant current I ends at I / (1 - alpha).
    Source: the LIF tutorial among the founding texts, without threshold.
    """

    tau: Milliseconds = 20.0
    delay: ClassVar[int] = 0

    class State(NamedTuple):
        """What is carried from step to step."""

        potential: Tensor

    def constants(self) -> dict[str, Constant]:
        """alpha."""
        return {"alpha": decay(self.dt, self.tau)}

    def output(self, state: State) -> Tensor:
        """The potential."""
        return state.potential

    def step(self, current: Tensor, state: State, alpha: Tensor) -> State:
        """One step."""
        return self.State(alpha * state.potential + current)
