"""One layer as its network wants it, before its parts are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from snnlab.errors import WrongOption
from snnlab.options import nearest

Kind = Literal["dense", "convolution", "pooling"]


@dataclass(frozen=True)
class LayerPlan:
    """What a network decides of a layer; the parts for all layers, and its own, come from the Plan.

    Args:
        kind: dense, or over pictures: a convolution or a pooling. A pooling has neuron `linear`, which hands averages
            or maxima on as they are, unless the layer is given another one.
        units: number of units; of a convolution, of channels; None of a pooling, and of an output layer, whose number
            the data tell.
        kernel: height and width of the window of a convolution or a pooling.
        synapse: what the network decides of its synapse: options, which lie over those of all layers, or another name.
        output: whether it is the last layer, which has the output neuron; a plan adds one where there is none.
        recurrent: whether it has weights back to itself.
        noise: standard deviation of the noise in its currents.
        readout_noise: standard deviation of the noise in what is read out of it.
    Raises: WrongOption, for a kind that does not exist, and for what a layer of its kind lacks or cannot have.
    """

    kind: Kind = "dense"
    units: int | None = None
    kernel: int | None = None
    synapse: Mapping[str, Any] = field(default_factory=dict)
    output: bool = False
    recurrent: bool = False
    noise: float = 0.0
    readout_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            kinds = get_args(Kind)
            raise WrongOption(f"layer: kind {self.kind!r}. It takes {', '.join(kinds)}.{nearest(self.kind, kinds)}")
        if self.kind == "dense":
            if self.kernel is not None:
                raise WrongOption(
                    f"layer: a dense layer with kernel {self.kernel}. It has no window; leave kernel out."
                )
            if self.units is None and not self.output:
                raise WrongOption("layer: a dense layer without units. It takes their number.")
            return
        if not _is_count(self.kernel):
            raise WrongOption(f"layer: a {self.kind} with kernel {self.kernel}. It takes a whole number > 0.")
        if self.kind == "convolution" and not _is_count(self.units):
            raise WrongOption(f"layer: a convolution with units {self.units}. It takes the number of its channels.")
        if self.kind == "pooling" and self.units is not None:
            raise WrongOption(f"layer: a pooling with units {self.units}. It has as many channels as come in.")
        if self.recurrent or self.output:
            what = "the output layer" if self.output else "recurrent weights"
            raise WrongOption(f"layer: {what} of kind {self.kind}. It takes dense.")

    @property
    def text(self) -> str:
        """The layer as papers write it: 15C5, P2, 300."""
        if self.kind == "convolution":
            return f"{self.units}C{self.kernel}"
        if self.kind == "pooling":
            return f"P{self.kernel}"
        return "output" if self.units is None else str(self.units)


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number > 0
