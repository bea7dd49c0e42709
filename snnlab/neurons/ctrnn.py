"""The continuous-time recurrent network's unit: a leaky rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
from annotated_types import Gt, Unit
from torch import Tensor

from snnlab.neurons.base import Neuron
from snnlab.neurons.constants import AtLeast, Constant, as_tensor
from snnlab.registry import register

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "retanh": lambda potential: torch.relu(torch.tanh(potential)),
    "softplus": torch.nn.functional.softplus,
}


@register("neuron")
class CTRNN(Neuron):
    """A rate unit of a continuous-time recurrent network, stepped by Euler's method.

    v[t+1] = (1 - a) v[t] + a (W_rc r[t] + W_in u[t] + b + eps[t]),   r[t] = f(v[t]),   a = dt / tau

    A step takes u[t] and emits r[t+1]. The first recurrent term is r[0] = f(v[0]): 0.5 for a sigmoid, not 0.
    A layer's noise of standard deviation sigma becomes eps = k sigma N(0, 1), with k by `noise_scaling`:
    printed 1;  exact sqrt((2 - a) / a);  song2016 sqrt(2 / a).  The variance of v at rest is then
    a sigma^2 / (2 - a);  sigma^2 at every a;  sigma^2 / (1 - a/2), which is right for small a only.

    Shape: currents W_rc r + W_in u + b (T, B, *units) -> rates (T, B, *units).
    Args:
        tau: time constant; at least dt, also while it is learned, or the step would overshoot.
        activation: f, from potential to rate; retanh is max(0, tanh).
        noise_scaling: how a layer's noise depends on a; the printed equation's effect depends on dt.
    Source: nn4n's documentation; `exact` is derived here, `song2016` is Song, Yang & Wang 2016.
    """

    tau: Annotated[Constant, Gt(0), Unit("ms"), AtLeast("dt")] = 100.0
    activation: Literal["relu", "tanh", "sigmoid", "retanh", "softplus"] = "relu"
    noise_scaling: Literal["printed", "exact", "song2016"] = "printed"
    delay: ClassVar[int] = 0

    class State(NamedTuple):
        """What is carried from step to step."""

        potential: Tensor

    def constants(self) -> dict[str, Constant]:
        """a."""
        return {"a": self.dt / as_tensor(self.tau)}

    def output(self, state: State) -> Tensor:
        """The rate r = f(v)."""
        return _ACTIVATIONS[self.activation](state.potential)

    def noise_gain(self) -> Constant:
        """k of the docstring."""
        a = self.dt / as_tensor(self.tau)
        gains = {"printed": torch.ones_like(a), "exact": ((2 - a) / a).sqrt(), "song2016": (2 / a).sqrt()}
        return gains[self.noise_scaling]

    def step(self, current: Tensor, state: State, a: Tensor) -> State:
        """One step."""
        return self.State((1 - a) * state.potential + a * current)
