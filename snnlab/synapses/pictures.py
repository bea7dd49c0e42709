"""The contract of synapses from pictures to pictures: a window that slides over rows and columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.options import FromRun, PositiveInt, options
from snnlab.registry import snake_case
from snnlab.synapses.base import Synapse, Takes, different_steps


class PictureSynapse(Synapse):
    """A window that slides over pictures: each place that it stands at is a unit of each channel.

    height' = floor((height + 2 p - kernel) / stride) + 1, the width alike;   padding valid: p = 0, same: (kernel - 1)/2

    A synapse of this kind writes `slide`, and `initialize` as every synapse. Its `units` [channels, height', width']
    follow from its options; it has as many channels as its inputs, unless it declares `channels`.

    Args:
        inputs: [channels, height, width] of what comes in.
        kernel: height and width of the window.
        stride: step of the window, in pixels; null for as many as the kernel has.
        padding: whether the window stays inside of the picture (valid), or the picture gets as many rows and columns
            around it as keep its size where the stride is 1 (same; the kernel must be odd): zeros in a weighted sum or
            an average, nothing in a maximum.
    Raises: WrongOption, where the window does not fit into the pictures.
    """

    takes: ClassVar[Takes] = "pictures"

    inputs: FromRun[list[PositiveInt]]
    kernel: FromRun[PositiveInt]
    stride: PositiveInt | None = 1
    padding: Literal["valid", "same"] = "valid"

    def check(self) -> None:
        """Refuse a window that does not fit."""
        self.shape(self._given())

    @property
    def units(self) -> list[int]:
        """[channels, height, width] of the currents."""
        return self.shape(self._given())

    @classmethod
    def shape(cls, given: Mapping[str, Any]) -> list[int]:
        """The units that follow from options, all given by name, before a weight is made.

        Raises: WrongOption, where none follow.
        """
        where, inputs, kernel = snake_case(cls.__name__), list(given["inputs"]), given["kernel"]
        if len(inputs) != 3:
            raise WrongOption(f"{where}.inputs: {inputs}. It takes pictures: [channels, height, width].")
        if given["padding"] == "same" and kernel % 2 == 0:
            raise WrongOption(f"{where}.padding: same. With an even kernel ({kernel}) it takes valid.")
        around = 2 * margin(kernel, given["padding"])
        if min(inputs[1:]) + around < kernel:
            raise WrongOption(
                f"{where}: a window of {kernel} x {kernel} on pictures of {inputs[1]} x {inputs[2]}. "
                f"It takes one that fits into them: a smaller one{', or padding=same' if kernel % 2 else ''}."
            )
        stride = given["stride"] or kernel
        return [given.get("channels", inputs[0]), *((size + around - kernel) // stride + 1 for size in inputs[1:])]

    def slide(self, pictures: Tensor) -> Tensor:
        """Currents (N, *units) of pictures (N, *inputs)."""
        raise NotImplementedError(f"{type(self).__name__}.slide: a synapse of pictures must write it")

    def forward(self, x: Tensor) -> Tensor:
        """Currents of every step at once: steps and samples are pictures alike.

        Raises: WrongOption, where x is no (T, B, *inputs); a single channel may be left out.
        """
        if x.dim() < 4 or [*[1] * (5 - x.dim()), *x.shape[2:]] != list(self.inputs):
            takes = f"(T, B, {', '.join(map(str, self.inputs))})"
            raise WrongOption(f"{snake_case(type(self).__name__)}: inputs of shape {tuple(x.shape)}. It takes {takes}.")
        currents = self.slide(different_steps(x).reshape(-1, *self.inputs))
        return currents.reshape(-1, x.shape[1], *currents.shape[1:]).expand(x.shape[0], -1, -1, -1, -1)

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in options(type(self))}


def margin(kernel: int, padding: str) -> int:
    """Rows and columns on each side of the picture."""
    return (kernel - 1) // 2 if padding == "same" else 0
