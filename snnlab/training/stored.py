"""Runs on disk: finding one by what a user calls it, its configuration, changes to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest
from snnlab.registry import names
from snnlab.training import checkpoint as checkpoints
from snnlab.training.config import check_config, complete


def find(run: str, root: Path = Path()) -> Path:
    """The checkpoint of a run.

    Args:
        run: a checkpoint, a run's folder, `last` for the newest run, or the beginning of a run's id.
        root: the folder in which runs/ and sweeps/ lie.
    Raises: BadData, when there is no such run; WrongOption, when several ids begin so.
    """
    path = root / run
    if path.is_file():
        return path
    if path.is_dir():
        return _checkpoint(path)
    results = sorted(
        (*root.glob("runs/**/result.json"), *root.glob("sweeps/**/result.json")), key=lambda file: file.stat().st_mtime
    )
    if run == "last":
        if not results:
            raise BadData("last: there is no finished run in runs/ or sweeps/ of this folder.")
        return _checkpoint(results[-1].parent)
    found = [file.parent for file in results if len(run) >= 4 and str(_read(file).get("id", "")).startswith(run)]
    if len({str(_read(folder / "result.json")["id"]) for folder in found}) > 1:
        raise WrongOption(
            f"{run}: the ids of {len(found)} runs begin so: {', '.join(map(str, found))}. Give more of it."
        )
    if not found:
        raise BadData(
            f"{run}: there is no such run. "
            "It takes a run's folder, a checkpoint, `last`, or 4 or more characters of an id."
        )
    return _checkpoint(found[-1])


def stored_config(path: Path) -> dict[str, Any]:
    """The configuration that a checkpoint holds.

    Raises: BadData, when the file is damaged; WrongOption, when it needs a plugin that is not there.
    """
    facts = checkpoints.load(path)["snnlab"]
    config, plugins = facts.get("config"), facts.get("plugins", [])
    if not isinstance(config, dict) or not isinstance(plugins, list):
        raise BadData(f"checkpoint {path}: it holds no configuration.")
    for part in plugins:
        if isinstance(part, dict) and part.get("name") not in names(str(part.get("family"))):
            raise WrongOption(
                f"checkpoint {path}: it needs the {part.get('family')} {part.get('name')} of the plugin "
                f"{part.get('plugin')}, which is not loaded. "
                f"Install that plugin, or set SNNLAB_PLUGINS to its file."
            )
    check_config(config)
    return complete(config)


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
        node[last] = value
    check_config(result)
    return complete(result)


def _checkpoint(folder: Path) -> Path:
    for name in ("best.ckpt", "last.ckpt"):
        if (folder / checkpoints.FOLDER / name).is_file():
            return folder / checkpoints.FOLDER / name
    raise BadData(f"{folder}: it holds no checkpoint. It takes the folder of a run.")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
