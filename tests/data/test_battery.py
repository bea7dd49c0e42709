"""The public battery over the datasets at hand; and each of its checks finds the fault that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from snnlab import registry
from snnlab.data import Data, Dataset, Digits, Split
from snnlab.registry import get
from snnlab.testing.datasets import check_name, checks


def at_hand():
    """Every registered dataset, but those whose files lie neither here nor in the default folder of the checkout."""
    for name in registry.names("dataset"):
        dataset = get("dataset", name)()
        folder = getattr(dataset, "folder", None)
        if folder is not None:
            dataset.folder = str(Path(__file__).parents[2] / folder)
        if folder is None or Path(dataset.folder).is_dir():
            yield name, dataset


CHECKS = [
    pytest.param(check, id=f"{name}-{check_name(check)}")
    for name, dataset in at_hand()
    for check in checks(name, dataset)
]


@pytest.mark.parametrize("check", CHECKS)
def test_the_dataset_keeps_its_promises(check):
    check()


def test_the_battery_runs_over_the_digits():
    assert {"digits", "digits_rows"} <= {name for name, _ in at_hand()}


class Flawed(Dataset):
    """Small streams of series that keep every promise, but for one flaw."""

    flaw: str = ""
    split_seed: int = 0
    loads: ClassVar[int] = 0

    def load(self) -> Data:
        """Twelve samples of four steps and three units."""
        seed = 0 if self.flaw == "seed" else self.split_seed
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.rand(12, 4, 3, generator=generator)
        targets, lengths = torch.arange(12) % 2, torch.tensor([4, 4, 2] * 4)
        inputs[torch.arange(4) >= lengths[:, None]] = 0
        if self.flaw == "shared":
            inputs[9] = inputs[0]
        if self.flaw == "infinite":
            inputs[7, 0, 0] = torch.inf
        if self.flaw == "nan":
            inputs[7, 0, 0] = torch.nan
        if self.flaw == "class":
            targets[9] = 2
        if self.flaw == "unseen":
            targets[:6] = 0
        if self.flaw == "padding":
            inputs[2, 3, 0] = 1
        if self.flaw == "length":
            lengths[2] = 5
        if self.flaw == "global":
            inputs[0, 0, 0] = torch.rand(())
        if self.flaw == "again":
            type(self).loads += 1
            inputs[0, 0, 0] = type(self).loads
        if self.flaw == "double":
            inputs = inputs.double()
        if self.flaw == "int32":
            targets = targets.int()
        streams = torch.arange(12) // (1 if self.flaw == "single" else 3)
        if self.flaw == "crossed":
            streams[9:] = streams[8]
        parts = [Split(inputs[i], targets[i], lengths[i], streams[i]) for i in torch.arange(12).split([6, 3, 3])]
        return Data(*parts, series=True, classes=("odd", "even"))


def failing(dataset):
    failed = set()
    for check in checks("flawed", dataset):
        try:
            check()
        except AssertionError as error:
            assert str(error).startswith("flawed"), error
            failed.add(check_name(check))
    return failed


def test_a_dataset_without_flaws_passes():
    assert failing(Flawed()) == set()


@pytest.mark.parametrize(
    ("flaw", "found"),
    [
        ("seed", "another_seed_gives_another_split"),
        ("shared", "parts_share_no_sample"),
        ("infinite", "inputs_are_finite"),
        ("nan", "inputs_are_finite"),
        ("class", "targets_are_in_range"),
        ("unseen", "every_class_is_in_train"),
        ("padding", "padding_is_zero"),
        ("length", "tensors_are_of_the_right_type"),
        ("global", "loading_leaves_the_global_generator"),
        ("again", "two_loads_are_equal"),
        ("double", "tensors_are_of_the_right_type"),
        ("int32", "tensors_are_of_the_right_type"),
        ("crossed", "parts_share_no_stream"),
        ("single", "streams_go_on"),
    ],
)
def test_a_flaw_is_found_by_the_check_for_it(flaw, found):
    failed = failing(Flawed(flaw=flaw))
    assert found in failed
    assert failed - {found} <= {"two_loads_are_equal", "another_seed_gives_another_split"}  # both load twice


def test_checks_that_do_not_apply_are_left_out():
    class Drawn(Digits):
        distinct: ClassVar[bool] = False

    kept = {check_name(check) for check in checks("drawn", Drawn())}
    assert {check_name(check) for check in checks("digits", Digits())} - kept == {"parts_share_no_sample"}
