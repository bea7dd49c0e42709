"""Metrics, from torchmetrics. Each is a function that builds one: the library is imported when a run needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnlab.errors import WrongOption
from snnlab.options import FromRun, PositiveInt
from snnlab.registry import register

if TYPE_CHECKING:
    from torchmetrics import Metric


@register("metric")
def accuracy(*, outputs: FromRun[int], top_k: PositiveInt = 1) -> Metric:
    """Part of the samples whose class is among the highest scores; of equal scores the lowest class counts.

    Args:
        top_k: how many of the highest scores are looked at.
    Raises: WrongOption, for fewer than two outputs, and for more scores than there are.
    Source: torchmetrics MulticlassAccuracy, average micro.
    """
    from torchmetrics.classification import MulticlassAccuracy

    if outputs < 2:
        raise WrongOption(f"metric=accuracy: {outputs} output. It takes classes, two or more. Choose metric=[mse].")
    if top_k > outputs:
        raise WrongOption(f"metric.accuracy.top_k: {top_k}. There are {outputs} outputs: it takes 1 … {outputs}.")
    return MulticlassAccuracy(outputs, top_k=top_k, average="micro")


@register("metric")
def mse() -> Metric:
    """Mean squared error of the scores.

    Source: torchmetrics MeanSquaredError.
    """
    from torchmetrics import MeanSquaredError

    return MeanSquaredError()


@register("metric")
def r2() -> Metric:
    """Part of the targets' variance that the scores explain, averaged over outputs.

    Source: torchmetrics R2Score.
    """
    from torchmetrics import R2Score

    return R2Score()
