"""What a run says while it trains: a bar on a terminal, a line an epoch in the log and wherever output is kept."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

log = logging.getLogger("snnlab")

EPOCH = "epoch_line"
"""Marks a record that is the line of an epoch."""

# Warnings that a user can do nothing about; each is expected in every run of its kind.
_UNAVOIDABLE = (
    r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 on torch 2.13
    r".*The `srun` command is available.*",  # on any machine that has Slurm
    r".*does not have many workers.*",  # the loader slices tensors: workers would slow it down
    r".*smaller than the logging interval.*",  # numbers are logged by epoch, not by step
    r".*Checkpoint directory .* exists.*",
    r".*GPU available but not used.*",
    r".*It is recommended to use `self\.log.*sync_dist=True.*",  # the numbers are those of all processes already
)


class Bar(RichProgressBar):
    """Lightning's bar, with the loss of the last step; logging it each step would cost more than a small step."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """The numbers at the right of the bar."""
        shown = {
            name: f"{float(trainer.callback_metrics[name]):.3f}"
            for name in trainer.callback_metrics
            if name.startswith("val/") and name.count("/") == 1
        }
        loss = getattr(pl_module, "latest_loss", None)
        return ({} if loss is None else {"loss": f"{float(loss):.3f}"}) | shown


@contextmanager
def speaking(folder: Path, *, bar: bool, main: bool = True) -> Iterator[None]:
    """Send the log to log.txt and to standard output; keep back idle warnings.

    Args:
        folder: the run's folder.
        bar: whether a bar is drawn, in place of the lines of the epochs.
        main: whether this is the first process of the run; the others say only why they fail.
    """
    handlers: list[logging.Handler] = [_file_handler(folder / "log.txt")]
    if main:
        handlers.append(_Console(bar))
    else:
        handlers[0].setLevel(logging.ERROR)
    level, log.propagate = log.level, False
    log.setLevel(logging.INFO)
    for handler in handlers:
        log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            quiet()
            yield
    finally:
        log.setLevel(level)
        log.propagate = True
        for handler in handlers:
            log.removeHandler(handler)
            handler.close()


def quiet() -> None:
    """Keep back Lightning's tips, and, while `catch_warnings` lasts, warnings that a user can do nothing about."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in _UNAVOIDABLE:
        warnings.filterwarnings("ignore", message=message)


def _file_handler(path: Path) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _File(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler


class _File(logging.FileHandler):
    """Appended to while the run lives: the one file that cannot be renamed into place. A full disk ends no run here."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._failed:
            self._failed = True
            log.warning("%s: it could not be written (%s).", self.baseFilename, error.strerror)

    def close(self) -> None:
        with suppress(OSError):  # words that did not get there are written again here
            super().close()


class _Console(logging.StreamHandler[Any]):
    """What is said, on standard output; a bar takes the place of the lines of the epochs."""

    def __init__(self, bar: bool) -> None:
        super().__init__(sys.stdout)
        self._bar = bar
        self.setFormatter(_Plain())
        self.addFilter(lambda record: record.levelno < logging.ERROR)  # the command prints an error itself, and ends

    def emit(self, record: logging.LogRecord) -> None:
        if not (self._bar and getattr(record, EPOCH, False)):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(
            sys.exc_info()[1], OSError
        ):  # `snnlab train | head`, or into a file on a full disk: nobody listens
            self.setLevel(logging.CRITICAL + 1)
        else:
            super().handleError(record)


class _Plain(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        return f"Warning: {text}" if record.levelno >= logging.WARNING else text
