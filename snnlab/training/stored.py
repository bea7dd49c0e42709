"""Runs on disk: finding one by what a user calls it, its configuration, changes to it."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest
from snnlab.registry import get, names, source_file
from snnlab.training import checkpoint as checkpoints
from snnlab.training.config import SEVERAL, check_config, complete
from snnlab.training.console import log
from snnlab.training.folder import CONFIG, RESULT
from snnlab.training.plain import Unfit, hold, read_json

_PACKAGE = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", r"[0-9][A-Za-z0-9.+!-]{0,49}"
"""Names and versions that a package may have: a checkpoint's own may be anything, and end in somebody's shell."""


def find(run: str, root: Path = Path()) -> Path:
    """The checkpoint of a run.

    Args:
        run: a checkpoint, a run's folder, `last` for the newest run that is done, or the beginning of a run's id.
        root: the folder in which runs/ and sweeps/ lie.
    Raises: BadData, when there is no such run; WrongOption, when several ids begin so.
    """
    if (root / run).is_file():
        return root / run
    folder = _folder(run, root, RESULT)
    for name in checkpoints.NAMES:
        if (folder / checkpoints.FOLDER / name).is_file():
            return folder / checkpoints.FOLDER / name
    raise BadData(f"{folder}: it holds no checkpoint. It takes the folder of a run.")


def folder_to_go_on_in(run: str, root: Path = Path()) -> Path:
    """The folder of a run that goes on.

    Args:
        run: a run's folder, `last` for the run that began last, or the beginning of a run's id.
        root: the folder in which runs/ and sweeps/ lie.
    Raises: BadData, when there is no such run; WrongOption, when several ids begin so, and for a file.
    """
    if (root / run).is_file():
        raise WrongOption(
            f"resume: {run} is a file. A run goes on in its folder, from checkpoints/last.ckpt: resume=FOLDER. "
            f"To start a new run from these weights: weights={run}."
        )
    return _folder(run, root, CONFIG)


def _folder(run: str, root: Path, file: str) -> Path:
    """The folder with `file` in it that `run` means."""
    if (root / run).is_dir():
        return root / run
    paths = (*root.glob(f"runs/**/{file}"), *root.glob(f"sweeps/**/{file}"))
    # A folder that a stranger named may hold what a terminal obeys; whoever means it types its name.
    found = sorted(filter(lambda path: str(path).isprintable(), paths), key=lambda path: path.stat().st_mtime)
    folders = [path.parent for path in found]
    if run == "last":
        if not folders:
            raise BadData(f"last: there is no {file} in runs/ or sweeps/ of this folder.")
        return folders[-1]
    ids = {folder: _id(folder) for folder in folders} if len(run) >= 4 else {}
    fit = [folder for folder, known in ids.items() if known.startswith(run)]
    if len({ids[folder] for folder in fit}) > 1:
        raise WrongOption(f"{run}: the ids of {len(fit)} runs begin so: {', '.join(map(str, fit))}. Give more of it.")
    if not fit:
        raise BadData(
            f"{run}: there is no such run. "
            "It takes a run's folder, a checkpoint, `last`, or 4 or more characters of an id."
        )
    return fit[-1]


def stored_config(path: Path) -> dict[str, Any]:
    """The configuration that a checkpoint holds.

    Parts from outside are looked up among those that are there: nothing that a checkpoint names is imported. Where such
    a part's file is another one than the run was trained with, a warning says so.

    Raises: BadData, when the file is damaged; WrongOption, when it needs a plugin that is not there.
    """
    facts = checkpoints.load(path)["snnlab"]
    config, plugins = facts.get("config"), facts.get("plugins", [])
    try:
        hold([config, plugins], most=1_000_000)
    except Unfit as error:
        raise BadData(f"checkpoint {path}: its configuration is none: {error}.") from error
    if not isinstance(config, dict) or not isinstance(plugins, list):
        raise BadData(f"checkpoint {path}: it holds no configuration.")
    for part in plugins:
        if not isinstance(part, dict) or not all(isinstance(part.get(key), str) for key in ("family", "name")):
            raise BadData(f"checkpoint {path}: it does not say which plugins it needs.")
        if part["name"] not in names(part["family"]):
            raise WrongOption(f"checkpoint {path}: {_missing(part)}")
    check_config(config)
    for part in plugins:
        _compare(part)
    return complete(config)


def stored_result(folder: Path) -> dict[str, Any]:
    """What result.json of a run's folder says. JSON has no NaN: a metric without a number is one.

    Raises: OSError, where there is none, as of a run that did not end; BadData, when it is damaged.
    """
    path = folder / RESULT
    result = read_json(path)
    if not isinstance(result, dict) or not isinstance(result.get("metrics"), dict):
        raise BadData(f"{path}: it is no result of a run.")
    result["metrics"] = {name: math.nan if value is None else value for name, value in result["metrics"].items()}
    numbers = [*result["metrics"].values(), *(result.get(name) for name in ("seconds", "epochs", "best_epoch"))]
    checkpoint = result.get("best_checkpoint")
    if (
        not all(isinstance(number, int | float) for number in numbers)
        or not isinstance(result.get("id"), str)
        or checkpoint not in [f"{checkpoints.FOLDER}/{name}" for name in checkpoints.NAMES]
    ):
        raise BadData(f"{path}: it is no result of a run.")
    return result


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with changes such as {"batch_size": 500, "trainer.precision": "bf16-mixed"}, checked.

    Raises: WrongOption, for an option that the run does not have.
    """
    result: dict[str, Any] = json.loads(json.dumps(config))
    for key, value in changes.items():
        *parents, last = key.split(".")
        if key.startswith("dataset.") and key != "dataset.folder":
            raise WrongOption(
                f"{key}: another split would score samples that the run learned from. It takes dataset.folder."
            )
        node: Any = result
        for parent in parents:
            node = node.get(parent) if isinstance(node, dict) else None
        if not isinstance(node, dict) or (last not in node and parents != ["trainer"]):
            known = node if isinstance(node, dict) else result
            raise WrongOption(f"{key}: the run has no such option.{nearest(last, known)}")
        if key in SEVERAL and isinstance(value, list):  # as the command line names them
            value = {name: (node[last] or {}).get(name, {}) for name in map(str, value)}
        node[last] = value
    check_config(result)
    return complete(result)


def _missing(part: Mapping[str, Any]) -> str:
    """Which plugin is not there, and how to get it. It comes from the user: a run's files never name code to import."""
    needed = f"it needs the {part['family']} {part['name']}"
    package, version = str(part.get("package", "")), str(part.get("version", ""))
    if all(map(re.fullmatch, _PACKAGE, (package, version))):
        return (
            f"{needed}, it says of the package {package} {version}, which is not installed. "
            f"If you trust that package: pip install {package}=={version}"
        )
    file, checksum = Path(str(part.get("plugin"))).name, str(part.get("sha256"))[:12]
    return (
        f"{needed} of the plugin file {file} (sha256 {checksum}…), which is not loaded. "
        f"Get the file from whoever made the run, read it, and set SNNLAB_PLUGINS to its path."
    )


def _compare(part: Mapping[str, Any]) -> None:
    """Say so where a plugin's file is not the one that the run was trained with."""
    file = Path(source_file(get(part["family"], part["name"])))
    then, now = part.get("sha256"), hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
    if then and then != now:
        log.warning(
            "the plugin file %s is not the one that the run was trained with (%s %s; sha256 %.12s… then, %.12s… now).",
            *(file.name, part["family"], part["name"], then, now),
        )


def _id(folder: Path) -> str:
    """The id of a run, "" where it cannot be read."""
    try:
        return str(read_json(folder / RESULT)["id"])
    except (OSError, BadData, TypeError, KeyError):
        pass
    try:
        return str(checkpoints.load(folder / checkpoints.FOLDER / "last.ckpt")["snnlab"].get("id", ""))
    except BadData:
        return ""
