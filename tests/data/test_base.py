"""What a dataset may be, and how samples are dealt to its parts."""

from __future__ import annotations

import pytest
import torch

from snnlab.data import Data, Split, partition
from snnlab.errors import WrongOption


def split(*shape, targets=None):
    return Split(torch.zeros(shape), torch.zeros(shape[0], dtype=torch.int64) if targets is None else targets)


def test_parts_are_disjoint_and_together_all_samples():
    parts = partition(100, 20, 30, seed=0)
    assert [len(part) for part in parts] == [50, 20, 30]
    assert sorted(torch.cat(parts).tolist()) == list(range(100))


def test_parts_are_drawn_from_the_seed_alone():
    torch.manual_seed(0)
    one = torch.cat(partition(100, 20, seed=0))
    torch.manual_seed(1)
    assert torch.equal(torch.cat(partition(100, 20, seed=0)), one)
    assert not torch.equal(torch.cat(partition(100, 20, seed=1)), one)


def test_units_and_outputs_are_read_from_the_data():
    still = Data(split(4, 2, 3), split(2, 2, 3), split(2, 2, 3), series=False, classes=("a", "b"))
    assert (still.units, still.outputs) == ((2, 3), 2)
    series = Data(split(4, 5, 3), split(2, 6, 3), split(2, 5, 3), series=True, classes=("a", "b"))
    assert series.units == (3,)


@pytest.mark.parametrize(("targets", "outputs"), [(torch.zeros(4), 1), (torch.zeros(4, 3), 3)])
def test_without_classes_the_outputs_are_the_width_of_the_target(targets, outputs):
    part = split(4, 2, targets=targets)
    assert Data(part, part, part, series=False).outputs == outputs


def test_as_many_targets_as_inputs_are_asked_for():
    with pytest.raises(WrongOption, match=r"dataset\.val: \[4, 3\]"):
        Data(split(4, 2), split(4, 2, targets=torch.zeros(3)), split(4, 2), series=False)


def test_parts_with_other_units_are_refused():
    with pytest.raises(WrongOption, match=r"dataset\.test: units \(3,\)"):
        Data(split(4, 2), split(4, 2), split(4, 3), series=False)
