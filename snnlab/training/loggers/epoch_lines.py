"""One line an epoch, on the console and in log.txt: every run has them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snnlab.training.console import EPOCH, log
from snnlab.training.loggers.base import RunLogger


class EpochLines(RunLogger):
    """`epoch 3/29  loss 0.21 (val 0.25)  accuracy 0.95 (val 0.94)  rates of layers 0.1 0.05  0.8 s`.

    Args:
        epochs: how many the run has at most; None or -1 where that is open.
    """

    def __init__(self, epochs: int | None) -> None:
        super().__init__("lines")
        self._epochs, self._start = epochs, time.perf_counter()

    def begin(self, config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """The first epoch begins."""
        self._start = time.perf_counter()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Print the line of an epoch."""
        seconds, self._start = time.perf_counter() - self._start, time.perf_counter()
        of = f"/{self._epochs - 1}" if self._epochs and self._epochs > 0 else ""  # counted from 0, as Lightning does
        epoch = f"{int(metrics['epoch']):>{max(len(of) - 1, 1)}}{of}"
        columns = "  ".join(_columns(metrics))
        log.info("epoch %s  %s  %.1f s", epoch, columns, seconds, extra={EPOCH: True})

    def end(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Nothing: the run itself tells how it ended."""


def _columns(row: Mapping[str, float]) -> Iterator[str]:
    """`accuracy 0.98 (val 0.97)`, then the rates of the layers on train."""
    for name in row:
        stage, _, what = name.partition("/")
        if stage == "train" and "/" not in what:
            val = f" (val {row[f'val/{what}']:.4f})" if f"val/{what}" in row else ""
            yield f"{what} {row[name]:.4f}{val}"
    if rates := [f"{value:.3f}" for name, value in row.items() if name.startswith("train/rate/")]:
        yield f"rates of layers {' '.join(rates)}"
