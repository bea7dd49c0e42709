"""Fashion-MNIST: articles of clothing, in the format of MNIST."""

from __future__ import annotations

from snnlab.data.base import Data, Dataset
from snnlab.data.pictures import read_pictures
from snnlab.options import PositiveInt
from snnlab.registry import register

CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


@register("dataset")
class FashionMNIST(Dataset):
    """60000 + 10000 pictures of clothing of 28 x 28 points in [0, 1], still; harder than MNIST.

    Shape: inputs (N, 28, 28); targets (N,), 0 … 9.
    Args:
        folder: where the four idx files lie, plain or .gz; seen from the working folder.
        val: training samples set apart to choose the best epoch by; at least one, so train has 59999 at most.
        split_seed: decides which.
    Raises: BadData, when a file is missing or is not the published one.
    Source: Xiao, Rasul, Vollgraf 2017; the test set is the published one.
    """

    folder: str = "data/fashion_mnist"
    val: PositiveInt = 5000
    split_seed: int = 0

    def load(self) -> Data:
        """Read the four files."""
        return read_pictures("fashion_mnist", self.folder, val=self.val, split_seed=self.split_seed, classes=CLASSES)
