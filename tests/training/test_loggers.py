"""What all loggers promise, and the logger of metrics.csv."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from snnlab import files
from snnlab.errors import FailedRun, WrongOption
from snnlab.registry import build, get, names
from snnlab.training.loggers.base import Guest, RunLogger
from snnlab.training.table import read

WITH_FILES = [name for name in names("logger") if name != "none"]


def row(epoch: int, **numbers: float) -> dict[str, float]:
    return {"epoch": epoch, "step": 20 * (epoch + 1), "train/loss": 1 / (epoch + 3)} | numbers


def csv(folder: Path) -> Any:
    return build("logger", "csv", folder=str(folder))()


class Broken(Guest):
    """A logger whose library fails in the named calls."""

    def __init__(self, folder: Path, *fails: str) -> None:
        super().__init__(folder, "broken")
        self.fails, self.called = fails, list[str]()

    def _open(self, rows: Sequence[Mapping[str, float]]) -> None:
        self.call("open")

    def _write(self, row: Mapping[str, float]) -> None:
        self.call("write")

    def _close(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        self.call("close")

    def call(self, name: str) -> None:
        self.called.append(name)
        if name in self.fails:
            raise ConnectionError(f"no {name}\nand more")


def run(logger: RunLogger) -> None:
    logger.begin({}, [])
    logger.log_metrics(row(0), 20)
    logger.log_metrics(row(1), 40)
    logger.finalize("success")  # Lightning, after the training
    logger.end("completed", {}, [])


@pytest.mark.parametrize("name", WITH_FILES)
def test_a_logger_writes_into_the_runs_folder_only_when_a_run_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger = build("logger", name, folder=str(tmp_path))()
    assert isinstance(logger, RunLogger)
    assert (logger.name, logger.version) == (name, "")
    logger.log_hyperparams({"a": 1})
    assert list(tmp_path.iterdir()) == []


def test_none_is_no_logger() -> None:
    assert get("logger", "none")() is None


@pytest.mark.parametrize(
    ("fails", "called"),
    [
        (("open",), ["open", "close"]),
        (("write",), ["open", "write", "close"]),
        (("close",), ["open", "write", "write", "close"]),
        (("open", "write", "close"), ["open", "close"]),
    ],
)
def test_a_library_that_fails_is_told_once_and_the_run_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fails: tuple[str, ...], called: list[str]
) -> None:
    logger = Broken(tmp_path, *fails)
    run(logger)
    assert logger.called == called
    assert [record.getMessage() for record in caplog.records] == [
        f"logger=broken: it failed: ConnectionError: no {fails[0]} and more. The run goes on without it."
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_signal_is_no_failure_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def stop(row: Mapping[str, float]) -> None:
        raise error

    logger = Broken(tmp_path)
    monkeypatch.setattr(logger, "_write", stop)
    with pytest.raises(error):
        run(logger)


def test_the_table_is_whole_after_each_epoch(tmp_path: Path) -> None:
    logger = csv(tmp_path)
    logger.begin({}, [])
    for epoch in range(5):
        logger.log_metrics(row(epoch), epoch)
        assert read(tmp_path / "metrics.csv") == [row(before) for before in range(epoch + 1)]
        assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_the_table_goes_on_after_the_rows_of_the_checkpoint(tmp_path: Path) -> None:
    killed = csv(tmp_path)
    killed.begin({}, [])
    for epoch in range(4):
        killed.log_metrics(row(epoch, killed=1.0), epoch)
    logger = csv(tmp_path)
    logger.begin({}, [row(0), row(1)])
    assert read(tmp_path / "metrics.csv") == [row(0), row(1)]
    logger.log_metrics(row(2), 60)
    assert read(tmp_path / "metrics.csv") == [row(0), row(1), row(2)]


def test_a_new_run_has_no_table_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch\n0\n")
    csv(tmp_path).begin({}, [])
    assert not (tmp_path / "metrics.csv").exists()


def test_numbers_of_an_epoch_that_come_in_two_calls_are_one_row(tmp_path: Path) -> None:
    logger = csv(tmp_path)
    logger.begin({}, [])
    logger.log_metrics(row(0), 20)
    logger.log_metrics({"epoch": 0, "mine": 2.0}, 20)
    assert read(tmp_path / "metrics.csv") == [row(0, mine=2.0)]


def test_a_full_disk_ends_the_run_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    logger = csv(tmp_path)
    logger.begin({}, [])
    monkeypatch.setattr(files, "write_text", full)
    with pytest.raises(FailedRun, match=r"metrics\.csv: it could not be written .*No space left"):
        logger.log_metrics(row(0), 20)


def test_tensorboard_without_its_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(WrongOption, match="pip install tensorboard"):
        build("logger", "tensorboard", folder=str(tmp_path))()
