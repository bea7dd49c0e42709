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

    return EarlyStopping(monitor, mode=mode, patience=patience, min_delta=min_delta)
