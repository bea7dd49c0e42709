"""The leaky integrate-and-fire neuron."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from snnlab.neurons.base import SpikingNeuron
from snnlab.neurons.constants import Constant, Milliseconds, Positive, decay
from snnlab.registry import register


@register("neuron")
class LIF(SpikingNeuron):
    """Leaky integrate-and-fire: the membrane leaks, adds up currents, fires at the threshold and is reset.

    U[t] = alpha U[t-1] + I[t] - theta S[t-1],   S[t] = Theta(U[t] - theta),   alpha = exp(-dt / tau)
    reset zero:  U[t] = alpha U[t-1] (1 - S[t-1]) + I[t];   reset none:  U[t] = alpha U[t-1] + I[t]

    Shape: currents (T, B, *units) -> spikes (T, B, *units).
    Args:
        tau: membrane time constant.
        threshold: potential at which it fires.
        reset: what a spike does to the potential of the next step: take the threshold off, set it to zero, or nothing.
    Not: scaled by 1 - alpha: the current is added whole, so that a smaller dt raises the gain.
    Source: the LIF tutorial among the founding texts; Theta(0) = 1 here, where it says "surpasses".
    """

    tau: Milliseconds = 20.0
    threshold: Positive = 1.0
    reset: Literal["subtract", "zero", "none"] = "subtract"
    delay: ClassVar[int] = 0

    class State(NamedTuple):
        """What is carried from step to step."""

        potential: Tensor
        spikes: Tensor

    def constants(self) -> dict[str, Constant]:
        """alpha, theta."""
        return {"alpha": decay(self.dt, self.tau), "theta": self.threshold}

    def step(self, current: Tensor, state: State, alpha: Tensor, theta: Tensor) -> State:
        """One step."""
        kept = alpha * state.potential
        if self.reset == "subtract":
            potential = kept + current - theta * self.gate(state.spikes)
        elif self.reset == "zero":
            potential = kept * (1 - self.gate(state.spikes)) + current
        else:
            potential = kept + current
        return self.State(potential, self.spike(potential - theta))
