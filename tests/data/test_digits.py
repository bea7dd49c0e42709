"""The digits of scikit-learn, still and row by row."""

from __future__ import annotations

import importlib.machinery
import subprocess
import sys

import pytest
import torch
from sklearn.datasets import load_digits

from snnlab.data import Digits, DigitsRows, digits
from snnlab.errors import BadData, WrongOption


def keys(split):
    return {sample.tobytes() for sample in split.inputs.numpy()}


def test_they_are_those_that_scikit_learn_loads():
    theirs = load_digits()
    pictures, labels = digits.read_digits()
    assert torch.equal(pictures, torch.tensor(theirs.images / 16, dtype=torch.float32))
    assert torch.equal(labels, torch.tensor(theirs.target))


def test_the_parts_together_are_all_digits_and_share_none():
    data = Digits().load()
    whole = {sample.tobytes() for sample in digits.read_digits()[0].numpy()}
    assert len(whole) == 1797  # no two pictures are alike, so that contents tell the samples apart
    assert [split.samples for split in data.parts.values()] == [1257, 180, 360]
    assert set.union(*map(keys, data.parts.values())) == whole


def test_every_picture_keeps_its_label():
    pictures, labels = digits.read_digits()
    known = {picture.tobytes(): int(label) for picture, label in zip(pictures.numpy(), labels, strict=True)}
    for split in Digits(split_seed=3).load().parts.values():
        assert [known[sample.tobytes()] for sample in split.inputs.numpy()] == split.targets.tolist()


def test_the_sizes_of_val_and_test_are_options():
    data = Digits(val=7, test=20).load()
    assert [split.samples for split in data.parts.values()] == [1770, 7, 20]


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(WrongOption, match="1000 \\+ 797 of 1797 samples"):
        Digits(val=1000, test=797).load()


@pytest.mark.parametrize("option", ["val", "test"])
def test_a_part_without_samples_is_refused(option):
    with pytest.raises(WrongOption, match=f"digits.{option}: 0"):
        Digits(**{option: 0})


def test_rows_are_steps_from_the_top_of_the_same_pictures():
    still, rows = Digits(split_seed=4).load(), DigitsRows(split_seed=4).load()
    assert rows.series
    assert rows.units == (8,)
    assert still.units == (8, 8)
    assert torch.equal(rows.test.inputs[0, 0], still.test.inputs[0][0])
    assert torch.equal(rows.train.targets, still.train.targets)


def test_classes_are_the_ten_digits():
    data = Digits().load()
    assert data.classes == tuple("0123456789")
    assert data.outputs == 10


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(BadData, match="pip install scikit-learn"):
        Digits().load()


@pytest.mark.parametrize("content", [b"", b"1,2,3\n", b"\x1f\x8b\x08broken"])
def test_a_damaged_file_of_scikit_learn_is_refused_by_name(monkeypatch, tmp_path, content):
    (tmp_path / "datasets/data").mkdir(parents=True)
    (tmp_path / "datasets/data/digits.csv.gz").write_bytes(content)
    spec = importlib.machinery.ModuleSpec("sklearn", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(digits, "find_spec", lambda name: spec)
    with pytest.raises(BadData, match=r"digits\.csv\.gz: .*Install scikit-learn again"):
        Digits().load()


def test_loading_them_does_not_import_scikit_learn():
    program = "import sys; from snnlab.data import Digits; Digits().load(); print('sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
