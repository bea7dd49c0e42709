"""metrics.csv: one row an epoch, the whole file written anew each time, so that it is never half a table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from snnlab import files

NAME = "metrics.csv"


class TableLogger(Logger):
    """Rows of an epoch's metrics. What Lightning logs in two calls, val's and train's, becomes one row."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        self.path = Path(folder) / NAME
        self.rows: dict[int, dict[str, Any]] = {}

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return "csv"

    @property
    def version(self) -> str:
        """A run has one table."""
        return ""

    def log_hyperparams(self, *args: Any, **keywords: Any) -> None:
        """Nothing: config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to the row of the epoch, and write the table."""
        row = self.rows.setdefault(int(metrics["epoch"]), {"epoch": int(metrics["epoch"])})
        row |= {"step": step} | {name: value for name, value in metrics.items() if name != "epoch"}
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        text = io.StringIO()
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows.values())
        files.write_text(self.path, text.getvalue())


def read(path: str | Path) -> list[dict[str, float]]:
    """The rows of a metrics.csv, its empty cells left out."""
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value != ""} for row in csv.DictReader(file)]
