"""The n-back task: of a stream of symbols, the last n have to be kept in mind."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor
from torch.nn.functional import one_hot

from snnlab.data.base import Data, Dataset, Split
from snnlab.draws import derived_seed
from snnlab.errors import WrongOption
from snnlab.options import PositiveInt
from snnlab.registry import register


@register("dataset", "n_back")
class NBack(Dataset):
    """Streams of symbols, shown one after another; of each is asked whether it is the one that came n before it.

    P(symbol[i] = symbol[i - n]) = 1/2, else one of the others;   P(x[t, s] = 1) = rate where s is shown, else 0

    A sample is one symbol, a piece of its stream; the first n are "other". No piece tells its own answer: without
    state=carry no guess is better than "other", right for half of the samples and n / (2 length) more. No gradient
    reaches back to the symbol that has to be remembered: a network learns to use what its state still holds of it.

    Shape: inputs (N, steps, symbols), 0 or 1; targets (N,), 0 other, 1 same; streams (N,).
    Args:
        n: how far back.
        symbols: how many there are.
        steps: steps that each is shown for.
        rate: probability of a spike of the shown symbol's input in a step; at 1 it is a constant current.
        length: symbols of a stream.
        train: streams to learn from.
        val: streams to choose the best epoch by.
        test: streams to report.
        split_seed: decides which symbols come.
    Raises: WrongOption, when streams are too short for an answer.
    Not: the older n-back, which asks for the symbol itself (Kirchner 1958): without a gradient through the carried
        state a network learns to shut that task's input out, as the symbol shown never helps with its own answer.
    Source: Owen et al. 2005, a review; there, as is usual, fewer than half of the symbols are the same.
    """

    distinct: ClassVar[bool] = False

    n: PositiveInt = 1
    symbols: Annotated[int, Ge(2)] = 4
    steps: PositiveInt = 10
    rate: Annotated[float, Gt(0), Le(1)] = 1.0
    length: PositiveInt = 20
    train: PositiveInt = 128
    val: PositiveInt = 32
    test: PositiveInt = 64
    split_seed: int = 0

    def load(self) -> Data:
        """Draw the streams."""
        if self.length <= self.n:
            raise WrongOption(f"n_back.length: {self.length}. It takes more symbols than n, {self.n}.")
        generator = torch.Generator().manual_seed(derived_seed("n_back", self.split_seed))
        sizes = [self.train, self.val, self.test]
        symbols, same = self._drawn(sum(sizes), generator)
        shown = one_hot(symbols, self.symbols).float()[:, :, None]  # (streams, length, 1, symbols)
        spikes = torch.rand(*symbols.shape, self.steps, 1, generator=generator) < self.rate
        streams = torch.arange(sum(sizes))[:, None].expand_as(symbols)
        pieces = zip(*(torch.split(tensor, sizes) for tensor in (shown * spikes, same, streams)), strict=True)
        train, val, test = (
            Split(inputs.flatten(0, 1), target.flatten().long(), None, stream.flatten())
            for inputs, target, stream in pieces
        )
        return Data(train=train, val=val, test=test, series=True, classes=("other", "same"))

    def _drawn(self, streams: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Symbols, and whether each is the one n before it, (streams, length)."""
        shape = (streams, self.length)
        symbols = torch.randint(self.symbols, shape, generator=generator)
        change = torch.randint(1, self.symbols, shape, generator=generator)
        same = torch.rand(shape, generator=generator) < 0.5
        same[:, : self.n] = False
        for i in range(self.n, self.length):
            symbols[:, i] = (symbols[:, i - self.n] + change[:, i] * ~same[:, i]) % self.symbols
        return symbols, same
