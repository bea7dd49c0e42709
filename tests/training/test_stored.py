"""Runs on disk: found by what a user calls them, with their configuration."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.errors import BadData, WrongOption
from snnlab.training.stored import changed, find, stored_config


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A working folder with four runs, the first the newest."""
    runs = {"runs/a/1": "aaaa11", "runs/a/2": "aaaa22", "sweeps/b/c/seed=0_bbbb33": "bbbb33", "runs/a/4": "bbbb33"}
    for age, (name, run_id) in enumerate(runs.items()):
        (tmp_path / name / "checkpoints").mkdir(parents=True)
        for kind in ("best", "last"):
            (tmp_path / name / "checkpoints" / f"{kind}.ckpt").write_bytes(b"")
        (tmp_path / name / "result.json").write_text(json.dumps({"id": run_id}))
        time = [50, 20, 30, 40][age]
        os.utime(tmp_path / name / "result.json", (time, time))
    (tmp_path / "runs" / "killed" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "killed" / "checkpoints" / "last.ckpt").write_bytes(b"")
    return tmp_path


def found(root: Path, run: str) -> str:
    return str(find(run, root).relative_to(root))


def test_a_run_is_found_by_its_folder_and_by_a_checkpoint(root: Path) -> None:
    best = "runs/a/1/checkpoints/best.ckpt"
    for run in ("runs/a/1", "runs/a/1/", best, str(root / "runs" / "a" / "1"), str(root / best)):
        assert found(root, run) == best


def test_a_run_without_a_best_epoch_gives_its_last(root: Path) -> None:
    assert found(root, "runs/killed") == "runs/killed/checkpoints/last.ckpt"


def test_last_is_the_newest_finished_run(root: Path) -> None:
    assert found(root, "last") == "runs/a/1/checkpoints/best.ckpt"
    (root / "runs" / "a" / "1" / "result.json").unlink()
    (root / "runs" / "a" / "4" / "result.json").unlink()
    assert found(root, "last") == "sweeps/b/c/seed=0_bbbb33/checkpoints/best.ckpt"


def test_a_run_is_found_by_the_beginning_of_its_id(root: Path) -> None:
    assert found(root, "aaaa2") == "runs/a/2/checkpoints/best.ckpt"
    assert found(root, "aaaa22") == "runs/a/2/checkpoints/best.ckpt"


def test_of_one_experiment_that_ran_twice_the_newer_run_is_found(root: Path) -> None:
    assert found(root, "bbbb") == "runs/a/4/checkpoints/best.ckpt"


def test_a_beginning_that_several_ids_share_is_refused_with_their_folders(root: Path) -> None:
    with pytest.raises(WrongOption, match=r"aaaa: the ids of 2 runs begin so: .*runs/a/2.*runs/a/1"):
        find("aaaa", root)


@pytest.mark.parametrize("run", ["cccc", "aaa", "runs/none", ""])
def test_a_run_that_is_not_there_is_told(root: Path, run: str) -> None:
    with pytest.raises(BadData, match=r"there is no such run|it holds no checkpoint"):
        find(run, root)


def test_a_folder_that_is_no_run_is_told(root: Path) -> None:
    shutil.rmtree(root / "runs" / "a" / "1" / "checkpoints")
    (root / "runs" / "a" / "1" / "checkpoints" / "best.ckpt").mkdir(parents=True)
    for run in ("runs", "runs/a/1"):
        with pytest.raises(BadData, match="it holds no checkpoint"):
            find(run, root)


def test_without_any_run_last_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"last: there is no result\.json"):
        find("last", tmp_path)


def test_a_damaged_result_of_another_run_does_not_hide_this_one(root: Path) -> None:
    for text in ("{", "[]", "3"):
        (root / "runs" / "a" / "1" / "result.json").write_text(text)
        assert found(root, "aaaa") == "runs/a/2/checkpoints/best.ckpt"


def test_the_configuration_of_a_checkpoint_is_complete_and_plain(finished: Path) -> None:
    config = stored_config(finished / "checkpoints" / "best.ckpt")
    assert json.loads(json.dumps(config)) == config
    assert config["neuron"]["threshold"] == 1.0
    assert config["trainer"] == {"max_epochs": 2}


def test_a_checkpoint_that_needs_a_plugin_names_the_plugins_file(finished: Path, tmp_path: Path) -> None:
    loaded = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    part = {"family": "neuron", "name": "adaptive", "plugin": "my_neurons.py", "sha256": ""}
    loaded["snnlab"]["config"]["neuron"] = {"name": "adaptive"}
    loaded["snnlab"]["plugins"] = [part]
    torch.save(loaded, tmp_path / "x.ckpt")
    told = r"needs the neuron adaptive of the plugin file my_neurons\.py.*SNNLAB_PLUGINS"
    with pytest.raises(WrongOption, match=told):
        stored_config(tmp_path / "x.ckpt")


@pytest.mark.parametrize("damage", [{}, {"config": 3}, {"config": {"neuron": "lif"}}, {"config": {}, "plugins": 3}])
def test_a_configuration_that_is_none_is_told(tmp_path: Path, damage: dict[str, Any]) -> None:
    torch.save({"state_dict": {}, "snnlab": damage}, tmp_path / "x.ckpt")
    with pytest.raises((BadData, WrongOption)):
        stored_config(tmp_path / "x.ckpt")


def test_changes_are_made_to_a_copy_and_checked(finished: Path) -> None:
    config = stored_config(finished / "checkpoints" / "best.ckpt")
    new = changed(config, {"batch_size": 500, "trainer.precision": "bf16-mixed", "neuron.surrogate.slope": 3.0})
    assert (new["batch_size"], new["trainer"]["precision"], new["neuron"]["surrogate"]["slope"]) == (
        *(500, "bf16-mixed"),
        3.0,
    )
    assert (config["batch_size"], config["trainer"]) == (64, {"max_epochs": 2})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"batchsize": 3}, "Did you mean batch_size?"),
        ({"neuron.tua": 3.0}, "neuron.tua"),
        ({"neuron.tau.more": 3.0}, "neuron.tau.more"),
        ({"trainer.precison": "32"}, "Did you mean precision?"),
        ({"batch_size": "many"}, "batch_size: "),
        ({"neuron.tau": -1.0}, "neuron.tau: -1.0"),
        ({"nothing.at.all": 1}, "nothing.at.all"),
    ],
)
def test_a_change_that_cannot_be_is_told(finished: Path, changes: dict[str, Any], told: str) -> None:
    config = stored_config(finished / "checkpoints" / "best.ckpt")
    with pytest.raises(WrongOption) as caught:
        changed(config, changes)
    assert told in str(caught.value)
