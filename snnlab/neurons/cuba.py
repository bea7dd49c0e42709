"""The current-based leaky integrate-and-fire neuron."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from torch import Tensor

from snnlab.neurons.base import SpikingNeuron
from snnlab.neurons.constants import Constant, Milliseconds, Positive, decay
from snnlab.registry import register


@register("neuron")
class CUBA(SpikingNeuron):
    """Leaky integrate-and-fire behind a synaptic current that decays: spikes act over time, one step later.

    I[n+1] = alpha I[n] + W S_below[n] + V S[n]     alpha = exp(-dt / tau_syn)
    U[n+1] = beta U[n] + I[n] - theta S[n]          beta  = exp(-dt / tau_mem)
    S[n+1] = Theta(U[n+1] - theta)
    reset zero:  U[n+1] = beta U[n] (1 - S[n]) + I[n];   reset none:  U[n+1] = beta U[n] + I[n]

    A step takes S_below[n] and emits S[n+1]: the printed recurrence exactly, with step n for the printed n + 1. A layer
    sees what the one below emits in the same step, so the train of layer l, from 0, is the printed one shifted by l
    more steps. What enters in the last step of a sequence does not reach the output any more.

    Shape: currents (T, B, *units) -> spikes (T, B, *units).
    Args:
        tau_mem: membrane time constant.
        tau_syn: time constant of the synaptic current.
        threshold: potential at which it fires.
        reset: what a spike does to the potential of the next step: take the threshold off, set it to zero, or nothing.
    Not: scaled by 1 - beta or dt: another dt changes the gain.
    Source: Neftci, Mostafa & Zenke 2019; the sign of R I in the founding text's differential equation is a misprint.
    """

    tau_mem: Milliseconds = 10.0
    tau_syn: Milliseconds = 5.0
    threshold: Positive = 1.0
    reset: Literal["subtract", "zero", "none"] = "subtract"
    delay: ClassVar[int] = 1

    class State(NamedTuple):
        """What is carried from step to step."""

        synaptic: Tensor
        potential: Tensor
        spikes: Tensor

    def constants(self) -> dict[str, Constant]:
        """alpha, beta, theta."""
        return {"alpha": decay(self.dt, self.tau_syn), "beta": decay(self.dt, self.tau_mem), "theta": self.threshold}

    def step(self, current: Tensor, state: State, alpha: Tensor, beta: Tensor, theta: Tensor) -> State:
        """One step."""
        kept = beta * state.potential
        if self.reset == "subtract":
            potential = kept + state.synaptic - theta * self.gate(state.spikes)
        elif self.reset == "zero":
            potential = kept * (1 - self.gate(state.spikes)) + state.synaptic
        else:
            potential = kept + state.synaptic
        return self.State(alpha * state.synaptic + current, potential, self.spike(potential - theta))
