"""Batches in an order drawn from (seed, epoch), which a run killed in the middle of an epoch resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from snnlab.data.base import Batch, Data, Split
from snnlab.draws import derived_seed
from snnlab.errors import WrongOption


class Order:
    """The order in which an epoch visits the samples. Lightning finds it as the sampler, and tells it the epoch."""

    def __init__(self, samples: int, seed: int, shuffle: bool) -> None:
        self.samples, self.seed, self.shuffle, self.epoch = samples, seed, shuffle, 0

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of each epoch."""
        self.epoch = epoch

    def draw(self) -> Tensor:
        """The sample numbers in this epoch's order, (N,)."""
        if not self.shuffle:
            return torch.arange(self.samples)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        return torch.randperm(self.samples, generator=generator)


class Loader:
    """Cuts the tensors of a split into batches: no worker processes, no copy but the batch, no state but integers.

    An epoch has ceil(N / batch_size) batches, as equal as can be: they differ by one sample at most, so that a small
    rest at the end neither makes a noisy step nor leaves a process without a sample. Each sample comes once per epoch.
    Of every batch, process `rank` gets the samples rank, rank + world, …; the order is the same for any `world`.

    Args:
        split: the samples.
        series: whether they are series, given time-major.
        batch_size: samples of a batch over all processes, at most.
        seed: with the epoch, determines the order. The global generator is not touched.
        shuffle: whether the order is drawn; the order of the split otherwise.
        rank: this process, 0 … world - 1.
        world: number of processes.
        device: where the samples are put, once, and the batches are cut; where they lie by default.
    Raises: WrongOption, when there are no samples, or fewer in a batch than processes.
    Not: a torch DataLoader; Lightning's `overfit_batches` needs shuffle=False here.
    """

    def __init__(
        self,
        split: Split,
        *,
        series: bool,
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
        device: torch.device | str | None = None,
    ) -> None:
        _refuse(split.samples, batch_size, world)
        self.split = split if device is None else split.to(device)
        self.series, self.batch_size, self.rank, self.world = series, batch_size, rank, world
        self.order = Order(split.samples, seed, shuffle)
        self._reached = (0, 0)  # epoch, batches of it given out
        self._resumed: tuple[int, int] | None = None
        if shuffle:  # Lightning takes a loader without a sampler for one in the order of the data
            self.sampler = self.order
            self.batch_sampler = None

    def __len__(self) -> int:  # without a length Lightning fetches a batch ahead, and a saved position would be wrong
        return -(-self.split.samples // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        # A generator: the epoch is read at the first batch, for Lightning makes the iterator before it sets the epoch.
        first = self._first_batch()
        order = self.order.draw().to(self.split.inputs.device)
        samples, count, epoch = self.split.samples, len(self), self.order.epoch
        for number in range(first, count):
            begin, end = samples * number // count, samples * (number + 1) // count
            self._reached = (epoch, number + 1)
            yield self._batch(order[begin + self.rank : end : self.world], end - begin, number)

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass is."""
        self.order.set_epoch(epoch)

    def state_dict(self) -> dict[str, int]:
        """Where the run is: plain integers for a checkpoint, valid for any number of processes."""
        epoch, position = self._reached
        if epoch != self.order.epoch or position == len(self):
            position = 0
        return {
            "epoch": self.order.epoch,
            "position": position,
            "samples": self.split.samples,
            "batch_size": self.batch_size,
            "seed": self.order.seed,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass go on where `state` was taken, if it is of the same epoch; only that pass is shortened.

        Raises: WrongOption, when the batches would not be those of the run that saved it.
        """
        mine = self.state_dict()
        for name in ("samples", "batch_size", "seed"):
            if state["position"] and state[name] != mine[name]:
                raise WrongOption(
                    f"{name}: {mine[name]}. The run that stopped within epoch {state['epoch']} had {state[name]}. "
                    "Resume it with the same, or start a new run."
                )
        self.order.set_epoch(state["epoch"])
        self._reached = self._resumed = (state["epoch"], state["position"])

    def _first_batch(self) -> int:
        resumed, self._resumed = self._resumed, None
        return resumed[1] if resumed and resumed[0] == self.order.epoch else 0

    def _batch(self, index: Tensor, size: int, number: int) -> Batch:
        inputs, mask = self.split.inputs.index_select(0, index), None
        if self.series:
            inputs = inputs.transpose(0, 1).contiguous()  # (T, B, *units)
        if self.split.lengths is not None:
            steps = torch.arange(inputs.shape[0], device=index.device)
            mask = steps[:, None] < self.split.lengths.index_select(0, index)  # (T, B)
        return Batch(inputs, self.split.targets.index_select(0, index), mask, size, number)


def loaders(
    data: Data,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    device: torch.device | str | None = None,
    shuffle: bool = True,
) -> dict[str, Loader]:
    """The loaders of `train`, shuffled unless told otherwise, and of `val` and `test`, in the order of the data.

    Args: as those of `Loader`.
    """
    return {
        part: Loader(
            split,
            series=data.series,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle and part == "train",
            rank=rank,
            world=world,
            device=device,
        )
        for part, split in data.parts.items()
    }


def _refuse(samples: int, batch_size: int, world: int) -> None:
    if batch_size < 1:
        raise WrongOption(f"batch_size: {batch_size}. It takes a whole number > 0.")
    if samples == 0:
        raise WrongOption("dataset: a part without samples. It takes at least one in each of train, val and test.")
    smallest = samples // -(-samples // batch_size)
    if smallest < world:
        raise WrongOption(
            f"batch_size: {batch_size}. The smallest batch of {samples} samples has {smallest}, for {world} processes. "
            "Each needs a sample of every batch: take larger batches or fewer devices."
        )
