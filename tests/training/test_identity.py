"""What makes a run the same experiment."""

from __future__ import annotations

import copy
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.registry import register
from snnlab.training.identity import git, identity, plugin_parts, versions
from snnlab.training.stored import changed, stored_config


@pytest.fixture
def config(finished: Path) -> dict[str, Any]:
    """A complete configuration, as a run keeps it."""
    return stored_config(finished / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize(
    "changes",
    [
        {"output_dir": "elsewhere"},
        {"plots": False},
        {"experiment": None},
        {"logger": {}},
        {"trainer.devices": 2, "trainer.strategy": "ddp", "trainer.accelerator": "cpu", "trainer.num_nodes": 2},
        {"trainer.enable_progress_bar": True, "trainer.log_every_n_steps": 1, "trainer.profiler": "simple"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_cannot_change_the_numbers_is_left_out(config: dict[str, Any], changes: dict[str, Any]) -> None:
    assert identity(changed(config, changes)) == identity(config)


def test_where_the_data_lie_is_left_out(config: dict[str, Any]) -> None:
    ids = {identity(config | {"dataset": {"name": "mnist", "folder": folder}}) for folder in ("here", "there")}
    assert len(ids) == 1
    assert ids != {identity(config)}


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"batch_size": 32},
        {"monitor": "val/loss"},
        {"time.steps": 11},
        {"neuron.tau": 11.0},
        {"neuron.surrogate": "atan"},
        {"optimizer.lr": 0.1},
        {"layers": {"0": {"neuron": {"tau": 3.0}}}},
        {"metric": {}},
        {"regularizer": {"rate_l2": {}}},
        {"trainer.max_epochs": 3},
        {"trainer.precision": "bf16-mixed"},
        {"trainer.accumulate_grad_batches": 2},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_can_change_the_numbers_counts(config: dict[str, Any], changes: dict[str, Any]) -> None:
    assert identity(changed(config, changes)) != identity(config)


def test_the_order_of_options_does_not_count(config: dict[str, Any]) -> None:
    turned = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in config.items()}
    assert identity(dict(reversed(turned.items()))) == identity(config)


def test_the_id_of_a_run_is_that_of_its_configuration(
    finished: Path, config: dict[str, Any], result: Callable[[Path], dict[str, Any]]
) -> None:
    assert result(finished)["id"] == identity(config)


def test_parts_from_outside_are_found_wherever_they_stand(config: dict[str, Any], own_parts: None) -> None:
    @register("surrogate")
    def mine(x: Any) -> Any:
        return x

    @register("init")
    def my_init(shape: Any, fan_in: int, generator: Any) -> Any:
        return None

    @register("metric")
    def my_metric() -> Any:
        return None

    assert plugin_parts(config) == []
    outside = copy.deepcopy(config)
    outside["layers"] = {"0": {"neuron": {"surrogate": {"name": "mine"}}}}
    outside["synapse"]["bias_init"] = {"name": "my_init"}
    outside["metric"]["my_metric"] = {}
    found = [(part["family"], part["name"]) for part in plugin_parts(outside)]
    assert found == [("init", "my_init"), ("metric", "my_metric"), ("surrogate", "mine")]
    assert {part["plugin"] for part in plugin_parts(outside)} == {Path(__file__).name}
    assert {len(part["sha256"]) for part in plugin_parts(outside)} == {64}


def test_files_of_the_users_own_dataset_count(config: dict[str, Any], tmp_path: Path, own_parts: None) -> None:
    from snnlab.data.base import Dataset

    @register("dataset")
    class Mine(Dataset):
        path: str = ""

    file = tmp_path / "data.npy"
    mine = config | {"dataset": {"name": "mine", "path": str(file)}}
    file.write_bytes(b"one")
    one = identity(mine)
    assert identity(mine) == one
    file.write_bytes(b"two")
    assert identity(mine) != one


def test_the_commit_and_whether_files_differ_from_it_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert git() is None
    person = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    (tmp_path / "file").write_text("one")
    for words in (("init", "-q"), ("add", "file"), (*person, "commit", "-q", "-m", "one")):
        subprocess.run(["git", *words], check=True)
    found = git()
    assert found is not None
    assert (len(found["commit"]), found["dirty"]) == (40, False)
    (tmp_path / "other").write_text("not of the repository: runs/ would be one")
    assert git() == found
    (tmp_path / "file").write_text("two")
    assert git() == found | {"dirty": True}


def test_versions_are_those_of_what_computes() -> None:
    assert set(versions()) == {"snnlab", "python", "torch", "lightning", "numpy"}
    assert all(isinstance(value, str) and value for value in versions().values())
