"""MNIST: handwritten digits of 28 x 28 points."""

from __future__ import annotations

from snnlab.data.base import Data, Dataset
from snnlab.data.pictures import read_pictures
from snnlab.options import PositiveInt
from snnlab.registry import register


@register("dataset")
class MNIST(Dataset):
    """60000 + 10000 handwritten digits of 28 x 28 points in [0, 1], still.

    Shape: inputs (N, 28, 28); targets (N,), 0 … 9.
    Args:
        folder: where the four idx files lie, plain or .gz; seen from the working folder.
        val: training samples set apart to choose the best epoch by; at least one, so train has 59999 at most.
        split_seed: decides which.
    Raises: BadData, when a file is missing or is not the published one.
    Source: LeCun, Bottou, Bengio, Haffner 1998; the test set is the published one.
    """

    folder: str = "data/mnist"
    val: PositiveInt = 5000
    split_seed: int = 0

    def load(self) -> Data:
        """Read the four files."""
        classes = tuple("0123456789")
        return read_pictures("mnist", self.folder, val=self.val, split_seed=self.split_seed, classes=classes)
