"""Loggers: each a function that builds one for a run's folder, or gives None."""

from __future__ import annotations

from typing import TYPE_CHECKING

from snnlab.options import FromRun
from snnlab.registry import register

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


@register("logger")
def csv(*, folder: FromRun[str]) -> Logger:
    """A table, metrics.csv in the run's folder: one row an epoch."""
    from snnlab.training.table import TableLogger

    return TableLogger(folder)


@register("logger")
def none() -> None:
    """Nothing is logged; result.json is written all the same."""
