"""Checkpoints: written whole or not at all, the best by val and the last one, loaded without running anybody's code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from snnlab import files
from snnlab.errors import BadData, FailedRun

FOLDER = "checkpoints"


class WholeFiles(TorchCheckpointIO):
    """Lightning's way to write a checkpoint, through `files`: a kill leaves the old file or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises: FailedRun, when the disk is full or the folder cannot be written to.
        """
        try:
            with files.replacing(path) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise FailedRun(
                f"checkpoint {path}: it could not be written ({error}). The one before it is as it was."
            ) from error


class BestAndLast(pl.callbacks.Checkpoint):
    """After every epoch: checkpoints/last.ckpt, and checkpoints/best.ckpt if the monitored number is as good as ever.

    Of equally good epochs the later one is kept: it was trained for longer. A number of val counts only for the weights
    it was computed with, so an epoch that does not end with a validation cannot be the best one. Without any that does,
    the last epoch is chosen.

    Args:
        folder: the run's folder.
        monitor: the number that picks the best epoch, as `val/accuracy`.
        mode: whether max or min is best.
    """

    def __init__(self, folder: Path, monitor: str, mode: str) -> None:
        self.best, self.last = folder / FOLDER / "best.ckpt", folder / FOLDER / "last.ckpt"
        self.monitor, self.mode = monitor, mode
        self.score: float | None = None  # of the best epoch; None as long as there is nothing to choose by
        self.epoch = -1
        self.metrics: dict[str, float] = {}
        self.validated = -1  # the step at which val was computed

    @property
    def chosen(self) -> Path:
        """The checkpoint of the epoch that the run reports."""
        return self.last if self.score is None else self.best

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know of the best epoch so far."""
        return {"score": self.score, "epoch": self.epoch, "metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.score, self.epoch, self.metrics = state_dict["score"], state_dict["epoch"], state_dict["metrics"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which weights val was computed with."""
        self.validated = trainer.global_step

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.validated != trainer.global_step:  # Lightning keeps the numbers of an earlier validation
            metrics = {name: value for name, value in metrics.items() if not name.startswith("val/")}
        if self._better(metrics):
            self.score, self.epoch, self.metrics = metrics[self.monitor], trainer.current_epoch, metrics
            trainer.save_checkpoint(self.best)
        elif self.score is None:
            self.epoch, self.metrics = trainer.current_epoch, metrics
            if trainer.is_global_zero:
                self.best.unlink(missing_ok=True)  # of an earlier run in this folder that did not end
        trainer.save_checkpoint(self.last)

    def _better(self, metrics: dict[str, float]) -> bool:
        value = metrics.get(self.monitor)
        if value is None or self.score is None or value != value:
            return value is not None and self.score is None
        if self.score != self.score:  # NaN, while nothing better was known
            return True
        return value >= self.score if self.mode == "max" else value <= self.score


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint with `weights_only`: plain data and tensors, no code.

    Raises: BadData, when there is no such file, it is damaged, or it is no checkpoint of snnlab.
    """
    if not path.is_file():
        raise BadData(f"checkpoint {path}: there is no such file.")
    try:
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BadData(f"checkpoint {path}: it holds more than plain data and tensors, so it was not opened.") from error
    except Exception as error:  # a damaged file can make torch raise nearly anything
        raise BadData(f"checkpoint {path}: it is damaged ({type(error).__name__}).") from error
    parts = [checkpoint.get(name) for name in ("snnlab", "state_dict")] if isinstance(checkpoint, dict) else [None]
    if not all(isinstance(part, dict) for part in parts):
        raise BadData(f"checkpoint {path}: it is no checkpoint of snnlab.")
    known: dict[str, Any] = checkpoint
    return known
