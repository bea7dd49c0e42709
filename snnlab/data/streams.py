"""Continuing streams: samples that are pieces of longer series, and the order in which a batch plays them."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

from snnlab.draws import derived_seed
from snnlab.errors import WrongOption


class Lanes:
    """The order in which an epoch visits streams: place b of each batch is a lane, which plays stream after stream.

    The streams are dealt to the lanes longest first, each to the lane that has fewest pieces so far, and the lanes are
    numbered from the longest. So at any time the lanes that have not ended are the first ones: sample b of a batch goes
    on where sample b of the batch before ended, or begins a stream. Batches get smaller when lanes end.

    Which of equally long streams a lane gets, and the order within a lane, are drawn from (seed, epoch); the sizes of
    the batches, and so their number, are the same in every epoch.

    Args:
        streams: the stream of each sample, (N,); the pieces of one lie in their order.
        lanes: samples of a batch, at most; there are no more lanes than streams.
        seed: with the epoch, determines the order.
        shuffle: whether the order is drawn; by the streams' numbers otherwise.
    """

    def __init__(self, streams: Tensor, lanes: int, seed: int, shuffle: bool) -> None:
        self.seed, self.shuffle, self.epoch = seed, shuffle, 0
        number = torch.unique(streams.cpu(), return_inverse=True)[1]  # (N,), 0 … S - 1
        self.begins = places(number) == 0  # (N,), whether a stream begins with the sample
        self.pieces = torch.bincount(number)  # (S,)
        self.samples = number.argsort(stable=True).split(self.pieces.tolist())  # those of each stream
        lanes, longest_first = min(lanes, len(self.pieces)), self.pieces.sort(descending=True).values
        self.lane = _dealt(longest_first.tolist(), lanes)  # (S,), of the longest stream, the second longest, …
        lane = self.lane.repeat_interleave(longest_first).sort().values  # (N,)
        batch = places(lane)  # (N,), with the samples lane after lane
        self.across = (batch * lanes + lane).argsort()  # (N,), batch after batch
        self.bounds: list[int] = [0, *torch.bincount(batch).cumsum(0).tolist()]

    def set_epoch(self, epoch: int) -> None:
        """Called at the start of each epoch."""
        self.epoch = epoch

    def draw(self) -> Tensor:
        """The sample numbers in this epoch's order, (N,): batch `n` has those from bounds[n] to bounds[n + 1]."""
        drawn = torch.arange(len(self.pieces))
        if self.shuffle:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, self.epoch))
            drawn = torch.randperm(len(self.pieces), generator=generator)
        longest_first = drawn[self.pieces[drawn].argsort(descending=True, stable=True)]
        lane = torch.empty_like(self.lane).scatter_(0, longest_first, self.lane)  # (S,), of stream 0, 1, …
        played = drawn[lane[drawn].argsort(stable=True)]  # streams, lane after lane
        return torch.cat([self.samples[stream] for stream in played.tolist()])[self.across]


def places(streams: Tensor) -> Tensor:
    """The place of each sample in its stream, (N,): 0, 1, … in the order in which they lie."""
    order = streams.argsort(stable=True)
    pieces = torch.unique_consecutive(streams[order], return_counts=True)[1]
    first = (pieces.cumsum(0) - pieces).repeat_interleave(pieces)
    return torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device) - first)


def check_streams(where: str, streams: Tensor, lengths: Tensor | None, steps: int) -> None:
    """Refuse streams whose state could not be handed from piece to piece.

    Args:
        where: what errors call the part.
        streams: the stream of each sample.
        lengths: valid steps of each sample, or None.
        steps: T of a series, 0 of still samples.
    Raises: WrongOption.
    """
    if streams.dim() != 1 or streams.dtype != torch.int64:
        raise WrongOption(
            f"{where}: streams {tuple(streams.shape)} of {streams.dtype}. It takes numbers (N,) of int64."
        )
    if steps == 0:
        raise WrongOption(f"{where}: streams of still samples. Pieces of a stream are series, (N, T, *units).")
    if lengths is None or not len(streams):
        return
    last = places(streams.flip(0)).flip(0) == 0
    short = ((lengths < steps) & ~last).nonzero()
    if len(short):
        sample = int(short[0])
        raise WrongOption(
            f"{where}: sample {sample} has {int(lengths[sample])} of {steps} valid steps, and its stream goes on. "
            "Only the last piece of a stream may be shorter: cut streams into equal pieces."
        )


def _dealt(pieces: list[int], lanes: int) -> Tensor:
    """The lane of each stream, longest first, (S,)."""
    loads, dealt = [(0, lane) for lane in range(lanes)], []
    for count in pieces:
        load, lane = heapq.heappop(loads)
        dealt.append(lane)
        heapq.heappush(loads, (load + count, lane))
    number = torch.empty(lanes, dtype=torch.long)
    number[[lane for _, lane in sorted(loads, key=lambda filled: -filled[0])]] = torch.arange(lanes)
    return number[torch.tensor(dealt)]
