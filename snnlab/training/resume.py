"""Going on with a run: from which checkpoint, with which configuration, and what may be another one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnlab.errors import BadData, WrongOption
from snnlab.options import options
from snnlab.registry import get
from snnlab.training import attempts, resumable
from snnlab.training import checkpoint as checkpoints
from snnlab.training.config import check_config, complete, flat
from snnlab.training.folder import CONFIG
from snnlab.training.identity import WITHOUT_EFFECT, identity
from snnlab.training.plain import read_yaml
from snnlab.training.stored import changed, stored_config

LENGTHS = ("trainer.max_epochs", "trainer.max_time")
"""Options that make a run longer and leave what was trained as it is."""

MAY_CHANGE = (
    *LENGTHS,
    *(name for name in WITHOUT_EFFECT if name not in ("experiment", "output_dir", "callback.gradient_norms")),
)
"""What may be another one when a run goes on."""

FILES = ("config.yaml", "overrides.txt", "result.json", "log.txt", "metrics.csv", "wandb.json")
FOLDERS = (checkpoints.FOLDER, attempts.FOLDER, "plots", "tensorboard", "wandb")
"""What a run writes to, in its folder."""


def last_checkpoint(folder: Path) -> Path:
    """Where the run of a folder goes on from; there may be none yet."""
    return folder / checkpoints.FOLDER / "last.ckpt"


def continued(folder: Path, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with which the run of a folder goes on.

    Args:
        folder: the run's folder.
        changes: what is to be another one, as {"trainer.max_epochs": 200}.
    Raises: BadData, when the folder holds no run; WrongOption, for a change that would make it another run.
    """
    for key in changes:
        if not _among(key, MAY_CHANGE):
            raise WrongOption(
                f"{key}: a run goes on as it began. What may change: {', '.join(MAY_CHANGE)}. "
                "To start a new run from its weights: weights=RUN."
            )
    config = changed(_begun_with(folder), changes)
    config["output_dir"] = str(folder)
    if last_checkpoint(folder).is_file():
        _refuse_another_length(config, resumable.load(last_checkpoint(folder)))
    return config


def checkpoint_to_go_on_from(folder: Path, config: Mapping[str, Any], *, longer: bool) -> dict[str, Any] | None:
    """What the folder's last checkpoint holds if it is of the run with this configuration; None without one.

    Args:
        folder: the run's folder.
        config: a complete configuration.
        longer: whether the run may be a longer one than the checkpoint's.
    Raises: WrongOption, when the folder holds another run; BadData, when what it holds is damaged, or would let the run
        write elsewhere.
    """
    _refuse_ways_out(folder)
    path = last_checkpoint(folder)
    if not path.is_file():
        if not longer:  # one that goes on for longer was held against the folder already
            _refuse_if_another_began(folder, config)
        return None
    loaded = resumable.load(path)
    facts = loaded["snnlab"]
    if facts["id"] == identity_in(folder, config):
        return loaded
    differing = _differences(config, facts["config"])
    if differing and not set(differing) <= set(LENGTHS):
        raise _another_run(folder, f" It differs in {', '.join(differing[:5])}.")
    if not differing:
        raise _another_run(
            folder, " Its options are the same, but a plugin's source, the data or the weights it began with are not."
        )
    if not longer:
        raise _another_run(folder, f" To go on with it for longer: snnlab train resume={folder} {differing[0]}=…")
    return loaded


def identity_in(folder: Path, config: Mapping[str, Any]) -> str:
    """The id of a run in a folder; its checkpoint knows with which weights it began, whatever became of their run."""
    if config["weights"] is not None and last_checkpoint(folder).is_file():
        facts = resumable.load(last_checkpoint(folder))["snnlab"]
        if facts["config"].get("weights") == config["weights"] and isinstance(facts.get("weights"), str):
            return identity(config, facts["weights"])
    return identity(config)


def _begun_with(folder: Path) -> dict[str, Any]:
    """What config.yaml says, or the last checkpoint where it is gone or damaged."""
    try:
        config = read_yaml(folder / CONFIG)
        if isinstance(config, dict):
            check_config(config)
            return complete(config)
    except (OSError, BadData, WrongOption) as error:
        if not isinstance(error, OSError) and not last_checkpoint(folder).is_file():
            raise
    if not last_checkpoint(folder).is_file():
        raise BadData(
            f"{folder}: it holds no run that could go on: neither config.yaml nor {checkpoints.FOLDER}/last.ckpt."
        )
    return stored_config(last_checkpoint(folder))


def _refuse_ways_out(folder: Path) -> None:
    """Refuse a folder in which the run would write elsewhere, or wait: links out of it, pipes, devices.

    Raises: BadData.
    """
    if not os.path.isdir(folder):
        return
    inside = os.path.realpath(folder)
    paths = [folder / name for name in (*FILES, *FOLDERS)]
    for name in FOLDERS:
        paths += (folder / name).iterdir() if (folder / name).is_dir() else ()
    for path in filter(Path.is_symlink, paths):
        means = os.path.realpath(path)
        if os.path.islink(means) or not Path(means).is_relative_to(inside):
            raise BadData(f"{path}: it is a link out of the run's folder, and a run writes nowhere else. Remove it.")
    for names, is_so, kind in ((FILES, Path.is_file, "file"), (FOLDERS, Path.is_dir, "folder")):
        for path in (folder / name for name in names):
            if path.exists() and not is_so(path):
                raise BadData(f"{path}: it is no {kind}. Remove it.")


def _refuse_another_length(config: Mapping[str, Any], loaded: Mapping[str, Any]) -> None:
    epochs, before = config["trainer"].get("max_epochs"), loaded["snnlab"]["config"]["trainer"].get("max_epochs")
    if epochs == before:
        return
    if isinstance(epochs, int) and 0 <= epochs <= loaded["epoch"]:
        raise WrongOption(f"trainer.max_epochs: {epochs}. {loaded['epoch']} epochs are trained already. It takes more.")
    trained = len(loaded["snnlab"]["rows"])
    if loaded["callbacks"]["BestAndLast"]["ended"] and isinstance(before, int) and 0 <= trained < before:
        raise WrongOption(
            f"trainer.max_epochs: {epochs}. The run ended by itself after {trained} of {before} epochs, as a longer "
            "one would have. Start a new run from its weights: weights=RUN."
        )
    scheduler = config["scheduler"]["name"]
    if "total_steps" in options(get("scheduler", scheduler)):
        raise WrongOption(
            f"trainer.max_epochs: {epochs}. scheduler={scheduler} set each learning rate by the run's length, {before} "
            "epochs; a longer run would have had others from the first step. Start a new run from its weights: "
            "weights=RUN."
        )


def _refuse_if_another_began(folder: Path, config: Mapping[str, Any]) -> None:
    """A run that was stopped before its first checkpoint is started again; another one must not overwrite it."""
    try:
        begun = read_yaml(folder / CONFIG)
        other = identity(begun) != identity(config)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, BadData):
        return  # no run, or none that could be told
    if other:
        raise _another_run(folder, "")


def _another_run(folder: Path, why: str) -> WrongOption:
    return WrongOption(
        f"output_dir: {folder} holds another run, which did not end.{why} Choose another folder, or remove that one."
    )


def _differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    mine, theirs = dict(flat(one)), dict(flat(other))
    return sorted(
        key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key) and not _among(key, WITHOUT_EFFECT)
    )


def _among(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in names)
