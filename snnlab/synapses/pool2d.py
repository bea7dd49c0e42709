"""Pooling: smaller pictures, nothing to learn."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from snnlab.options import PositiveInt
from snnlab.registry import register
from snnlab.synapses.pictures import PictureSynapse, margin


@register("synapse")
class Pool2d(PictureSynapse):
    """Pooling: each unit sees the average, or the maximum, over a window of one channel.

    I[t, c, i, j] = average_{m, n} x[t, c, s i + m, s j + n]   or   max_{m, n}

    with s the stride. Rows and columns that no window reaches are left out.

    Shape: (T, B, channels, height, width) -> (T, B, channels, height', width'); a single channel may be left out.
    Args:
        inputs: [channels, height, width] of what comes in.
        kernel: height and width of the window.
        stride: step of the window, in pixels; null for the kernel, so that windows do not overlap.
        pooling: what is made of a window; the padding is zeros in an average, nothing in a maximum.
    Not: a layer that fires: with neuron `linear` averages are handed on as they are, as in the published code of Wu et
        al. 2018; with a spiking neuron they are its currents.
    Source: torch's avg_pool2d and max_pool2d.
    """

    stride: PositiveInt | None = None
    pooling: Literal["average", "max"] = "average"

    def initialize(self) -> None:
        """Nothing: it has no weights."""

    def slide(self, pictures: Tensor) -> Tensor:
        """Averages or maxima of all pictures."""
        pool = nn.functional.avg_pool2d if self.pooling == "average" else nn.functional.max_pool2d
        currents: Tensor = pool(pictures, self.kernel, self.stride, padding=margin(self.kernel, self.padding))
        return currents
