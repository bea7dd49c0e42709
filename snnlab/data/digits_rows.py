"""The digits of scikit-learn, read row by row."""

from __future__ import annotations

from dataclasses import replace

from snnlab.data.base import Data, Dataset
from snnlab.data.digits import Digits
from snnlab.options import PositiveInt
from snnlab.registry import register


@register("dataset")
class DigitsRows(Dataset):
    """1797 handwritten digits as series: the 8 rows of a picture, from the top, are 8 steps of 8 inputs in [0, 1].

    Shape: inputs (N, 8, 8), steps before inputs; targets (N,), 0 … 9.
    Args:
        val: samples set apart to choose the best epoch by.
        test: samples set apart to report; one of 360 is .0028 of accuracy.
        split_seed: decides which, as in digits: equal options give equal parts.
    Raises: BadData, when scikit-learn is missing or its file is damaged; WrongOption, when none remains to train on.
    Source: that of digits; a network that forgets cannot solve it, since no single row tells the digit.
    """

    val: PositiveInt = 180
    test: PositiveInt = 360
    split_seed: int = 0

    def load(self) -> Data:
        """Read the file and split it."""
        still = Digits(val=self.val, test=self.test, split_seed=self.split_seed).load()
        return replace(still, series=True)
