"""When a run is saved: after each epoch, from time to time within one, and when a signal ends it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch

from snnlab.errors import Interrupted
from snnlab.training import checkpoint as checkpoints
from snnlab.training.checkpoint import FOLDER
from snnlab.training.signals import Signals

Point = Literal["epoch", "batch", "validation", "best"]


class BestAndLast(pl.callbacks.Checkpoint):
    """Keeps checkpoints/last.ckpt, from which the run goes on, and checkpoints/best.ckpt, the best epoch on val.

    Of equally good epochs the later one is the best: it was trained for longer. A number of val counts only for the
    weights it was computed with, so an epoch that does not end with a validation cannot be the best one. Without any
    that does, the last epoch is chosen.

    last.ckpt is written between two epochs, every `minutes` within one, and when a signal came: after the batch, or
    within a validation, which then begins anew. It is not written where Lightning would lose something on the way back:
    after the last batch before a validation, and between the steps of an optimizer that gathers gradients.

    Args:
        folder: the run's folder.
        monitor: the number that picks the best epoch, as `val/accuracy`.
        mode: whether max or min is best.
        minutes: how long an epoch may take before it is saved within.
        signals: where signals are noted.
    """

    def __init__(self, folder: Path, monitor: str, mode: str, minutes: float, signals: Signals) -> None:
        self.folder, self.best, self.last = folder, folder / FOLDER / "best.ckpt", folder / FOLDER / "last.ckpt"
        self.before = folder / FOLDER / "best_before.ckpt"  # while a better one is not yet known to last.ckpt
        self.monitor, self.mode, self.minutes, self.signals = monitor, mode, minutes, signals
        self.score: float | None = None  # of the best epoch; None as long as there is nothing to choose by
        self.epoch = -1
        self.metrics: dict[str, float] = {}
        self.validated = -1  # the step at which val was computed
        self.ended = False  # whether training is over: nothing is left but to test
        self.began = False  # whether a batch was trained: what a checkpoint holds fits
        self.saved_at = time.monotonic()
        self.point: Point = "epoch"
        self.confirm: Callable[[], None] = lambda: None  # raises when another process took the run over

    @property
    def chosen(self) -> Path:
        """The checkpoint of the epoch that the run reports."""
        return self.last if self.score is None else self.best

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know."""
        return {
            "score": self.score,
            "epoch": self.epoch,
            "metrics": self.metrics,
            "validated": self.validated,
            "ended": self.ended,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.score, self.epoch, self.metrics = state_dict["score"], state_dict["epoch"], state_dict["metrics"]
        self.validated, self.ended = state_dict["validated"], state_dict["ended"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hear signals from here on."""
        self.ended, self.saved_at = False, time.monotonic()
        self.signals.listen()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the epochs so far: only now are schedulers that look at val through with the last one."""
        loader: Any = trainer.train_dataloader
        loader.set_epoch(trainer.current_epoch)  # Lightning does not tell it where samples are not shuffled
        number, _ = self._agreed(trainer)
        if trainer.global_step or number:
            self._save(trainer, "epoch")
        if number:
            self._leave(trainer, number)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if it is time to, or if a signal came."""
        self.began = True
        if not _between_batches(trainer, batch_idx + 1):
            self.confirm()  # loggers write before anything is saved
            return
        number, due = self._agreed(trainer)
        if number or due:
            self._save(trainer, "batch")
        if number:
            self._leave(trainer, number)

    def on_validation_batch_end(self, trainer: pl.Trainer, *args: Any, **keywords: Any) -> None:
        """Save if it is time to, or if a signal came; the validation begins anew when the run goes on."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        number, due = self._agreed(trainer)
        if number or due:
            self._save(trainer, "validation")
        if number:
            self._leave(trainer, number)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which weights val was computed with."""
        if not trainer.sanity_checking:
            self.validated = trainer.global_step
            self.confirm()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch if it is the best so far."""
        # Lightning withholds the epoch's number from schedulers that look at val as long as it takes itself to be
        # restarting: in the whole first epoch after a resume, though it was validated as any other. Not by the setter:
        # where max_steps is set, that one makes all loops restart whatever it is given.
        trainer.fit_loop._restarting = False
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if self.validated != trainer.global_step:  # Lightning keeps the numbers of an earlier validation
            metrics = {name: value for name, value in metrics.items() if not name.startswith("val/")}
        self.confirm()
        if self._better(metrics):
            self.score, self.epoch, self.metrics = metrics[self.monitor], trainer.current_epoch, metrics
            if trainer.is_global_zero and self.best.exists():
                os.replace(self.best, self.before)
            self._save(trainer, "best", self.best)
        elif self.score is None:
            self.epoch, self.metrics = trainer.current_epoch, metrics
            if trainer.is_global_zero:
                self.best.unlink(missing_ok=True)  # of an earlier run in this folder that did not end

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the end."""
        self.ended = True
        self._save(trainer, "epoch")
        if number := self._agreed(trainer)[0]:
            self._leave(trainer, number)

    def settle(self, epoch: int) -> None:
        """Put back the best checkpoint that last.ckpt knows of, where a kill came between a better one and last.ckpt.

        Args:
            epoch: of the best epoch, in last.ckpt.
        """
        if self.before.is_file():
            if checkpoints.load(self.before)["callbacks"][self.state_key]["epoch"] == epoch:
                os.replace(self.before, self.best)
            else:
                self.before.unlink()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write down where the run is, so that Lightning begins there: its own notes fit none of its hooks exactly."""
        loops = checkpoint["loops"]["fit_loop"]
        if self.point == "epoch":  # this many epochs are done, and nothing of the next
            epochs = loops["epoch_progress"]
            for part in ("total", "current"):
                epochs[part] = dict.fromkeys(epochs[part], trainer.current_epoch)
            _begin_anew(loops["epoch_loop.batch_progress"])
            _begin_anew(loops["epoch_loop.val_loop.batch_progress"])
        elif self.point == "validation":  # Lightning's mark of a validation that was begun and did not end
            progress = loops["epoch_loop.val_loop.batch_progress"]
            _begin_anew(progress)
            progress["total"] = dict.fromkeys(progress["total"], 0) | {"ready": 1, "started": 1}

    def _save(self, trainer: pl.Trainer, point: Point, path: Path | None = None) -> None:
        self.point, self.saved_at = point, time.monotonic()
        self.confirm()
        trainer.save_checkpoint(path or self.last)
        if path is None and trainer.is_global_zero:
            self.before.unlink(missing_ok=True)  # last.ckpt knows of the better one now

    def _agreed(self, trainer: pl.Trainer) -> tuple[int, bool]:
        """The signal that came, and whether it is time to save: the same for all processes."""
        due = trainer.is_global_zero and time.monotonic() - self.saved_at > 60 * self.minutes
        asked = 2 * self.signals.received + due
        if trainer.world_size > 1:
            mine = torch.tensor(asked, device=trainer.strategy.root_device)
            asked = int(trainer.strategy.reduce(mine, reduce_op="max"))
        return asked // 2, bool(asked % 2)

    def _leave(self, trainer: pl.Trainer, number: int) -> None:
        place = "after training" if self.ended else f"in epoch {trainer.current_epoch}, step {trainer.global_step}"
        raise Interrupted(
            number,
            f"stopped by {signal.Signals(number).name} {place}. To go on: snnlab train resume={self.folder}",
        )

    def _better(self, metrics: dict[str, float]) -> bool:
        value = metrics.get(self.monitor)
        if value is None or self.score is None or value != value:
            return value is not None and self.score is None
        if self.score != self.score:  # NaN, while nothing better was known
            return True
        return value >= self.score if self.mode == "max" else value <= self.score


def _between_batches(trainer: pl.Trainer, done: int) -> bool:
    """Whether, after `done` batches of the epoch, the optimizer stepped and nothing but the next batch follows."""
    if done >= trainer.num_training_batches or done % trainer.accumulate_grad_batches or trainer.should_stop:
        return False
    if 0 < trainer.max_steps <= trainer.global_step:
        return False
    every = trainer.val_check_batch
    if trainer.check_val_every_n_epoch is None:  # then val_check_interval counts on over the epochs
        done = trainer.fit_loop.total_batch_idx + 1
    return every is None or every == float("inf") or done % int(every) != 0


def _begin_anew(progress: dict[str, Any]) -> None:
    progress["current"] = dict.fromkeys(progress["current"], 0)
    progress["is_last_batch"] = False
