"""The contract of synapses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from snnlab.draws import Draws
from snnlab.options import FromRun, Part
from snnlab.parts import Declared

Takes = Literal["sequence", "step", "pictures"]


class Synapse(Declared, nn.Module):
    """Weights: outputs of a layer to currents of the next, or of the layer itself.

    A synapse declares its options and what it `takes`, and writes `initialize`, which makes its parameters, and
    `forward`; it may write `check`. The run tells it what it declares of these: `inputs` and `units`, both numbers; or,
    where it takes pictures, `inputs` [channels, height, width], `channels` and `kernel`, from which its units follow:
    see PictureSynapse.

    Args:
        inputs: what it is connected from: the number of inputs, or [channels, height, width].
        units: number of units.
        draws: source of the initial values.
    """

    takes: ClassVar[Takes] = "sequence"
    """What it is called with, and so where in a network it can stand: the features of all steps (T, B, *features), the
    layer's own outputs (B, units) in each step, or pictures (T, B, channels, height, width). What takes pictures is a
    PictureSynapse, whose units a network can tell before it is built."""

    draws: FromRun[Draws | None] = None

    if TYPE_CHECKING:  # each synapse declares them, as numbers or as shapes; units may follow from other options

        @property
        def inputs(self) -> int | list[int]:
            """The number of inputs, or their shape [channels, height, width]."""

        @property
        def units(self) -> int | list[int]:
            """The number of units, or their shape [channels, height, width]."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.check()
        self.initialize()

    def check(self) -> None:
        """Refuse options that do not go together, by WrongOption."""

    def initialize(self) -> None:
        """Make the parameters."""
        raise NotImplementedError

    def initial(self, name: str, init: Part, shape: tuple[int, ...], fan_in: int) -> nn.Parameter:
        """A parameter with its initial values, from the generator of its name."""
        draws = self.draws or Draws(int(torch.randint(2**31, ())))  # in a notebook: follow torch.manual_seed
        return nn.Parameter(init(shape, fan_in, draws.generator(name)).to(torch.get_default_dtype()))


def different_steps(x: Tensor) -> Tensor:
    """x (T, …), or its first step alone where all steps are views of it: what is constant is multiplied once."""
    return x[:1] if x.stride(0) == 0 else x
