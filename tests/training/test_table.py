"""metrics.csv."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snnlab.training.table import TableLogger, read

NUMBERS = ("loss", "accuracy", "rate/0", "silent/0", "rate/1", "silent/1")


def test_there_is_one_row_an_epoch_with_the_numbers_of_train_and_val(finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    assert [row["step"] for row in rows] == [19, 39]
    for row in rows:
        assert set(row) == {"epoch", "step", "lr", *(f"{stage}/{n}" for stage in ("train", "val") for n in NUMBERS)}
        assert row["lr"] == float(f"{row['lr']}")
    assert len((finished / "metrics.csv").read_text().splitlines()) == 3


def test_an_epoch_without_validation_has_empty_cells_not_old_numbers(train: Callable[..., Path]) -> None:
    rows = read(train("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3") / "metrics.csv")
    assert [any(name.startswith("val/") for name in row) for row in rows] == [False, True, False]
    assert all("train/loss" in row for row in rows)


def test_columns_that_come_later_do_not_break_the_table(tmp_path: Path) -> None:
    logger = TableLogger(tmp_path)
    logger.log_metrics({"train/loss": 2.0, "epoch": 0}, 9)
    logger.log_metrics({"val/loss": 1.5, "epoch": 1}, 19)
    logger.log_metrics({"train/loss": 1.0, "epoch": 1}, 19)
    assert read(tmp_path / "metrics.csv") == [
        {"epoch": 0, "step": 9, "train/loss": 2.0},
        {"epoch": 1, "step": 19, "train/loss": 1.0, "val/loss": 1.5},
    ]


def test_the_table_is_whole_after_each_call(tmp_path: Path) -> None:
    logger = TableLogger(tmp_path)
    for epoch in range(5):
        logger.log_metrics({"train/loss": 1.0, "epoch": epoch}, epoch)
        assert len(read(tmp_path / "metrics.csv")) == epoch + 1
        assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]
