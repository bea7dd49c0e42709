"""Callbacks that a run may have beside its own: each a function that builds one from Lightning when it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnlab.options import FromRun, NonNegativeFloat, PositiveInt
from snnlab.registry import register

if TYPE_CHECKING:
    from pytorch_lightning import Callback


@register("callback")
def early_stopping(
    *, monitor: FromRun[str], mode: FromRun[str], patience: PositiveInt = 10, min_delta: NonNegativeFloat = 0.0
) -> Callback:
    """End the run when its monitored number has not become better for some epochs.

    Args:
        patience: epochs without a better number before the end.
        min_delta: smallest change that counts as better.
    Source: Lightning's EarlyStopping.
    """
    from pytorch_lightning.callbacks import EarlyStopping

    # A number of val is looked at when it is new: at an epoch's end it may be missing, or that of an epoch before.
    at_end = not monitor.startswith("val/")
    return EarlyStopping(monitor, min_delta, patience, mode=mode, check_on_train_epoch_end=at_end)


@register("callback")
def gradient_norms() -> Callback:
    """How large the gradients of each layer are, before clipping: their mean and their max over an epoch's steps.

    `grad_norm/0` of the epoch's row is the mean of the L2 norms over all trained parameters of layer 0, and
    `grad_norm_max/0` the largest. Steps whose gradients are not finite do not count: the first of float16 may be so.
    """
    from snnlab.training.callbacks.norms import GradientNorms

    return GradientNorms()
