"""Weights that all places of a picture share."""

from __future__ import annotations

from torch import Tensor, nn

from snnlab.options import FromRun, Part, PositiveInt
from snnlab.registry import register
from snnlab.synapses.pictures import PictureSynapse, margin


@register("synapse")
class Conv2d(PictureSynapse):
    """Convolution: each unit sees a window of all channels below, with weights that its whole channel shares.

    I[t, c, i, j] = sum_{d, m, n} W[c, d, m, n] x[t, d, s i + m - p, s j + n - p] + b[c]

    with s the stride, x = 0 outside of the picture, and p = 0 for padding valid, (kernel - 1)/2 for same.

    Shape: (T, B, channels', height, width) -> (T, B, channels, height', width'); a single channel may be left out.
    Args:
        inputs: [channels', height, width] of what comes in.
        channels: number of channels of its units.
        kernel: height and width of the window.
        stride: step of the window, in pixels.
        biased: whether there is a b.
        init: initial values of W.
        bias_init: initial values of b.
    Not: the convolution of mathematics, which turns the kernel around; the steps are not convolved at all.
    Source: LeCun et al. 1998, whose LeNet has no padding; torch.nn.Conv2d.
    """

    channels: FromRun[PositiveInt]
    stride: PositiveInt = 1
    biased: bool = True
    init: Part = "torch_default"
    bias_init: Part = "torch_default"

    def initialize(self) -> None:
        """W (channels, channels', kernel, kernel) and b (channels,)."""
        fan_in = self.inputs[0] * self.kernel**2
        size = (self.channels, self.inputs[0], self.kernel, self.kernel)
        self.weight = self.initial("weight", self.init, size, fan_in)
        self.bias = self.initial("bias", self.bias_init, (self.channels,), fan_in) if self.biased else None

    def slide(self, pictures: Tensor) -> Tensor:
        """Currents of all pictures in one product."""
        around = margin(self.kernel, self.padding)
        return nn.functional.conv2d(pictures, self.weight, self.bias, stride=self.stride, padding=around)
