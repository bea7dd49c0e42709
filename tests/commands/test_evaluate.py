"""`snnlab evaluate`: the metrics of a run, from its checkpoint alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.commands import main


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with one finished run in runs/run. For reading only."""
    folder = tmp_path_factory.mktemp("evaluated")
    words = ("trainer.max_epochs=2", "network.hidden=[32]", "plots=false", f"output_dir={folder / 'runs' / 'run'}")
    assert main(["train", *words]) == 0
    return folder


@pytest.fixture
def run(root: Path) -> Path:
    """The folder of the run."""
    return root / "runs" / "run"


def expected(run: Path, stage: str = "test") -> dict[str, float]:
    metrics = json.loads((run / "result.json").read_text())["metrics"]
    return {name: value for name, value in metrics.items() if name.startswith(f"{stage}/")}


def evaluated(snnlab: Callable[..., Any], *words: str) -> dict[str, float]:
    ran = snnlab("evaluate", *words, "--json")
    assert (ran.code, ran.err) == (0, "")
    metrics: dict[str, float] = json.loads(ran.out)["metrics"]
    return metrics


def test_it_gives_the_metrics_of_the_result_exactly_from_any_working_folder(
    snnlab: Callable[..., Any], run: Path
) -> None:
    assert evaluated(snnlab, str(run)) == expected(run)
    assert evaluated(snnlab, str(run / "checkpoints" / "best.ckpt")) == expected(run)


def test_a_checkpoint_alone_is_enough(snnlab: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "checkpoints" / "best.ckpt", tmp_path / "alone.ckpt")
    assert evaluated(snnlab, "alone.ckpt") == expected(run)


def test_last_and_the_beginning_of_an_id_name_it_in_its_working_folder(
    snnlab: Callable[..., Any], root: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    run_id = json.loads((run / "result.json").read_text())["id"]
    for name in ("last", run_id[:6], "runs/run"):
        assert evaluated(snnlab, name) == expected(run)


def test_val_gives_the_numbers_that_chose_the_epoch(snnlab: Callable[..., Any], run: Path) -> None:
    assert evaluated(snnlab, str(run), "--split", "val") == expected(run, "val")


def test_the_size_of_batches_changes_roundings_only(snnlab: Callable[..., Any], run: Path) -> None:
    found = evaluated(snnlab, str(run), "batch_size=7")
    assert found == pytest.approx(expected(run), rel=1e-5)
    assert found["test/accuracy"] == expected(run)["test/accuracy"]


def test_half_precision_is_evaluated(snnlab: Callable[..., Any], run: Path) -> None:
    found = evaluated(snnlab, str(run), "trainer.precision=bf16-mixed")
    assert found != expected(run)
    assert found["test/accuracy"] == pytest.approx(expected(run)["test/accuracy"], abs=0.1)


def test_the_page_has_every_number(snnlab: Callable[..., Any], run: Path) -> None:
    ran = snnlab("evaluate", str(run))
    assert ran.out.splitlines()[0].endswith("best.ckpt")
    for name, value in expected(run).items():
        assert [name, f"{value:.4f}"] in [line.split() for line in ran.out.splitlines()]


def test_it_writes_nothing(snnlab: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    before = sorted(run.rglob("*"))
    snnlab("evaluate", str(run))
    assert sorted(run.rglob("*")) == before
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("neuron.tua=3", "neuron.tua"),
        ("batchsize=3", "Did you mean batch_size?"),
        ("batch_size=0", "batch_size: 0"),
        ("batch_size=1,2", "it takes name=value"),
        ("batch_size", "batch_size"),
        ("trainer.acelerator=gpu", "Did you mean accelerator?"),
        ("trainer.accelerator=tpu", "trainer: Lightning refuses it"),
    ],
)
def test_a_change_that_cannot_be_is_told(snnlab: Callable[..., Any], run: Path, word: str, told: str) -> None:
    ran = snnlab("evaluate", str(run), word)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran
    assert told in ran.err


def test_weights_that_do_not_fit_the_network_are_told(snnlab: Callable[..., Any], run: Path) -> None:
    ran = snnlab("evaluate", str(run), "network.hidden=[16]")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "best.ckpt: its weights do not fit the network of this configuration." in ran.err
    assert "network.layers.0.synapse.weight" in ran.err


def test_a_damaged_checkpoint_is_told(snnlab: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    whole = (run / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(whole[: len(whole) // 2])
    ran = snnlab("evaluate", "cut.ckpt")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "checkpoint cut.ckpt: it is damaged" in ran.err


def test_weights_without_names_are_told(snnlab: Callable[..., Any], run: Path, tmp_path: Path) -> None:
    loaded = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    for state in ({}, [1], {"network.layers.0.synapse.weight": "text"}):
        torch.save(loaded | {"state_dict": state}, tmp_path / "x.ckpt")
        ran = snnlab("evaluate", "x.ckpt")
        assert ran.code in (1, 2) and ran.err.count("\n") == 1, state


def test_a_run_that_is_not_there_is_told(snnlab: Callable[..., Any]) -> None:
    for name in ("nothing", "last"):
        ran = snnlab("evaluate", name)
        assert (ran.code, ran.err.count("\n")) == (1, 1)
