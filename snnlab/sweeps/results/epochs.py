"""The numbers of each epoch of a run, from its metrics.csv: those of a run that is trained now as well."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from snnlab.errors import BadData
from snnlab.sweeps.results.runs import Run
from snnlab.training.plain import read_text

TABLE = "metrics.csv"
LARGEST = 1 << 26
"""Bytes of a table: some hundred thousand epochs."""


def column(run: Run, key: str, known: dict[str, None] | None = None) -> dict[int, float]:
    """A column by epoch, without what is empty, NaN or infinite; {} where there is none.

    Args:
        run: whose it is.
        key: its name, as val/loss.
        known: takes the names of all columns.
    """
    rows = _rows(run)
    if known is not None and rows:
        known |= dict.fromkeys(rows[0])
    numbers = {epoch: _number(row.get(key)) for row in rows if (epoch := _epoch(row)) is not None}
    return {epoch: value for epoch, value in numbers.items() if value is not None}


def so_far(run: Run) -> tuple[int, dict[str, float]]:
    """How many epochs a run has had, and the numbers of the latest."""
    rows = _rows(run)
    if not rows:
        return 0, {}
    latest = {key: _number(value) for key, value in rows[-1].items()}
    return len(rows), {key: value for key, value in latest.items() if value is not None}


def _rows(run: Run) -> list[dict[str, str]]:
    """The rows; [] where the table is not there or is none."""
    try:
        return list(csv.DictReader(io.StringIO(read_text(run.folder / TABLE, LARGEST), newline="")))
    except (OSError, BadData, csv.Error):
        return []


def _number(text: object) -> float | None:
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _epoch(row: Mapping[str, str]) -> int | None:
    value = _number(row.get("epoch"))
    return None if value is None else int(value)
