"""A plugin: a run that takes its time, so that something can happen to it."""

from __future__ import annotations

import time

import pytorch_lightning as pl

from snnlab.registry import register


@register("callback")
def slow(*, seconds: float = 0.1) -> pl.Callback:
    """Waits after each batch.

    Args:
        seconds: how long.
    """
    return _Slow(seconds)


class _Slow(pl.Callback):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *arguments: object, **keywords: object) -> None:
        time.sleep(self.seconds)
