"""One layer as its network wants it, before its parts are chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class LayerPlan:
    """What a network decides of a layer; the parts for all layers, and its own, come from the Plan.

    Args:
        kind: dense, or over pictures: a convolution or a pooling. A pooling has neuron `linear`, which hands averages
            or maxima on as they are, unless the layer is given another one.
        units: number of units; of a convolution, of channels; None where the data tell it, and of a pooling.
        kernel: height and width of the window of a convolution or a pooling.
        synapse: options of its synapse that the network decides.
        output: whether it is the last layer, which has the output neuron.
        recurrent: whether it has weights back to itself.
        noise: standard deviation of the noise in its currents.
        readout_noise: standard deviation of the noise in what is read out of it.
    """

    kind: Literal["dense", "convolution", "pooling"] = "dense"
    units: int | None = None
    kernel: int | None = None
    synapse: Mapping[str, Any] = field(default_factory=dict)
    output: bool = False
    recurrent: bool = False
    noise: float = 0.0
    readout_noise: float = 0.0

    @property
    def text(self) -> str:
        """The layer as papers write it: 15C5, P2, 300."""
        if self.kind == "convolution":
            return f"{self.units}C{self.kernel}"
        return f"P{self.kernel}" if self.kind == "pooling" else str(self.units)
