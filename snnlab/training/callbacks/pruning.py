"""Trials of a study that have fallen behind are given up."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import optuna
import pytorch_lightning as pl
import torch
from optuna.pruners import BasePruner
from optuna.trial import TrialState

from snnlab.errors import Pruned
from snnlab.training import journal

log = logging.getLogger("snnlab")


class Pruning(pl.Callback):
    """Reports each epoch to the study, and ends a run that is hopeless, after its checkpoint was written.

    The first process asks and tells the others. A study that cannot be reached gives nothing up.

    Args:
        study: the folder of the study's journal.
        trial: the number of the run's trial.
        objective: the number of an epoch that the study looks at.
        pruner: decides.
    """

    def __init__(self, study: Path, trial: int, objective: str, pruner: BasePruner) -> None:
        self.folder, self.trial, self.objective, self.pruner = study, trial, objective, pruner
        self.verdict = ""  # why the run is to be given up, as the first process has it
        self.agreed = False  # whether all processes know
        self._study: optuna.Study | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Look the study up."""
        self.verdict, self.agreed = "", False
        if not trainer.is_global_zero:
            return
        try:
            if not (self.folder / journal.NAME).is_file():
                raise FileNotFoundError(f"{self.folder / journal.NAME} is not there")
            storage = journal.storage(self.folder)
            self._study = optuna.load_study(study_name=journal.STUDY, storage=storage)
            if self._asked().state == TrialState.PRUNED:
                self.verdict = f"Trial {self.trial} of the study was given up before"
        except Exception as error:  # no study is worth a run
            self._lose(error)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report the epoch before, and ask."""
        if trainer.is_global_zero and not self.verdict:
            self._report(pl_module.rows, ask=True)
        self.agreed = bool(self.verdict)
        if trainer.world_size > 1:
            mine = torch.tensor(int(self.agreed), device=trainer.strategy.root_device)
            self.agreed = bool(trainer.strategy.reduce(mine, reduce_op="max"))

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Give up: the epoch's beginning is saved by now."""
        if self.agreed:
            raise Pruned(f"{self.verdict or 'The first process gave it up'}.")

    def on_train_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Report the last epoch, after which there is nothing to give up."""
        if trainer.is_global_zero:
            self._report(pl_module.rows, ask=False)
        self._study = None

    def _report(self, rows: list[dict[str, float]], *, ask: bool) -> None:
        value = rows[-1].get(self.objective) if rows else None
        if self._study is None or value is None:
            return
        epoch = int(rows[-1]["epoch"])
        try:
            asked = self._asked()
            if asked.state != TrialState.RUNNING:
                return
            if epoch not in asked.intermediate_values:  # a run that goes on comes by epochs that it has reported
                self._study._storage.set_trial_intermediate_value(asked._trial_id, epoch, value)
            if ask and self.pruner.prune(self._study, self._asked()):
                self.verdict = f"It had fallen behind after epoch {epoch}, with {self.objective} {value:.4g}"
        except Exception as error:  # no study is worth a run
            self._lose(error)

    def _asked(self) -> optuna.trial.FrozenTrial:
        assert self._study is not None
        return self._study.get_trials(deepcopy=False)[self.trial]

    def _lose(self, error: Exception) -> None:
        self._study = None
        log.warning("the study cannot be reached (%s): the run goes on, and is not given up.", error)
