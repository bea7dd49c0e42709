"""Continuing streams: the order in which batches play them, and what is refused."""

from __future__ import annotations

import itertools

import pytest
import torch

from snnlab.data import Data, Loader, Split
from snnlab.errors import WrongOption

PIECES = [3, 1, 4, 1, 5, 2, 6, 5, 3, 5]  # of streams 0, 1, …


def mixed_split():
    """Samples whose targets are their numbers, of streams whose pieces lie among one another."""
    streams = torch.tensor([stream for stream, pieces in enumerate(PIECES) for _ in range(pieces)])
    streams = streams[torch.randperm(len(streams), generator=torch.Generator().manual_seed(0))]
    numbers = torch.arange(len(streams))
    return Split(numbers[:, None, None].expand(-1, 2, 3).float(), numbers, None, streams)


def loader(split=None, **changes):
    options = {"series": True, "batch_size": 4, "seed": 3, "shuffle": True, "carry": True}
    return Loader(split or mixed_split(), **(options | changes))


def played(batches):
    return [batch.targets.tolist() for batch in batches]


def piece_before(split, sample):
    """The sample that a sample goes on from, None for the first of its stream."""
    earlier = [other for other in range(sample) if split.streams[other] == split.streams[sample]]
    return earlier[-1] if earlier else None


EVERY_WAY = pytest.mark.parametrize(
    ("batch_size", "shuffle", "epoch"), [*itertools.product([1, 3, 4, 10, 64], [True, False], [0, 1, 7])]
)


@EVERY_WAY
def test_an_epoch_plays_every_piece_once(batch_size, shuffle, epoch):
    batches = loader(batch_size=batch_size, shuffle=shuffle)
    batches.set_epoch(epoch)
    assert sorted(itertools.chain(*played(batches))) == list(range(sum(PIECES)))


@EVERY_WAY
def test_a_place_of_the_batch_goes_on_with_its_stream_or_begins_another(batch_size, shuffle, epoch):
    split = mixed_split()
    batches = loader(split, batch_size=batch_size, shuffle=shuffle)
    batches.set_epoch(epoch)
    before: list[int | None] = []
    for batch in batches:
        for place, (sample, begins) in enumerate(zip(batch.targets.tolist(), batch.begins.tolist(), strict=True)):
            follows = piece_before(split, sample)
            assert begins == (follows is None)
            assert begins or before[place] == follows
        before = batch.targets.tolist()


@EVERY_WAY
def test_batches_have_the_same_sizes_in_every_epoch_and_never_grow(batch_size, shuffle, epoch):
    batches = loader(batch_size=batch_size, shuffle=shuffle)
    wanted = [len(batch) for batch in played(batches)]
    batches.set_epoch(epoch)
    given = list(batches)
    assert [len(batch.targets) for batch in given] == [batch.size for batch in given] == wanted
    assert wanted == sorted(wanted, reverse=True)
    assert wanted[0] == min(batch_size, len(PIECES))
    assert len(batches) == len(wanted)


@pytest.mark.parametrize(("lanes", "batches"), [(1, 35), (2, 18), (3, 12), (4, 9), (5, 8), (6, 6), (7, 6)])
def test_lanes_are_about_as_long(lanes, batches):
    # 35 pieces, the longest stream of 6: no order needs fewer batches, but for 5 lanes, where 7 would do.
    assert len(loader(batch_size=lanes)) == batches


def test_each_epoch_has_an_order_of_its_own():
    batches, orders = loader(), []
    for epoch in range(3):
        batches.set_epoch(epoch)
        orders.append(played(batches))
    assert all(one != other for one, other in itertools.combinations(orders, 2))


def test_seed_and_epoch_alone_determine_the_order():
    torch.manual_seed(0)
    one = played(loader())
    torch.manual_seed(1)
    assert played(loader()) == one
    assert played(loader(seed=4)) != one


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    list(loader())
    assert torch.equal(torch.get_rng_state(), before)


def test_without_shuffling_streams_come_by_their_numbers():
    numbers = torch.arange(12)
    split = Split(torch.zeros(12, 2, 1), numbers, None, numbers % 4)  # 0 4 8 | 1 5 9 | 2 6 10 | 3 7 11
    batches = loader(split, batch_size=2, shuffle=False)
    assert played(batches) == [[0, 1], [4, 5], [8, 9], [2, 3], [6, 7], [10, 11]]


@pytest.mark.parametrize("cut", range(8))
def test_a_resumed_epoch_goes_on_with_the_same_batches(cut):
    whole, resumed = loader(), loader()
    for batches in (whole, resumed):
        batches.set_epoch(2)
    given = list(itertools.islice(whole, cut + 1))
    assert len(given) == cut + 1
    resumed.load_state_dict(whole.state_dict())
    wanted = list(whole)[cut + 1 :]
    rest = list(resumed)
    assert [batch.number for batch in rest] == [batch.number for batch in wanted]
    assert played(rest) == played(wanted)
    assert [batch.begins.tolist() for batch in rest] == [batch.begins.tolist() for batch in wanted]


def test_a_position_among_streams_is_none_among_samples():
    batches = loader()
    next(iter(batches))
    with pytest.raises(WrongOption, match=r"^carry: 0\. .* had 1"):
        loader(carry=False).load_state_dict(batches.state_dict())


def test_without_carry_pieces_are_ordinary_samples():
    split = mixed_split()
    plain = loader(split._replace(streams=None), carry=False)
    assert played(loader(split, carry=False)) == played(plain)
    assert all(batch.begins is None for batch in loader(split, carry=False))


def test_a_batch_moves_with_what_begins_in_it():
    assert next(iter(loader())).to("meta").begins.device.type == "meta"
    assert next(iter(loader(device="meta"))).begins.device.type == "meta"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": mixed_split()._replace(streams=None)}, r"state=carry: .* no pieces of streams"),
        ({"world": 2}, r"state=carry: 2 processes\. It takes one"),
    ],
)
def test_streams_that_cannot_be_played_are_refused(changes, message):
    with pytest.raises(WrongOption, match=message):
        loader(**changes)


def data(streams=None, lengths=None, series=True, **parts):
    split = Split(torch.zeros(4, 3, 2), torch.arange(4), lengths, torch.arange(4) // 2 if streams is None else streams)
    return Data(**({"train": split, "val": split, "test": split} | parts), series=series)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streams": torch.zeros(4)}, r"dataset\.train: streams \(4,\) of torch\.float32"),
        ({"streams": torch.zeros(4, 1, dtype=torch.long)}, r"dataset\.train: streams \(4, 1\)"),
        ({"streams": torch.zeros(5, dtype=torch.long)}, r"dataset\.train: \[4, 4, 5\]"),
        ({"series": False}, r"dataset\.train: streams of still samples"),
        ({"lengths": torch.tensor([3, 3, 2, 3])}, r"dataset\.train: sample 2 has 2 of 3 valid steps"),
        ({"val": Split(torch.zeros(4, 3, 2), torch.arange(4))}, r"dataset\.val: streams in some parts"),
    ],
)
def test_data_whose_streams_do_not_fit_are_refused(changes, message):
    with pytest.raises(WrongOption, match=message):
        data(**changes)


def test_the_last_piece_of_a_stream_may_be_short():
    assert data(lengths=torch.tensor([3, 1, 3, 2])).train.streams is not None
