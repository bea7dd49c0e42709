"""The logger of metrics.csv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnlab.errors import FailedRun
from snnlab.training import table
from snnlab.training.loggers.base import RunLogger


class MetricsTable(RunLogger):
    """The rows of a run's epochs in metrics.csv, written anew each time."""

    def __init__(self, folder: str | Path) -> None:
        super().__init__("csv")
        self.path = Path(folder) / table.NAME
        self.rows: dict[int, dict[str, float]] = {}

    def begin(self, config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> None:
        """Put the epochs so far in the place of what a killed process left."""
        self.rows = {}
        self.path.unlink(missing_ok=True)
        for row in rows:
            self._add(row)
        if self.rows:
            self._write()

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add to the row of the epoch, and write the table.

        Raises: FailedRun, when the disk is full or the folder cannot be written to.
        """
        self._add(metrics)
        self._write()

    def end(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        """Nothing: the table is whole at any time."""

    def _add(self, row: Mapping[str, float]) -> None:
        self.rows.setdefault(int(row["epoch"]), {}).update(row)

    def _write(self) -> None:
        try:
            table.write(self.path, self.rows.values())
        except OSError as error:
            raise FailedRun(
                f"{self.path}: it could not be written ({error}). The table is as it was before."
            ) from error
