"""What a run says."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.training.console import log, speaking
from snnlab.training.loggers.epoch_lines import EpochLines


def test_there_is_a_line_an_epoch_on_the_console_and_with_times_in_the_log(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab("train", "trainer.max_epochs=2", "network.hidden=[32]", "plots=false", "output_dir=run")
    lines = [line for line in ran.out.splitlines() if line.startswith("epoch ")]
    pair = r"\d\.\d{4} \(val \d\.\d{4}\)"
    numbers = rf"loss {pair}  accuracy {pair}  rates of layers 0\.\d{{3}} 0\.\d{{3}}  \d+\.\d s"
    assert [bool(re.fullmatch(rf"epoch {i}/1  {numbers}", line)) for i, line in enumerate(lines)] == [True, True]
    logged = (tmp_path / "run" / "log.txt").read_text().splitlines()
    for line in lines:
        assert [re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO " + re.escape(line), found) for found in logged]
        assert sum(found.endswith(line) for found in logged) == 1


def test_the_first_and_the_last_words_tell_data_network_metrics_and_what_to_do_next(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("train", "trainer.max_epochs=1", "network.hidden=[32]", "plots=false", "output_dir=run")
    assert "digits (1257 train, 180 val, 360 test) - 32 LIF - 10 LIF; 2,410 trained numbers; seed 0" in ran.out
    assert re.search(r"^test/accuracy +0\.\d{4}$", ran.out, re.MULTILINE)
    assert ran.out.rstrip().endswith("snnlab evaluate run")


def test_where_a_bar_is_drawn_it_has_the_numbers_and_lines_go_to_the_log_only(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab(
        "train",
        "trainer.max_epochs=1",
        "network.hidden=[32]",
        "trainer.enable_progress_bar=true",
        "plots=false",
        "output_dir=run",
    )
    assert ran.code == 0, ran.err
    assert "val/accuracy" in ran.out
    assert "epoch 0/0" not in ran.out
    assert "epoch 0/0" in (tmp_path / "run" / "log.txt").read_text()


def test_an_error_is_in_the_log_and_on_the_console_once(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    ran = snnlab("train", "trainer.max_epochs=0", "output_dir=run")
    assert "no epoch was trained" not in ran.out
    assert ran.err.count("no epoch was trained") == 1
    assert (tmp_path / "run" / "log.txt").read_text().count("no epoch was trained") == 1


def test_other_processes_than_the_first_say_only_why_they_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with speaking(tmp_path, bar=False, main=False):
        log.info("a line")
        log.warning("a warning")
        log.error("an error")
    assert capsys.readouterr().out == ""
    assert [line.partition(" ERROR ")[2] for line in (tmp_path / "log.txt").read_text().splitlines()] == ["an error"]


def test_nothing_of_the_run_stays_with_the_log(tmp_path: Path) -> None:
    before = (list(log.handlers), log.level, log.propagate)
    with pytest.raises(RuntimeError), speaking(tmp_path, bar=False):
        raise RuntimeError
    assert (list(log.handlers), log.level, log.propagate) == before


def test_only_warnings_that_nobody_can_do_anything_about_are_kept_back(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with speaking(tmp_path, bar=False):
            warnings.warn("The 'val_dataloader' does not have many workers which may be a bottleneck.", stacklevel=1)
            warnings.warn("something of the user's own", stacklevel=1)
        warnings.warn("it does not have many workers", stacklevel=1)
    assert [str(warning.message) for warning in caught] == [
        "something of the user's own",
        "it does not have many workers",
    ]


def test_an_epoch_without_validation_shows_no_number_of_an_earlier_one(caplog: pytest.LogCaptureFixture) -> None:
    lines = EpochLines(2)
    with caplog.at_level(logging.INFO, "snnlab"):
        lines.log_metrics({"epoch": 0, "val/loss": 2.0, "train/loss": 3.0, "train/rate/0": 0.25, "lr": 1.0})
        lines.log_metrics({"train/loss": 1.0, "epoch": 1})
    shown = [re.sub(r"  \d+\.\d s$", "", message) for message in caplog.messages]
    assert shown == ["epoch 0/1  loss 3.0000 (val 2.0000)  rates of layers 0.250", "epoch 1/1  loss 1.0000"]
