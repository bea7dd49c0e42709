"""metrics.csv: one row an epoch, the whole file written anew each time, so that it is never half a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from snnlab import files

NAME = "metrics.csv"


def write(path: str | Path, rows: Iterable[Mapping[str, float]]) -> None:
    """Write a table of `rows`; a number that a row lacks is an empty cell, and NaN is `nan`."""
    rows = list(rows)
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    files.write_text(path, text.getvalue())


def read(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, its empty cells left out."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value != ""} for row in csv.DictReader(file)]
