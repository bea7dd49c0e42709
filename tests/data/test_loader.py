"""The loader: order, batches, processes, resume."""

from __future__ import annotations

import itertools

import pytest
import torch

from snnlab.data import Data, Loader, Split, loaders
from snnlab.errors import WrongOption


def split(samples=37, *units, steps=None, lengths=False):
    shape = (samples, *(() if steps is None else (steps,)), *(units or (2,)))
    inputs = torch.arange(samples).reshape(-1, *[1] * (len(shape) - 1)).expand(shape).float()
    ragged = 1 + torch.arange(samples) % steps if lengths else None
    return Split(inputs, torch.arange(samples), ragged)


def loader(samples=37, **changes):
    options = {"series": False, "batch_size": 8, "seed": 3, "shuffle": True}
    return Loader(split(samples), **(options | changes))


def visited(batches):
    return [batch.targets.tolist() for batch in batches]


def in_order(batches):
    return list(itertools.chain(*visited(batches)))


def test_an_epoch_visits_each_sample_once():
    assert sorted(in_order(loader())) == list(range(37))


def test_without_shuffling_the_order_is_that_of_the_data():
    assert in_order(loader(shuffle=False)) == list(range(37))


@pytest.mark.parametrize(("samples", "batch_size", "sizes"), [(37, 8, [7, 7, 8, 7, 8]), (16, 8, [8, 8]), (3, 8, [3])])
def test_batches_differ_by_one_sample_at_most(samples, batch_size, sizes):
    batches = list(loader(samples, batch_size=batch_size))
    assert [len(batch.targets) for batch in batches] == sizes
    assert [batch.size for batch in batches] == sizes
    assert [batch.number for batch in batches] == list(range(len(sizes)))


def test_the_length_is_the_number_of_batches():
    for samples, batch_size in itertools.product(range(1, 20), (1, 3, 8)):
        batches = loader(samples, batch_size=batch_size)
        assert len(list(batches)) == len(batches)


def test_each_epoch_has_an_order_of_its_own():
    batches = loader()
    orders = []
    for epoch in range(3):
        batches.set_epoch(epoch)
        orders.append(visited(batches))
    assert all(one != other for one, other in itertools.combinations(orders, 2))


def test_seed_and_epoch_alone_determine_the_order():
    torch.manual_seed(0)
    one = visited(loader())
    torch.manual_seed(1)
    assert visited(loader()) == one
    assert visited(loader(seed=4)) != one


def test_the_global_generator_is_not_touched():
    before = torch.get_rng_state()
    list(loader())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world", [2, 3, 7])
def test_processes_share_every_batch_without_repeating_a_sample(world, shuffle):
    whole = list(loader(shuffle=shuffle))
    ranks = [list(loader(shuffle=shuffle, rank=rank, world=world)) for rank in range(world)]
    for batches in zip(whole, *ranks, strict=True):
        dealt = [batch.targets for batch in batches[1:]]
        for rank, mine in enumerate(dealt):
            assert torch.equal(mine, batches[0].targets[rank::world])
            assert len(mine) > 0
        assert sorted(torch.cat(dealt).tolist()) == sorted(batches[0].targets.tolist())
        assert {batch.size for batch in batches} == {len(batches[0].targets)}


@pytest.mark.parametrize("cut", range(15))
def test_a_resumed_run_goes_on_with_the_same_batches(cut):
    def run(batches, first, state=None):
        if state is not None:
            batches.load_state_dict(state)
        for epoch in range(first, 3):
            batches.set_epoch(epoch)
            for batch in batches:
                yield epoch, batch.number, batch.targets.tolist(), batches.state_dict()

    whole = list(run(loader(), 0))
    epoch, _, _, state = whole[cut]
    epoch += (cut + 1) % 5 == 0  # Lightning starts the next epoch when the last batch was reached
    rest = list(run(loader(), epoch, state))
    assert rest == whole[cut + 1 :]


def test_a_state_saved_between_epochs_starts_the_next_one_from_its_beginning():
    batches = loader()
    for _ in itertools.islice(batches, 3):  # an epoch cut short by limit_train_batches
        pass
    resumed = loader()
    resumed.load_state_dict(batches.state_dict())
    batches.set_epoch(1)
    resumed.set_epoch(1)
    assert visited(resumed) == visited(batches)
    assert len(visited(resumed)) == 5


def test_a_state_saved_before_the_first_batch_of_an_epoch_starts_from_its_beginning():
    batches = loader()
    for _ in itertools.islice(batches, 3):
        pass
    batches.set_epoch(1)
    assert batches.state_dict()["epoch"] == 1
    assert batches.state_dict()["position"] == 0


def test_a_state_is_the_same_before_and_after_it_was_loaded():
    batches, resumed = loader(), loader()
    batches.set_epoch(2)
    next(iter(batches))
    resumed.load_state_dict(batches.state_dict())
    assert resumed.state_dict() == batches.state_dict()


def test_without_lightning_a_state_brings_its_epoch_with_it():
    batches, resumed = loader(), loader()
    batches.set_epoch(2)
    given = iter(batches)
    next(given)
    resumed.load_state_dict(batches.state_dict())
    assert visited(resumed) == visited(given)


def test_a_state_saved_after_the_last_batch_is_followed_by_a_whole_pass():
    batches, resumed = loader(), loader()
    list(batches)
    resumed.load_state_dict(batches.state_dict())
    assert len(visited(resumed)) == 5


def test_only_the_first_pass_after_a_resume_is_shortened():
    batches = loader()
    batches.load_state_dict(batches.state_dict() | {"position": 3})
    assert [len(visited(batches)), len(visited(batches))] == [2, 5]


def test_an_iterator_that_nobody_reads_does_not_use_up_the_resume():
    batches = loader()
    batches.load_state_dict(batches.state_dict() | {"position": 3})
    iter(batches)
    assert len(visited(batches)) == 2


def test_a_resume_with_another_number_of_processes_gives_the_same_batches():
    whole = loader()
    given = iter(whole)
    next(given), next(given)
    state = whole.state_dict()
    ranks = [loader(rank=rank, world=2) for rank in (0, 1)]
    for rank in ranks:
        rank.load_state_dict(state)
    halves = zip(*ranks, strict=True)
    assert [sorted(a.targets.tolist() + b.targets.tolist()) for a, b in halves] == [sorted(x) for x in visited(given)]


@pytest.mark.parametrize("change", [{"batch_size": 9}, {"seed": 4}, {"samples": 36}])
def test_a_resume_that_would_give_other_batches_is_refused(change):
    batches = loader()
    next(iter(batches))
    with pytest.raises(WrongOption, match=rf"^{next(iter(change))}: "):
        loader(**change).load_state_dict(batches.state_dict())


def test_a_state_holds_plain_integers_only():
    assert {type(value) for value in loader().state_dict().values()} == {int}


def test_still_samples_keep_their_shape():
    batches = Loader(split(10, 4, 5), series=False, batch_size=5, seed=0, shuffle=True)
    for batch in batches:
        assert batch.inputs.shape == (5, 4, 5)
        assert batch.mask is None
        assert torch.equal(batch.inputs[:, 0, 0], batch.targets.float())


def test_series_are_time_major_and_contiguous():
    batches = Loader(split(10, 4, 5, steps=3), series=True, batch_size=5, seed=0, shuffle=True)
    for batch in batches:
        assert batch.inputs.shape == (3, 5, 4, 5)
        assert batch.inputs.is_contiguous()
        assert torch.equal(batch.inputs[0, :, 0, 0], batch.targets.float())


def test_the_mask_is_true_at_the_valid_steps_of_each_sample():
    batches = Loader(split(10, steps=4, lengths=True), series=True, batch_size=5, seed=0, shuffle=True)
    for batch in batches:
        for column, sample in enumerate(batch.targets.tolist()):
            valid = 1 + sample % 4
            assert batch.mask[:, column].tolist() == [True] * valid + [False] * (4 - valid)


def test_changing_a_batch_in_place_leaves_the_data_as_they_were():
    batches = loader(shuffle=False)
    for batch in batches:
        batch.inputs.zero_()
        batch.targets.zero_()
    assert in_order(batches) == list(range(37))


def test_batches_are_cut_on_the_device_that_was_asked_for():
    batches = Loader(split(10, steps=4, lengths=True), series=True, batch_size=5, seed=0, shuffle=True, device="meta")
    batch = next(iter(batches))
    assert {tensor.device.type for tensor in (batch.inputs, batch.targets, batch.mask)} == {"meta"}


def test_a_batch_moves_as_a_whole():
    batches = Loader(split(10, steps=4, lengths=True), series=True, batch_size=5, seed=0, shuffle=True)
    batch = next(iter(batches)).to("meta", non_blocking=True)
    assert {tensor.device.type for tensor in (batch.inputs, batch.targets, batch.mask)} == {"meta"}
    assert (batch.size, batch.number) == (5, 0)


def test_only_train_is_shuffled():
    data = Data(split(30), split(20), split(10), series=False)
    parts = loaders(data, batch_size=4, seed=0)
    assert list(parts) == ["train", "val", "test"]
    assert in_order(parts["train"]) != list(range(30))
    assert in_order(parts["val"]) == list(range(20))
    assert in_order(parts["test"]) == list(range(10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size: 0"),
        ({"batch_size": 1, "world": 2}, "2 processes"),
        ({"samples": 1, "world": 2}, "2 processes"),
        ({"samples": 0}, "without samples"),
    ],
)
def test_a_process_that_would_get_no_sample_is_refused(changes, message):
    with pytest.raises(WrongOption, match=message):
        loader(**changes)
