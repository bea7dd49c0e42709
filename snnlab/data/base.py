"""What a dataset is to the rest of snnlab: three parts of samples in memory, and the batches cut from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from snnlab.data.streams import check_streams
from snnlab.draws import derived_seed
from snnlab.errors import WrongOption
from snnlab.parts import Declared


class Split(NamedTuple):
    """The samples of one part of a dataset, in memory.

    Shape: inputs (N, *units) of still samples, (N, T, *units) of a series, padded with zeros; targets (N,) class
        numbers, or (N,) or (N, width) floats for regression; lengths (N,) valid steps, None where all are valid;
        streams (N,) the number of the stream that a sample is a piece of, None where samples stand for themselves.
        The pieces of a stream lie in their order, others may lie between them; all but its last have T valid steps.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None
    streams: Tensor | None = None

    @property
    def samples(self) -> int:
        """The number of samples."""
        return self.inputs.shape[0]

    def to(self, device: torch.device | str) -> Split:
        """The same samples on `device`."""
        return Split(*[None if tensor is None else tensor.to(device) for tensor in self])  # type: ignore[arg-type]


class Batch(NamedTuple):
    """The samples of one batch that this process holds.

    Shape: inputs (B, *units) of still samples, time-major (T, B, *units) of a series; targets (B,) or (B, width);
        mask (T, B), True at valid steps, None where all are valid; begins (B,), None where no state is carried: False
        where sample b goes on where sample b of the batch before ended, True where its stream begins.
    Args:
        size: samples of the whole batch, over all processes; B of them are here.
        number: index of the batch in its epoch.
    Not: something from which Lightning can guess B: give `batch_size` to `self.log`.
    """

    inputs: Tensor
    targets: Tensor
    mask: Tensor | None
    size: int
    number: int
    begins: Tensor | None = None

    def to(self, device: torch.device | str, **transfer: Any) -> Batch:
        """The same batch on `device`; Lightning calls it, and so need not look into the tuple."""
        inputs, targets = self.inputs.to(device, **transfer), self.targets.to(device, **transfer)
        mask, begins = [None if flags is None else flags.to(device, **transfer) for flags in (self.mask, self.begins)]
        return Batch(inputs, targets, mask, self.size, self.number, begins)


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset that was loaded: what to learn from, what to choose the best epoch by, what to report.

    Args:
        train: samples to learn from.
        val: samples to choose the best epoch by.
        test: samples to report.
        series: whether a sample is a series of steps; a still one is shown at every step, or encoded.
        classes: their names, by class number; () for regression.
    Raises: WrongOption, when the tensors of a part, or the parts, do not fit together.
    """

    train: Split
    val: Split
    test: Split
    series: bool
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part, split in self.parts.items():
            counts = [tensor.shape[0] for tensor in split if tensor is not None]
            if len(set(counts)) > 1:
                raise WrongOption(
                    f"dataset.{part}: {counts} inputs, targets (, lengths, streams). It takes one of each for a sample."
                )
            targets = split.targets  # one for each step would come as (N, T), and nobody could tell it from (N, width)
            if targets.dim() > (2 if targets.is_floating_point() else 1):
                found = f"dataset.{part}: targets {tuple(targets.shape)}"
                raise WrongOption(f"{found}. It takes class numbers (N,), or floats (N,) or (N, width).")
            if self._units(split) != self.units:
                raise WrongOption(f"dataset.{part}: units {self._units(split)}. It takes those of train, {self.units}.")
            if (split.streams is None) != (self.train.streams is None):
                raise WrongOption(f"dataset.{part}: streams in some parts and not in others. It takes all or none.")
            if split.streams is not None:
                steps = split.inputs.shape[1] if self.series else 0
                check_streams(f"dataset.{part}", split.streams, split.lengths, steps)

    @property
    def parts(self) -> dict[str, Split]:
        """The three parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}

    @property
    def units(self) -> tuple[int, ...]:
        """The shape of the input of one step."""
        return self._units(self.train)

    @property
    def outputs(self) -> int:
        """The number of classes, or the width of the target."""
        targets = self.train.targets
        return len(self.classes) or (targets.shape[1] if targets.dim() > 1 else 1)

    def _units(self, split: Split) -> tuple[int, ...]:
        return tuple(split.inputs.shape[2 if self.series else 1 :])


class Dataset(Declared):
    """A source of samples. A new one declares its options and writes `load`.

    Its parts share no sample, and no stream where samples are pieces of streams. They are drawn by a generator of its
    own, from an option `split_seed` if it has one.
    """

    distinct: ClassVar[bool] = True
    """Whether no two samples are alike; False where the data have duplicates, as drawn trials without noise do."""

    def load(self) -> Data:
        """Read or make the data.

        Raises: BadData, when a file is missing or not what it should be.
        """
        raise NotImplementedError(f"{type(self).__name__}.load: a dataset must write it")


def partition(samples: int, *sizes: int, seed: int) -> tuple[Tensor, ...]:
    """The numbers 0 … samples - 1 dealt at random into disjoint parts: what remains first, then one part for each size.

    Args:
        samples: how many there are.
        sizes: samples of the parts after the first.
        seed: the same seed gives the same parts.
    Raises: WrongOption, when nothing remains for the first part.
    """
    if sum(sizes) >= samples:
        asked = " + ".join(map(str, sizes))
        raise WrongOption(f"dataset: {asked} of {samples} samples set apart. One must remain to train on: take fewer.")
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(derived_seed("split", seed)))
    return torch.split(order, [samples - sum(sizes), *sizes])
