"""metrics.csv: one row an epoch, the whole file written anew each time, so that it is never half a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from snnlab import files
from snnlab.errors import BadData
from snnlab.training.plain import read_text

NAME = "metrics.csv"
LARGEST = 1 << 28
"""Bytes of a table: some ten million numbers."""


def write(path: str | Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Write a table of `rows`; a number that a row lacks is an empty cell, and NaN is `nan`."""
    rows = list(rows)
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    files.write_text(path, text.getvalue())


def read(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, its empty cells left out.

    Raises: FileNotFoundError; BadData, when it is no table of numbers.
    """
    table = csv.DictReader(io.StringIO(read_text(Path(path), LARGEST), newline=""))
    try:
        return [{name: float(value) for name, value in row.items() if value != ""} for row in table]
    except (ValueError, TypeError, csv.Error) as error:
        raise BadData(f"{path}: it is no table of numbers (line {table.line_num}).") from error
