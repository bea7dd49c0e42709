"""The promises of a dataset, as checks that any dataset can be held against, a plugin's as well as ours.

    @pytest.mark.parametrize("check", checks("mine", Mine()), ids=check_name)
    def test_mine(check):
        check()

A check raises AssertionError, with one sentence that says which promise is not kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations

import torch
from torch import Tensor

from snnlab.data.base import Data, Dataset, Split
from snnlab.data.loader import Loader
from snnlab.data.streams import places
from snnlab.options import options

Check = Callable[[], None]


def checks(name: str, dataset: Dataset) -> Iterator[partial[None]]:
    """One check for each promise that applies to `dataset`, ready to be called.

    Args:
        name: what failures call it.
        dataset: an instance, with the options to be checked.
    """
    every: list[Callable[[str, Dataset], None]] = [
        check_tensors_are_of_the_right_type,
        check_inputs_are_finite,
        check_targets_are_in_range,
        check_every_class_is_in_train,
        check_padding_is_zero,
        check_two_loads_are_equal,
        check_loading_leaves_the_global_generator,
        check_batches_hold_each_sample_once,
        check_streams_go_on,
        check_parts_share_no_stream,
    ]
    if dataset.distinct:
        every.append(check_parts_share_no_sample)
    if "split_seed" in options(type(dataset)):
        every.append(check_another_seed_gives_another_split)
    for check in every:
        yield partial(check, name, dataset)


def check_name(check: partial[None]) -> str:
    """The name of a check, to be a test's id."""
    return check.func.__name__.removeprefix("check_")


def check_tensors_are_of_the_right_type(name: str, dataset: Dataset) -> None:
    """Inputs are float32; targets int64 classes or float32; lengths int64 in 1 … T, and only of series."""
    data = dataset.load()
    for part, split in data.parts.items():
        wanted = torch.int64 if data.classes else torch.float32
        assert split.samples > 0, f"{name}.{part}: there are no samples"
        assert split.inputs.dtype == torch.float32, f"{name}.{part}: inputs of {split.inputs.dtype}, not float32"
        assert split.targets.dtype == wanted, f"{name}.{part}: targets of {split.targets.dtype}, not {wanted}"
        assert split.inputs.dim() > (2 if data.series else 1), f"{name}.{part}: inputs without units"
        if split.lengths is not None:
            assert data.series, f"{name}.{part}: lengths of samples that are still"
            assert split.lengths.dtype == torch.int64, f"{name}.{part}: lengths of {split.lengths.dtype}, not int64"
            low, high = int(split.lengths.min()), int(split.lengths.max())
            steps = split.inputs.shape[1]
            assert low >= 1 and high <= steps, f"{name}.{part}: lengths {low} … {high}, not within 1 … {steps}"


def check_inputs_are_finite(name: str, dataset: Dataset) -> None:
    """No input is NaN or infinite."""
    for part, split in dataset.load().parts.items():
        bad = int((~split.inputs.isfinite()).sum())
        assert bad == 0, f"{name}.{part}: {bad} inputs are NaN or infinite"


def check_targets_are_in_range(name: str, dataset: Dataset) -> None:
    """Classes are 0 … outputs - 1; other targets are finite."""
    data = dataset.load()
    for part, split in data.parts.items():
        if not data.classes:
            assert bool(split.targets.isfinite().all()), f"{name}.{part}: a target is NaN or infinite"
            continue
        low, high = int(split.targets.min()), int(split.targets.max())
        assert low >= 0 and high < data.outputs, f"{name}.{part}: classes {low} … {high} of {data.outputs}"


def check_every_class_is_in_train(name: str, dataset: Dataset) -> None:
    """No class has to be told without ever having been seen."""
    data = dataset.load()
    missing = set(range(len(data.classes))) - set(data.train.targets.tolist())
    assert not missing, f"{name}.train: no sample of the classes {sorted(missing)}"


def check_padding_is_zero(name: str, dataset: Dataset) -> None:
    """What lies beyond a sample's length is zero."""
    for part, split in dataset.load().parts.items():
        if split.lengths is not None:
            beyond = torch.arange(split.inputs.shape[1]) >= split.lengths[:, None]  # (N, T)
            assert not split.inputs[beyond].any(), f"{name}.{part}: inputs other than zero beyond a sample's length"


def check_two_loads_are_equal(name: str, dataset: Dataset) -> None:
    """Loading again gives the same samples in the same order."""
    assert _equal(dataset.load(), dataset.load()), f"{name}: a second load gave other samples, or another order"


def check_another_seed_gives_another_split(name: str, dataset: Dataset) -> None:
    """`split_seed` alone decides: an instance with the same options gives the same parts, another seed others."""
    values = {option: getattr(dataset, option) for option in options(type(dataset))}
    again = type(dataset)(**values)
    assert _equal(dataset.load(), again.load()), f"{name}: equal options gave other parts"
    values["split_seed"] += 1
    assert not _equal(dataset.load(), type(dataset)(**values).load()), f"{name}: split_seed changes nothing"


def check_loading_leaves_the_global_generator(name: str, dataset: Dataset) -> None:
    """Whether data were loaded changes no random number that is drawn elsewhere."""
    before = torch.get_rng_state()
    dataset.load()
    assert torch.equal(before, torch.get_rng_state()), f"{name}: load drew from the global generator of torch"


def check_parts_share_no_sample(name: str, dataset: Dataset) -> None:
    """No sample that is reported, or by which an epoch is chosen, is learned from."""
    contents = {part: _contents(split) for part, split in dataset.load().parts.items()}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        shared = len(contents[one] & contents[other])
        assert shared == 0, f"{name}: {shared} samples are both in {one} and in {other}"


def check_batches_hold_each_sample_once(name: str, dataset: Dataset) -> None:
    """An epoch of two processes together visits every sample of every part once."""
    data = dataset.load()
    for part, split in data.parts.items():
        numbers = torch.arange(split.samples)
        numbered, world = Split(split.inputs, numbers, split.lengths), min(2, split.samples)
        ranks = [
            Loader(numbered, series=data.series, batch_size=100, seed=0, shuffle=True, rank=rank, world=world)
            for rank in range(world)
        ]
        visited = torch.cat([batch.targets for rank in ranks for batch in rank])
        assert torch.equal(visited.sort().values, numbers), f"{name}.{part}: an epoch leaves out or repeats samples"


def check_streams_go_on(name: str, dataset: Dataset) -> None:
    """Where samples are pieces of streams, some stream has more than one: else there is nothing to carry."""
    for part, streams in _streams(dataset.load()).items():
        assert bool((places(streams) > 0).any()), f"{name}.{part}: no stream has more than one piece"


def check_parts_share_no_stream(name: str, dataset: Dataset) -> None:
    """No stream is learned from in one piece and reported in another."""
    found = {part: set(streams.tolist()) for part, streams in _streams(dataset.load()).items()}
    for one, other in combinations(found, 2):
        shared = len(found[one] & found[other])
        assert shared == 0, f"{name}: {shared} streams are both in {one} and in {other}"


def _streams(data: Data) -> dict[str, Tensor]:
    """The streams by part; {} where samples are no pieces of streams."""
    return {part: split.streams for part, split in data.parts.items() if split.streams is not None}


def _equal(one: Data, other: Data) -> bool:
    pairs = [pair for part in one.parts for pair in zip(one.parts[part], other.parts[part], strict=True)]
    return one.classes == other.classes and all(_same(a, b) for a, b in pairs)


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


def _contents(split: Split) -> set[bytes]:
    return {sample.tobytes() for sample in split.inputs.numpy()}
