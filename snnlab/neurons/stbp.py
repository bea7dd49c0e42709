"""Wu et al.'s iterative leaky integrate-and-fire neuron, trained by spatio-temporal backpropagation."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from snnlab.neurons.base import SpikingNeuron
from snnlab.neurons.constants import Constant, Positive, UnitInterval
from snnlab.options import Part
from snnlab.registry import register


@register("neuron")
class STBP(SpikingNeuron):
    """Wu et al.'s iterative LIF: a forget gate keeps a part of the potential, and nearly nothing after a spike.

    u[t] = u[t-1] f(o[t-1]) + x[t] + b,   o[t] = Theta(u[t] - V_th)
    gate paper:  f(o) = tau exp(-o / tau);   gate code:  f(o) = tau (1 - o)

    Shape: currents x + b (T, B, *units) -> spikes (T, B, *units).
    Args:
        tau: part of the potential that is kept in a step without a spike; no time constant.
        threshold: potential at which it fires, V_th.
        forget_gate: the paper's gate, which leaves tau exp(-1/tau) after a spike, or that of the published code,
            which leaves 0.
    Not: a time constant in ms, in spite of its name: dt has no effect.
    Source: Wu et al. 2018, eqs. for the iterative LIF; the gate `code` from the authors' repository (tau 0.2, V_th
        0.5).
    """

    tau: UnitInterval = 0.25
    threshold: Positive = 0.5
    forget_gate: Literal["paper", "code"] = "paper"
    surrogate: Part = "rectangular"
    delay: ClassVar[int] = 0
    clock: ClassVar[Literal["ms", "steps"]] = "steps"

    class State(NamedTuple):
        """What is carried from step to step."""

        potential: Tensor
        spikes: Tensor

    def constants(self) -> dict[str, Constant]:
        """tau, theta."""
        return {"tau": self.tau, "theta": self.threshold}

    def step(self, current: Tensor, state: State, tau: Tensor, theta: Tensor) -> State:
        """One step."""
        fired = self.gate(state.spikes)
        kept = tau * torch.exp(-fired / tau) if self.forget_gate == "paper" else tau * (1 - fired)
        potential = state.potential * kept + current
        return self.State(potential, self.spike(potential - theta))
