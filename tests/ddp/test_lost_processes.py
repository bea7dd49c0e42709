"""One of two processes is killed or told to end: the other ends too, says why, and the run goes on exactly."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.training import checkpoint, table

pytestmark = pytest.mark.crash

TWO = ("trainer=ddp_cpu", "callback=[ending]", "checkpoint_minutes=0")
ALONE = ("trainer.devices=1", "trainer.strategy=auto")


def numbers(folder: Path) -> tuple[Any, ...]:
    """Rows, result, and weights after the last step."""
    result = json.loads((folder / "result.json").read_text())
    weights = checkpoint.load(folder / "checkpoints" / "last.ckpt")["state_dict"]
    return table.read(folder / "metrics.csv"), result["metrics"], {name: w.tolist() for name, w in weights.items()}


@pytest.fixture(scope="module")
def train(command: Callable[..., Any], small: tuple[str, ...]) -> Callable[..., Any]:
    def run(name: str, *words: str, ending: str = "") -> Any:
        more = {"SNNLAB_TEST_ENDING": ending} if ending else {}
        return command("-m", "snnlab", "train", *TWO, *small, *words, f"output_dir={name}", **more)

    return run


@pytest.fixture(scope="module")
def whole(train: Callable[..., Any], folder: Path) -> tuple[Any, ...]:
    """The numbers of two processes that nobody disturbed."""
    assert train("whole").returncode == 0
    return numbers(folder / "whole")


def test_a_killed_process_ends_the_other_and_the_same_command_goes_on(
    train: Callable[..., Any], folder: Path, whole: tuple[Any, ...]
) -> None:
    ended = train("killed", ending=f"1:6:{int(signal.SIGKILL)}")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("snnlab: process 1 of 2 was ended by signal 9, and the others with it. To go on:")
    assert train("killed").returncode == 0
    assert numbers(folder / "killed") == whole


def test_a_signal_to_one_process_saves_and_ends_both(
    train: Callable[..., Any], command: Callable[..., Any], folder: Path, whole: tuple[Any, ...]
) -> None:
    ended = train("told", ending=f"1:6:{int(signal.SIGTERM)}")
    assert ended.returncode == 128 + signal.SIGTERM
    (line,) = ended.stderr.splitlines()
    assert line.startswith("snnlab: stopped by SIGTERM in epoch 1, step 6.")
    assert command("-m", "snnlab", "train", "resume=told").returncode == 0
    assert numbers(folder / "told") == whole


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_process_while_it_is_tested_ends_both(
    rank: int, train: Callable[..., Any], folder: Path, whole: tuple[Any, ...]
) -> None:
    name = f"tested{rank}"
    ended = train(name, ending=f"{rank}:-2:{int(signal.SIGTERM)}")
    assert ended.returncode == 128 + signal.SIGTERM
    assert len(ended.stderr.splitlines()) == 1
    assert train(name).returncode == 0
    assert numbers(folder / name) == whole


def test_a_run_of_one_process_goes_on_with_two_on_the_same_batches(
    train: Callable[..., Any], command: Callable[..., Any], folder: Path, whole: tuple[Any, ...]
) -> None:
    ended = train("one", *ALONE, ending=f"0:3:{int(signal.SIGTERM)}")
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert command("-m", "snnlab", "train", "resume=one", "trainer.devices=2", "trainer.strategy=ddp").returncode == 0
    rows, metrics, weights = numbers(folder / "one")
    for mine, theirs in zip(rows, whole[0], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-6)
    assert metrics == pytest.approx(whole[1], rel=1e-6)
    for name, values in weights.items():  # roundings of float32 sums over eight steps
        torch.testing.assert_close(torch.tensor(values), torch.tensor(whole[2][name]), rtol=1e-4, atol=1e-6)


def test_an_error_in_one_process_is_told_once_with_its_reason(train: Callable[..., Any]) -> None:
    ended = train("failed", ending="1:6:0")
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert "process 1 of 2 ended with exit code 1" in line
    assert "It said: RuntimeError: nothing goes any more" in line


def test_both_stop_early_together(train: Callable[..., Any], folder: Path) -> None:
    words = ("callback=[early_stopping]", "callback.early_stopping.patience=1", "optimizer.lr=1e-9")
    ended = train("early", *words, "trainer.max_epochs=30")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads((folder / "early" / "result.json").read_text())["epochs"] < 30
    assert "Traceback" not in (folder / "early" / "log.txt").read_text()
