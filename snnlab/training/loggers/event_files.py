"""The logger of TensorBoard's event files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.image import imread
from torch.utils.tensorboard import SummaryWriter

from snnlab.training.config import flat
from snnlab.training.loggers.base import Guest

FOLDER = "tensorboard"


class EventFiles(Guest):
    """The rows of a run's epochs as scalars of TensorBoard, step = epoch.

    A run that goes on opens one more file, which makes void what the files before it say of later epochs.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder, "tensorboard")
        self._writer: Any = None
        self._process, self._epoch = 0, 0

    def __getstate__(self) -> dict[str, Any]:
        """For a process that the Trainer starts: it opens a file of its own."""
        return self.__dict__ | {"_writer": None}

    def _open(self, rows: Sequence[Mapping[str, float]]) -> None:
        before = list((self.folder / FOLDER).glob("events.out.tfevents.*"))
        following = int(rows[-1]["epoch"]) + 1 if rows else 0
        self._epoch = max(following - 1, 0)
        self._start(purge_step=following if before else None)
        self._in_process().add_text("config", f"```yaml\n{yaml.safe_dump(self._config, sort_keys=False)}```", following)
        for row in rows if not before else ():  # the logger was chosen when the run went on
            self._write(row)
        self._in_process().flush()

    def _write(self, row: Mapping[str, float]) -> None:
        writer, self._epoch = self._in_process(), int(row["epoch"])
        for name, value in row.items():
            if name != "epoch":
                writer.add_scalar(name, value, self._epoch)
        writer.flush()  # before the checkpoint that holds the row: a kill leaves no gap

    def _close(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        writer = self._in_process()
        for picture in pictures:
            writer.add_image(f"plots/{picture.stem}", imread(picture)[..., :3], self._epoch, dataformats="HWC")
        if metrics:
            final = {f"result/{name}": value for name, value in metrics.items()}
            writer.add_hparams(_options(self._config), final, run_name=".", global_step=self._epoch)
        writer.close()
        self._writer = None

    def _in_process(self) -> Any:
        """The file of this process: one that was forked from it has no thread that would write."""
        if self._writer is None or self._process != os.getpid():
            self._start()
        return self._writer

    def _start(self, purge_step: int | None = None) -> None:
        self._writer, self._process = SummaryWriter(self.folder / FOLDER, purge_step=purge_step), os.getpid()


def _options(config: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Options by their dotted names, as TensorBoard takes them: numbers, flags and text."""
    return {name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in flat(config)}
