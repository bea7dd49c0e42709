"""The digits of scikit-learn: 8 x 8 points, installed with it, so that a first run needs no download."""

from __future__ import annotations

import gzip
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from snnlab.data.base import Data, Dataset, Split, partition
from snnlab.errors import BadData
from snnlab.options import PositiveInt
from snnlab.registry import register

SAMPLES = 1797
BRIGHTEST = 16


@register("dataset")
class Digits(Dataset):
    """1797 handwritten digits of 8 x 8 points in [0, 1], still.

    Shape: inputs (N, 8, 8); targets (N,), 0 … 9.
    Args:
        val: samples set apart to choose the best epoch by.
        test: samples set apart to report; one of 360 is .0028 of accuracy.
        split_seed: decides which.
    Raises: BadData, when scikit-learn is missing or its file is damaged; WrongOption, when none remains to train on.
    Source: Alpaydin, Kaynak 1998, the test set of their "optical recognition of handwritten digits".
    """

    val: PositiveInt = 180
    test: PositiveInt = 360
    split_seed: int = 0

    def load(self) -> Data:
        """Read the file and split it."""
        pictures, labels = read_digits()
        parts = partition(len(labels), self.val, self.test, seed=self.split_seed)
        train, val, test = (Split(pictures[index], labels[index]) for index in parts)
        return Data(train=train, val=val, test=test, series=False, classes=tuple("0123456789"))


def read_digits() -> tuple[Tensor, Tensor]:
    """Pictures (1797, 8, 8) in [0, 1] and labels (1797,), in the order of scikit-learn's file.

    Raises: BadData, when scikit-learn is not installed or its file is damaged.
    """
    # Its file is read without it: the import of scikit-learn takes longer than a first batch may.
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise BadData("digits: scikit-learn, which brings them, is not installed: pip install scikit-learn")
    path = Path(found.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    try:
        with gzip.open(path, "rt", encoding="ascii") as file:
            values = np.array(file.read().rstrip().replace("\n", ",").split(","), dtype=np.int64)
        table = values.reshape(SAMPLES, 65)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise BadData(f"{path}: {error}. Install scikit-learn again.") from error
    if table.min() < 0 or table[:, :64].max() > BRIGHTEST or table[:, 64].max() > 9:
        raise BadData(f"{path}: no {SAMPLES} digits of 64 points in 0 … {BRIGHTEST}. Install scikit-learn again.")
    pictures = torch.from_numpy((table[:, :64] / BRIGHTEST).astype(np.float32)).reshape(SAMPLES, 8, 8)
    return pictures, torch.from_numpy(table[:, 64].copy())
