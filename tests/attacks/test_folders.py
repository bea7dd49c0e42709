"""Hostile folders: a run that goes on writes into its own folder and nowhere else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.errors import BadData
from snnlab.training.resume import checkpoint_to_go_on_from
from snnlab.training.stored import stored_config


def unfinished(run: Path) -> None:
    (run / "result.json").unlink()


def a_log_that_is_somebodys_startup_file(run: Path) -> None:
    unfinished(run)
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(run.parent / "outside" / ".bashrc")


def a_log_above_the_folder(run: Path) -> None:
    unfinished(run)
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to("../log.txt")


def a_link_to_itself(run: Path) -> None:
    unfinished(run)
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to("log.txt")


def checkpoints_elsewhere(run: Path) -> None:
    unfinished(run)
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(run.parent / "outside")


def plots_elsewhere(run: Path) -> None:
    unfinished(run)
    (run / "plots").symlink_to(run.parent / "outside")


def events_elsewhere(run: Path) -> None:
    unfinished(run)
    (run / "tensorboard").symlink_to(run.parent / "outside")


def files_of_wandb_elsewhere(run: Path) -> None:
    unfinished(run)
    (run / "wandb").mkdir()
    (run / "wandb" / "latest-run").symlink_to(run.parent / "outside")


def a_table_elsewhere(run: Path) -> None:
    unfinished(run)
    (run / "metrics.csv").unlink()
    (run / "metrics.csv").symlink_to(run.parent / "outside" / "metrics.csv")


def a_folder_in_place_of_the_log(run: Path) -> None:
    unfinished(run)
    (run / "log.txt").unlink()
    (run / "log.txt").mkdir()


WAYS_OUT = [
    a_log_that_is_somebodys_startup_file,
    a_log_above_the_folder,
    a_link_to_itself,
    checkpoints_elsewhere,
    plots_elsewhere,
    events_elsewhere,
    files_of_wandb_elsewhere,
    a_table_elsewhere,
    a_folder_in_place_of_the_log,
]


@pytest.mark.parametrize("forge", WAYS_OUT)
def test_a_run_does_not_go_on_in_a_folder_with_a_way_out(forge: Callable[[Path], None], refused: Any) -> None:
    refused(forge, ["resume", "resolved"])


@pytest.mark.parametrize("forge", [a_log_that_is_somebodys_startup_file, checkpoints_elsewhere])
def test_a_run_does_not_begin_in_a_folder_with_a_way_out(forge: Callable[[Path], None], refused: Any) -> None:
    refused(forge, ["again"])


def test_links_within_the_folder_and_to_the_folder_are_taken(twin: Path, tmp_path: Path) -> None:
    (twin / "wandb").mkdir()
    (twin / "wandb" / "latest-run").symlink_to("../checkpoints")
    (tmp_path / "link").symlink_to(twin)
    config = stored_config(twin / "checkpoints" / "last.ckpt")
    assert checkpoint_to_go_on_from(tmp_path / "link", config, longer=False) is not None
    (twin / "wandb" / "latest-run").unlink()
    (twin / "wandb" / "latest-run").symlink_to("../../link/../outside")
    with pytest.raises(BadData, match="out of the run's folder"):
        checkpoint_to_go_on_from(tmp_path / "link", config, longer=False)


@pytest.mark.parametrize("words", [["evaluate", "{}"], ["train", "resume={}"], ["train", "weights={}"]])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_run_that_is_no_folder_and_no_file_is_refused(
    words: list[str], kind: str, opens: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    opens(*(word.format(path) for word in words), like="evaluate" if words[0] == "evaluate" else "weights")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_configuration_that_is_no_file_is_refused(kind: str, opens: Any, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    opens("train", "--resolved", str(path), like="resolved")


EXPERIMENT = """# @package _global_
neuron:
  _target_: os.system
  command: touch canary.txt
"""
CALLBACKS = """# @package _global_
time:
  steps: 10
hydra:
  callbacks:
    evil:
      _target_: canary.Evil
  job:
    env_set:
      EVIL: "${oc.env:SECRET}"
"""


@pytest.mark.parametrize(("text", "code"), [(EXPERIMENT, 2), (CALLBACKS, 0)], ids=["a part", "a callback of Hydra"])
def test_a_single_run_instantiates_nothing_that_an_experiment_names(
    text: str, code: int, watched: Any, tmp_path: Path
) -> None:
    """With -m, Hydra itself would: a sweep trusts the conf/ of its own working folder."""
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "evil.yaml").write_text(text)
    (tmp_path / "canary.py").write_text("class Evil: pass\n")
    words = ["train", "--cfg", "job", "experiment=evil"]
    opened = watched.open("command", words, like="again", cwd=str(tmp_path))
    assert (opened.code, opened.counted) == (code, [])
    assert "swordfish" not in opened.out + opened.err
