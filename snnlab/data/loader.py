"""Batches in an order drawn from (seed, epoch), which a run killed in the middle of an epoch resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from snnlab.data.base import Batch, Data, Split
from snnlab.data.streams import Lanes
from snnlab.data.workers import made_ahead
from snnlab.draws import derived_seed
from snnlab.errors import BadData, WrongOption


class Order:
    """The order in which an epoch visits the samples. Lightning finds it as the sampler, and tells it the epoch."""

    def __init__(self, samples: int, batches: int, seed: int, shuffle: bool) -> None:
        self.samples, self.seed, self.shuffle, self.epoch = samples, seed, shuffle, 0
        self.bounds = [samples * number // batches for number in range(batches + 1)]

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of each epoch."""
        self.epoch = epoch

    def draw(self) -> Tensor:
        """The sample numbers in this epoch's order, (N,): batch `n` has those from bounds[n] to bounds[n + 1]."""
        if not self.shuffle:
            return torch.arange(self.samples)
        generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
        return torch.randperm(self.samples, generator=generator)


@dataclass(frozen=True, eq=False)
class Cut:
    """What one batch is cut by: the numbers of its samples here, their count over all processes, its number."""

    index: Tensor
    size: int
    number: int


class Cutter:
    """Cuts batches from the tensors of a split, on the device where they lie.

    Args:
        split: the samples.
        series: whether they are series, given time-major.
        begins: whether a stream begins with a sample, (N,), where states are carried; None elsewhere.
    """

    def __init__(self, split: Split, series: bool, begins: Tensor | None) -> None:
        self.split, self.series = split, series
        self.begins = None if begins is None else begins.to(split.inputs.device)

    def __call__(self, cut: Cut) -> Batch:
        """One batch."""
        index, mask = cut.index, None
        inputs = self.split.inputs.index_select(0, index)
        if self.series:
            inputs = inputs.transpose(0, 1).contiguous()  # (T, B, *units)
        if self.split.lengths is not None:
            steps = torch.arange(inputs.shape[0], device=index.device)
            mask = steps[:, None] < self.split.lengths.index_select(0, index)  # (T, B)
        begins = None if self.begins is None else self.begins.index_select(0, index)
        return Batch(inputs, self.split.targets.index_select(0, index), mask, cut.size, cut.number, begins)


class Loader:
    """Cuts the tensors of a split into batches: no copy but the batch, no state but integers.

    An epoch has ceil(N / batch_size) batches, as equal as can be: they differ by one sample at most, so that a small
    rest at the end neither makes a noisy step nor leaves a process without a sample. Each sample comes once per epoch.
    Of every batch, process `rank` gets the samples rank, rank + world, …; the order is the same for any `world`.

    With `carry`, place b of the batches plays one stream after another, piece by piece, and `begins` of a batch tells
    where one begins; batches get smaller towards the end of an epoch. See `Lanes`.

    Args:
        split: the samples.
        series: whether they are series, given time-major.
        batch_size: samples of a batch over all processes, at most.
        seed: with the epoch, determines the order. The global generator is not touched.
        shuffle: whether the order is drawn; the order of the split otherwise.
        rank: this process, 0 … world - 1.
        world: number of processes.
        device: where the batches are given out; where the samples lie by default. Without workers the samples are put
            there, once; workers cut them where they lie, and each batch is moved.
        carry: whether streams are played in order. It takes a split of streams, and one process.
        workers: processes that cut batches ahead: the same ones, sooner. For samples in memory they do not pay.
    Raises: WrongOption, when there are no samples, fewer in a batch than processes, or no streams to carry.
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
        carry: bool = False,
        workers: int = 0,
    ) -> None:
        _refuse(split, batch_size, world, carry)
        self.samples, self.batch_size, self.rank, self.world = split.samples, batch_size, rank, world
        self.device, self.workers = device, workers
        self.order: Order | Lanes = Order(split.samples, -(-split.samples // batch_size), seed, shuffle)
        begins = None
        if carry and split.streams is not None:
            self.order = Lanes(split.streams, batch_size, seed, shuffle)
            begins = self.order.begins
        self.cutter = Cutter(split if device is None or workers else split.to(device), series, begins)
        self._reached = (0, 0)  # epoch, batches of it given out
        self._resumed: tuple[int, int] | None = None
        if shuffle:  # Lightning takes a loader without a sampler for one in the order of the data
            self.sampler = self.order
            self.batch_sampler = None

    def __len__(self) -> int:  # without a length Lightning fetches a batch ahead, and a saved position would be wrong
        return len(self.order.bounds) - 1

    def __iter__(self) -> Iterator[Batch]:
        # A generator: the epoch is read at the first batch, for Lightning makes the iterator before it sets the epoch.
        first = self._first_batch()
        order, epoch = self.order.draw().to(self.cutter.split.inputs.device), self.order.epoch
        edges = list(enumerate(pairwise(self.order.bounds)))[first:]
        cuts = [Cut(order[begin + self.rank : end : self.world], end - begin, number) for number, (begin, end) in edges]
        for batch in made_ahead(self.cutter, cuts, self.workers):
            self._reached = (epoch, batch.number + 1)  # batches that were given out, whatever was cut ahead
            yield batch.to(self.device) if self.workers and self.device is not None else batch

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
            "samples": self.samples,
            "batch_size": self.batch_size,
            "carry": int(self.cutter.begins is not None),
            "seed": self.order.seed,
        }

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next pass go on where `state` was taken, if it is of the same epoch; only that pass is shortened.

        Raises: WrongOption, when the batches would not be those of the run that saved it; BadData, when `state` is no
            place in an epoch.
        """
        mine = self.state_dict()
        if not all(type(state.get(name)) is int and (state[name] >= 0 or name == "seed") for name in mine):
            raise BadData("the checkpoint does not say where in an epoch the run is.")
        for name in ("samples", "batch_size", "carry", "seed"):
            if state["position"] and state[name] != mine[name]:
                raise WrongOption(
                    f"{name}: {mine[name]}. The run that stopped within epoch {state['epoch']} had {state[name]}. "
                    "Resume it with the same, or start a new run."
                )
        if state["position"] >= len(self):
            raise BadData(f"the checkpoint says batch {state['position']} of an epoch of {len(self)}.")
        self.order.set_epoch(state["epoch"])
        self._reached = self._resumed = (state["epoch"], state["position"])

    def _first_batch(self) -> int:
        resumed, self._resumed = self._resumed, None
        return resumed[1] if resumed and resumed[0] == self.order.epoch else 0


def loaders(
    data: Data,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world: int = 1,
    device: torch.device | str | None = None,
    shuffle: bool = True,
    carry: bool = False,
    workers: int = 0,
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
            carry=carry,
            workers=workers,
        )
        for part, split in data.parts.items()
    }


def _refuse(split: Split, batch_size: int, world: int, carry: bool) -> None:
    if batch_size < 1:
        raise WrongOption(f"batch_size: {batch_size}. It takes a whole number > 0.")
    if split.samples == 0:
        raise WrongOption("dataset: a part without samples. It takes at least one in each of train, val and test.")
    if carry and split.streams is None:
        raise WrongOption("state=carry: the samples are no pieces of streams. Use state=reset.")
    if carry and world > 1:
        raise WrongOption(
            f"state=carry: {world} processes. It takes one, which holds the state of all streams: trainer.devices=1."
        )
    smallest = split.samples // -(-split.samples // batch_size)
    if smallest < world:
        raise WrongOption(
            f"batch_size: {batch_size}. The smallest batch of {split.samples} samples has {smallest}, for {world} "
            "processes. Each needs a sample of every batch: take larger batches or fewer devices."
        )
