"""Encoders: samples of a dataset to what enters the network at every step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Gt, Lt, Unit
from torch import Tensor

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.options import Fraction, FromRun, PositiveFloat, PositiveInt
from snnlab.parts import Declared
from snnlab.registry import register, snake_case


class Encoder(Declared):
    """Samples to a sequence: still ones (B, *features) or series (T, B, *features), to (T, B, *features).

    An encoder declares its options and what it `takes`, and writes `__call__`; it writes `features` if the shape of a
    step changes. Its random numbers come from the draws alone.
    """

    takes: ClassVar[Literal["still", "series"]]
    """Whether its samples are still, or series that have their own steps."""
    looks_back: ClassVar[bool] = False
    """Whether a step's output depends on the step before, which is missing at the border of a stream's piece."""

    _looked: bool = False

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """What enters the network, (T, B, *features).

        Args:
            inputs: the samples.
            draws: source of random numbers.
        Raises: WrongOption, for a shape, a type or a value that does not fit.
        """
        raise NotImplementedError(f"{type(self).__name__}.__call__: an encoder must write it")

    def features(self, units: Sequence[int]) -> tuple[int, ...]:
        """The shape of a step that it gives, from that of a step, or of a still sample, that it takes."""
        return tuple(units)

    def check(self, inputs: Tensor, low: float | None = None, high: float | None = None, *, gain: float = 1.0) -> None:
        """Refuse inputs of another shape or type, and NaN, infinity and values of gain x outside [low, high].

        On the CPU it looks at the values of every batch; elsewhere at those of the first only, for asking makes the
        device wait.
        Raises: WrongOption, naming the encoder.
        """
        where = snake_case(type(self).__name__)
        axes = ("B", "*features") if self.takes == "still" else ("T", "B", "*features")
        if inputs.dim() < len(axes) or 0 in inputs.shape or not inputs.is_floating_point():
            raise WrongOption(
                f"{where}: {inputs.dtype} of shape {tuple(inputs.shape)}. It takes floats ({', '.join(axes)})."
            )
        if self._looked and inputs.device.type != "cpu":
            return
        least, most = (float(value) for value in (gain * inputs.detach()).aminmax())
        edge = torch.finfo(inputs.dtype).max
        if not ((-edge if low is None else low) <= least and most <= (edge if high is None else high)):
            name = "inputs" if gain == 1 else f"gain {gain:g} times inputs"
            found = "NaN among the inputs" if math.isnan(least) else f"{name} from {least:g} to {most:g}"
            taken = "finite numbers" if low is None else f"numbers from {low:g} to {high:g}: scale the data"
            raise WrongOption(f"{where}: {found}. It takes {taken}.")
        self._looked = True


@register("encoder")
class Constant(Encoder):
    """The same current at every step.

    I[t] = gain x

    Shape: still (B, *features) -> (T, B, *features), a view of one step.
    Args:
        gain: current per unit of the input.
        steps: number of steps T.
    """

    takes: ClassVar[Literal["still", "series"]] = "still"

    gain: PositiveFloat = 1.0
    steps: FromRun[PositiveInt]

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """The currents."""
        self.check(inputs, gain=self.gain)
        return (self.gain * inputs).expand(self.steps, *inputs.shape)


@register("encoder")
class Bernoulli(Encoder):
    """At every step, a spike with a probability that is the input's: a rate code.

    P(S[t] = 1) = gain x,   independent over steps

    Shape: still (B, *features), gain x in [0, 1] -> spikes (T, B, *features).
    Args:
        gain: probability per unit of the input.
        steps: number of steps T.
    Not: a Poisson process: dt has no effect, and there is at most one spike in a step.
    """

    takes: ClassVar[Literal["still", "series"]] = "still"

    gain: PositiveFloat = 1.0
    steps: FromRun[PositiveInt]

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """The spikes."""
        self.check(inputs, 0.0, 1.0, gain=self.gain)
        # In float32 at least: half precision has too few numbers below 1 for a small probability.
        probability = self.gain * inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        uniform = draws.uniform("encoder", (self.steps, *inputs.shape), like=probability, batch=1)
        return (uniform < probability).to(inputs.dtype)


@register("encoder")
class Latency(Encoder):
    """At most one spike of each input: the brighter, the earlier.

    linear:       t = round((1 - x) floor(window T)),  at T - 1 at the latest
    logarithmic:  t = floor(tau/dt ln(x / (x - threshold))),  no spike where that is T or later

    Shape: still (B, *features), values in [0, 1] -> spikes (T, B, *features); t = 0 is the first step.
    Args:
        curve: how the time grows as the input falls.
        threshold: an input of this or less never spikes; by default 0 for linear, 0.2 for logarithmic.
        window: part of the steps that the linear times spread over.
        tau: time constant of the logarithmic times: that of a membrane charged by the input.
        steps: number of steps T.
        dt: length of a step.
    Source: logarithmic: SpyTorch's second tutorial; linear: rounds a half to the even step, as torch does.
    """

    takes: ClassVar[Literal["still", "series"]] = "still"

    curve: Literal["linear", "logarithmic"] = "linear"
    threshold: Annotated[float, Ge(0), Lt(1)] | None = None
    window: Fraction = 2 / 3
    tau: Annotated[float, Gt(0), Unit("ms")] = 20.0
    steps: FromRun[PositiveInt]
    dt: FromRun[Annotated[float, Gt(0), Unit("ms")]] = 1.0

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        if self.curve == "logarithmic" and self.threshold == 0:
            raise WrongOption(
                "latency.threshold: 0. With curve=logarithmic it takes a number > 0, or all spike in the first step."
            )

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """The spikes."""
        self.check(inputs, 0.0, 1.0)
        x = inputs.to(torch.promote_types(inputs.dtype, torch.float32))
        default = 0.0 if self.curve == "linear" else 0.2
        threshold = default if self.threshold is None else self.threshold
        if self.curve == "linear":
            latest = int(self.window * self.steps + 1e-9)  # .29 of 100 steps is 28.999999999999996 in floats
            times = ((1 - x) * latest).round().clamp(max=self.steps - 1)
        else:
            times = (self.tau / self.dt * torch.log(x / (x - threshold))).floor()
        times = torch.where(x > threshold, times, -1)  # (B, *features)
        steps = torch.arange(self.steps, device=x.device).reshape(-1, *[1] * x.dim())
        return (times == steps).to(inputs.dtype)


@register("encoder")
class Delta(Encoder):
    """Spikes where a series changes: by `threshold` or more from one step to the next.

    on[t] = 1 where x[t] - x[t-1] >= threshold,   off[t] = 1 where x[t-1] - x[t] >= threshold,   nothing at the first t
    channels: on and off side by side in the last axis;   signed: on - off;   ignored: on alone

    Shape: series (T, B, …, features) -> (T, B, …, features), twice the features for channels.
    Args:
        threshold: smallest change that makes a spike, in units of the input.
        off: what becomes of changes downwards.
    Not: a level-crossing code: changes below the threshold do not add up. The padding of a short sample may begin with
        a spike; that step is invalid.
    Source: snnTorch's spikegen.delta, with padding, is `signed` or `ignored`.
    """

    takes: ClassVar[Literal["still", "series"]] = "series"
    looks_back: ClassVar[bool] = True

    threshold: PositiveFloat = 0.1
    off: Literal["channels", "signed", "ignored"] = "channels"

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """The spikes."""
        self.check(inputs)
        change = inputs.diff(dim=0, prepend=inputs[:1])
        on, off = (change >= self.threshold).to(inputs.dtype), (change <= -self.threshold).to(inputs.dtype)
        if self.off == "channels":
            return torch.cat([on, off], dim=-1)
        return on - off if self.off == "signed" else on

    def features(self, units: Sequence[int]) -> tuple[int, ...]:
        """The shape of a step: twice as long in the last axis for channels."""
        return (*units[:-1], 2 * units[-1]) if self.off == "channels" else tuple(units)


@register("encoder")
class Identity(Encoder):
    """A series as it is: its values are the currents.

    I[t] = x[t]

    Shape: series (T, B, *features) -> (T, B, *features).
    """

    takes: ClassVar[Literal["still", "series"]] = "series"

    def __call__(self, inputs: Tensor, draws: Draws) -> Tensor:
        """The series."""
        self.check(inputs)
        return inputs
