"""MNIST and Fashion-MNIST: their files, and what is told when these are missing or wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import struct

import pytest
import torch

from snnlab.data import MNIST, FashionMNIST, pictures
from snnlab.errors import BadData, WrongOption

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four small idx files that take the place of the published ones: 20 + 6 pictures of 2 x 2 points."""
    home = tmp_path / "data/small"
    home.mkdir(parents=True)
    known = {}
    for name in NAMES:
        count = 20 if name.startswith("train") else 6
        sizes = (count, 2, 2) if "images" in name else (count,)
        length = 4 * count if "images" in name else count
        values = bytes(i % 256 if "images" in name else i % 10 for i in range(length))
        content = bytes([0, 0, 8, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + values
        known[name] = hashlib.sha256(content).hexdigest()
        (home / name).write_bytes(content)
    (tmp_path / "checksums.json").write_text(json.dumps({"mnist": known, "fashion_mnist": known}))
    monkeypatch.setattr(pictures, "files", lambda package: tmp_path)
    return home


def test_val_is_split_off_train_and_test_is_the_published_one(folder):
    data = MNIST(folder=str(folder), val=4).load()
    assert [split.samples for split in data.parts.values()] == [16, 4, 6]
    assert data.test.targets.tolist() == list(range(6))
    first = torch.cat([data.train.inputs, data.val.inputs])[:, 0, 0]
    assert sorted((first * 255).round().int().tolist()) == [4 * i for i in range(20)]


def test_pictures_are_scaled_to_one_and_keep_their_labels(folder):
    data = MNIST(folder=str(folder), val=4).load()
    for split in data.parts.values():
        sample = (split.inputs[:, 0, 0] * 255 / 4).round().long()
        assert torch.equal(split.targets, sample % 10)
        assert torch.equal(split.inputs[:, 1, 1], (4 * sample + 3) / 255)


def test_compressed_files_give_the_same_data(folder):
    plain = FashionMNIST(folder=str(folder), val=4).load()
    for name in NAMES:
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    packed = FashionMNIST(folder=str(folder), val=4).load()
    assert torch.equal(packed.train.inputs, plain.train.inputs)
    assert torch.equal(packed.test.targets, plain.test.targets)


def test_the_folder_is_seen_from_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent.parent)
    assert MNIST(folder="data/small", val=4).load().outputs == 10


def test_setting_all_samples_apart_is_refused(folder):
    with pytest.raises(WrongOption, match="20 of 20 samples"):
        MNIST(folder=str(folder), val=20).load()


@pytest.mark.parametrize(("dataset", "name"), [(MNIST, "mnist"), (FashionMNIST, "fashion_mnist")])
def test_a_missing_file_is_told_with_what_to_do(tmp_path, dataset, name):
    with pytest.raises(BadData) as caught:
        dataset(folder=str(tmp_path)).load()
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/train-images-idx3-ubyte: there is no such file")
    assert f"python scripts/fetch_data.py {name} --folder {tmp_path}" in message
    assert all(file in message for file in NAMES)  # for those who have no checkout


@pytest.mark.parametrize("name", NAMES)
def test_another_file_under_the_right_name_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BadData, match=f"{name}: its content is not that of the published file"):
        MNIST(folder=str(folder), val=4).load()
