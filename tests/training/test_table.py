"""metrics.csv as a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from snnlab.training.table import read, write

NUMBERS = ("loss", "accuracy", "rate/0", "silent/0", "rate/1", "silent/1")


def test_there_is_one_row_an_epoch_with_the_numbers_of_train_and_val(finished: Path) -> None:
    rows = read(finished / "metrics.csv")
    assert [row["epoch"] for row in rows] == [0, 1]
    assert [row["step"] for row in rows] == [20, 40]
    for row in rows:
        assert set(row) == {"epoch", "step", "lr", *(f"{stage}/{n}" for stage in ("train", "val") for n in NUMBERS)}
        assert row["lr"] == float(f"{row['lr']}")
    assert len((finished / "metrics.csv").read_text().splitlines()) == 3


def test_an_epoch_without_validation_has_empty_cells_not_old_numbers(train: Callable[..., Path]) -> None:
    rows = read(train("trainer.check_val_every_n_epoch=2", "trainer.max_epochs=3") / "metrics.csv")
    assert [any(name.startswith("val/") for name in row) for row in rows] == [False, True, False]
    assert all("train/loss" in row for row in rows)


def test_numbers_come_back_to_the_last_bit(tmp_path: Path) -> None:
    rows = [
        {"epoch": 0, "small": 5e-324, "sum": 0.1 + 0.2, "large": 1.7976931348623157e308},
        {"epoch": 1, "none": -0.0},
    ]
    write(tmp_path / "metrics.csv", rows)
    assert [list(map(repr, row.values())) for row in read(tmp_path / "metrics.csv")] == [
        ["0.0", "5e-324", "0.30000000000000004", "1.7976931348623157e+308"],
        ["1.0", "-0.0"],
    ]


def test_nan_is_no_empty_cell(tmp_path: Path) -> None:
    write(tmp_path / "metrics.csv", [{"epoch": 0, "loss": float("nan")}, {"epoch": 1}])
    first, second = read(tmp_path / "metrics.csv")
    assert first["loss"] != first["loss"]
    assert second == {"epoch": 1}


def test_columns_that_come_later_do_not_break_the_table(tmp_path: Path) -> None:
    rows = [{"epoch": 0, "train/loss": 2.0}, {"epoch": 1, "train/loss": 1.0, "val/loss": 1.5}]
    write(tmp_path / "metrics.csv", rows)
    assert read(tmp_path / "metrics.csv") == rows
