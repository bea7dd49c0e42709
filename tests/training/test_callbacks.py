"""Callbacks that a run may have beside its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from snnlab.training.table import read

STILL = ("callback=[early_stopping]", "callback.early_stopping.patience=2", "neuron.threshold=1000.0")


def epochs(folder: Path) -> int:
    return len(read(folder / "metrics.csv"))


def test_a_run_that_does_not_become_better_ends_after_its_patience(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.max_epochs=9")) == 3


def test_a_run_that_becomes_better_goes_on(train: Callable[..., Path]) -> None:
    words = ("callback=[early_stopping]", "callback.early_stopping.patience=1")
    assert epochs(train(*words, "trainer.max_epochs=4", "monitor=val/loss")) == 4


def test_a_change_below_min_delta_does_not_count(train: Callable[..., Path]) -> None:
    words = ("callback=[early_stopping]", "callback.early_stopping.patience=1", "monitor=train/loss")
    assert epochs(train(*words, "callback.early_stopping.min_delta=100.0", "trainer.max_epochs=4")) == 2


def test_patience_counts_only_epochs_with_a_validation(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=9")) == 6


def test_a_run_too_short_for_a_validation_ends_well(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.max_steps=5")) == 1


def test_early_stopping_without_validation_is_told(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("train", "callback=[early_stopping]", "trainer.limit_val_batches=0", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "callback=early_stopping: it looks at val/accuracy" in ran.err
