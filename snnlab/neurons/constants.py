"""Constants of neurons: a number or one per unit, fixed, or learned in a form that keeps them in their range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
from annotated_types import Ge, Gt, Lt, Unit
from torch import Tensor, nn

from snnlab.errors import WrongOption
from snnlab.options import Option

if TYPE_CHECKING:
    from snnlab.neurons.base import Neuron

Constant = float | Sequence[float] | Tensor
"""A number, or one per unit (one per channel where units have channels)."""

Positive = Annotated[Constant, Gt(0)]
NonNegative = Annotated[Constant, Ge(0)]
Milliseconds = Annotated[Constant, Gt(0), Unit("ms")]
UnitInterval = Annotated[Constant, Gt(0), Lt(1)]


@dataclass(frozen=True)
class AtLeast:
    """A mark: the constant is never below another option of the neuron, also while it is learned."""

    option: str


def decay(dt: float, tau: Constant) -> Tensor:
    """What is left after one step of an exponential decay: exp(-dt / tau), dt and tau in ms."""
    return torch.exp(-dt / as_tensor(tau))


def as_tensor(value: Constant) -> Tensor:
    """A constant as a tensor; plain numbers in float64, so that nothing is lost before the step's own precision."""
    return value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)


def is_constant(option: Option) -> bool:
    """Whether an option is a constant of the dynamics: a number or one per unit."""
    return Tensor in getattr(option.annotation, "__args__", ()) or _is_union_with_tensor(option.annotation)


def _is_union_with_tensor(annotation: Any) -> bool:
    inner = getattr(annotation, "__origin__", annotation)
    return Tensor in getattr(inner, "__args__", ())


class LearnedForm:
    """A learned constant as an unbounded parameter and back.

    range (l, inf): value = l + exp(raw);   range (-inf, u): value = u - exp(raw)
    range (l, u): value = l + (u - l) sigmoid(raw);   no range: value = raw

    raw acts as if it lay within -40 … 40, and a value that rounds to the end of its range is the next number inside,
    so that no step of an optimizer, however large, leads out of the range or to a gradient that is not a number.
    """

    FARTHEST = 40.0  # exp(±40) and the square of its inverse, which gradients of 1/tau hold, are numbers in float32

    def __init__(self, neuron: Neuron, option: Option) -> None:
        marks = option.marks
        others = [float(getattr(neuron, mark.option)) for mark in marks if isinstance(mark, AtLeast)]
        lower, upper = (
            [getattr(mark, side, None) for mark in marks for side in sides] for sides in (("gt", "ge"), ("lt", "le"))
        )
        self.lower = max([float(edge) for edge in lower if edge is not None] + others, default=None)
        self.upper = min([float(edge) for edge in upper if edge is not None], default=None)

    def raw(self, value: Tensor, where: str) -> Tensor:
        """The parameter that stands for `value`.

        Raises: WrongOption, where the value lies on the edge of its range, from which no gradient leads away.
        """
        if self.lower is not None and self.upper is not None:
            raw = torch.logit((value - self.lower) / (self.upper - self.lower))
        elif self.lower is not None:
            raw = (value - self.lower).log()
        else:
            raw = value if self.upper is None else (self.upper - value).log()
        if not bool(torch.isfinite(raw).all()):
            edges = [f"{sign} {edge:g}" for sign, edge in ((">", self.lower), ("<", self.upper)) if edge is not None]
            inside = f"it must lie inside its range, not on the edge: {' and '.join(edges)}."
            raise WrongOption(f"{where}: {value.tolist()}. To be learned {inside}")
        return raw

    def value(self, raw: Tensor) -> Tensor:
        """The constant that the parameter stands for."""
        near = raw.to(torch.promote_types(raw.dtype, torch.float32)).clamp(-self.FARTHEST, self.FARTHEST)
        if self.lower is not None and self.upper is not None:
            value = self.lower + (self.upper - self.lower) * torch.sigmoid(near)
        elif self.lower is not None:
            value = self.lower + near.exp()
        elif self.upper is not None:
            value = self.upper - near.exp()
        else:
            return raw
        least = None if self.lower is None else _next_to(self.lower, math.inf, value.dtype)
        most = None if self.upper is None else _next_to(self.upper, -math.inf, value.dtype)
        return value.clamp(least, most)


def _next_to(edge: float, end: float, dtype: torch.dtype) -> float:
    return torch.nextafter(torch.tensor(edge, dtype=dtype), torch.tensor(end, dtype=dtype)).item()


class ConstantOption:
    """The attribute of a constant option: what was given, or the learned parameter seen through its form."""

    def __init__(self, name: str, default: Any) -> None:
        self.name, self.default = name, default

    def __get__(self, neuron: Neuron | None, kind: type | None = None) -> Any:
        if neuron is None:
            return self
        raw = neuron._parameters.get(f"{self.name}_raw")
        return neuron.__dict__[f"_{self.name}"] if raw is None else neuron.forms[self.name].value(raw)

    def __set__(self, neuron: Neuron, value: Constant) -> None:
        if f"{self.name}_raw" in neuron._parameters:
            raise WrongOption(f"{self.name} is learned: set {self.name}_raw, or build the neuron anew.")
        neuron.__dict__[f"_{self.name}"] = value


def learned(neuron: Neuron, option: Option, value: Constant, where: str) -> nn.Parameter:
    """The parameter of a learned constant: as many numbers as `share` asks for, or as were given.

    Raises: WrongOption, for a value on the edge of its range, and for a sharing that needs unknown units.
    """
    tensor = as_tensor(value).detach().to(torch.get_default_dtype())
    if tensor.dim() == 0 and neuron.share != "layer":
        if neuron.units is None:
            raise WrongOption(
                f"{where}: share is {neuron.share}, and the neuron does not know its units. "
                "Give units, or a list of values."
            )
        shape = neuron.units if neuron.share == "unit" else neuron.units[:1]
        tensor = tensor.expand(shape)
    return nn.Parameter(neuron.forms[option.name].raw(tensor, where).clone())


def spread(value: Tensor, units: Sequence[int], where: str) -> Tensor:
    """A constant in the shape in which it meets a state of shape (B, *units).

    One number: as it is. One per unit: (*units). One per channel, the first axis of several: (C, 1, …).
    Raises: WrongOption, where the numbers of values and units differ.
    """
    if value.dim() == 0 or tuple(value.shape) == tuple(units):
        return value
    if value.dim() == 1 and value.shape[0] in (1, units[0]):
        return value.reshape(-1, *[1] * (len(units) - 1))
    each = "channel" if len(units) > 1 else "unit"
    raise WrongOption(
        f"{where}: {value.numel()} values for units of shape {tuple(units)}. "
        f"It takes one number, or one per {each} ({units[0]})."
    )
