"""What makes a run the same experiment: a hash of all that can change its numbers. And what it ran on."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import snnlab
from snnlab.registry import get, source_file
from snnlab.training.comparable import WITHOUT_EFFECT as WITHOUT_EFFECT
from snnlab.training.comparable import versions as versions
from snnlab.training.config import ROLES, SEVERAL
from snnlab.training.stored import find


def identity(config: Mapping[str, Any], began_with: str | None = None) -> str:
    """A hash of the options that can change the numbers, of the source of plugin parts, and of the user's data.

    Left out: logger, progress, folders, names, and the devices: they change roundings, and result.json tells them.

    Args:
        config: a complete configuration.
        began_with: checksum of the weights that the run began with; by default that of the file that `weights` means.
    """
    kept: dict[str, Any] = json.loads(json.dumps(config))
    for key in WITHOUT_EFFECT:
        *parents, last = key.split(".")
        node = kept
        for parent in parents:
            node = node.get(parent) or {}
        # The files of our own datasets are verified by checksums; those of a plugin's may be anything.
        if key != "dataset.folder" or _is_ours(source_file(get("dataset", config["dataset"]["name"]))):
            node.pop(last, None)
    if config.get("weights") is not None:
        kept["weights"] = began_with or weights(config)
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    for part in plugin_parts(config):
        digest.update(part["sha256"].encode())
    for file in _data_files(config):
        digest.update(bytes.fromhex(_checksum(file)))
    return digest.hexdigest()


def weights(config: Mapping[str, Any]) -> str | None:
    """The checksum of the checkpoint that a run begins with; None without one."""
    return None if config.get("weights") is None else _checksum(find(config["weights"]))


def plugin_parts(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """The parts of a run that are not snnlab's own: family, name, file and its checksum."""
    found = {(family, name) for family, name in _parts(config)}
    parts = []
    for family, name in sorted(found):
        part = get(family, name)
        file = source_file(part)
        if not _is_ours(file):
            checksum = _checksum(Path(file)) if Path(file).is_file() else _checksum_of_cell(part)
            parts.append(
                {"family": family, "name": name, "plugin": Path(file).name, "sha256": checksum} | _package(part)
            )
    return parts


def _checksum_of_cell(part: Any) -> str:
    """That of the functions of a part from a cell of a notebook, which has no file; its options count by themselves."""
    kinds = [kind for kind in getattr(part, "__mro__", ()) if kind.__module__ == part.__module__]
    members = [member for kind in kinds for member in vars(kind).values()] or [part]
    digest = hashlib.sha256()
    for function in filter(inspect.isfunction, members):
        with suppress(OSError):  # made by a decorator
            digest.update(inspect.getsource(function).encode())
    return digest.hexdigest()


def _package(part: Any) -> dict[str, str]:
    """The installed package that a part comes from, and its version; {} for a single file."""
    module = getattr(part, "__module__", "").partition(".")[0]
    packages = packages_distributions().get(module, [])
    return {"package": packages[0], "version": version(packages[0])} if packages else {}


def git() -> dict[str, Any] | None:
    """The commit of the working folder's repository and whether files differ from it, or None outside of one."""
    commit = _git("rev-parse", "HEAD")
    return (
        None
        if commit is None
        else {"commit": commit, "dirty": bool(_git("status", "--porcelain", "--untracked-files=no"))}
    )


def _git(*arguments: str) -> str | None:
    try:
        # A repository's own configuration may name programs for git to run; the index is left as it is.
        quiet = ["git", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}", "--no-optional-locks"]
        done = subprocess.run([*quiet, *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_ours(file: str) -> bool:
    return Path(snnlab.__file__).parent in Path(file).parents


def _parts(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    specs = [(family, config.get(role)) for role, family in ROLES.items()]
    specs += [(family, {"name": name, **given}) for family in SEVERAL for name, given in config.get(family, {}).items()]
    for own in config.get("layers", {}).values():
        specs += [(ROLES[role], spec) for role, spec in own.items() if role in ROLES]
    for family, spec in specs:
        yield from _inside(family, spec)


def _inside(family: str, spec: Any) -> Iterator[tuple[str, str]]:
    from snnlab.registry import FAMILIES, family_of

    if isinstance(spec, str):
        yield family, spec
    if isinstance(spec, Mapping):
        if "name" in spec:
            yield family, spec["name"]
        for key, value in spec.items():
            if family_of(key) in FAMILIES and isinstance(value, Mapping | str):
                yield from _inside(family_of(key), value)


def _data_files(config: Mapping[str, Any]) -> list[Path]:
    """The user's own files that the dataset names, and those in folders that it names."""
    dataset = get("dataset", config["dataset"]["name"])
    if _is_ours(source_file(dataset)):
        return []
    options = {key: value for key, value in config["dataset"].items() if key != "name"}
    named = [Path(value) for value in options.values() if isinstance(value, str) and value]
    inside = [file for folder in named if folder.is_dir() for file in _files_in(folder, config)]
    return sorted(file for file in [*named, *inside] if file.is_file())


def _files_in(folder: Path, config: Mapping[str, Any]) -> Iterator[Path]:
    """All files in a folder of data, but for what runs wrote into it."""
    runs = {Path(name).resolve() for name in ("runs", "sweeps", config.get("output_dir") or "runs")}
    written = {run for run in runs if folder.resolve() in run.parents}
    return (file for file in folder.rglob("*") if not written & {*file.resolve().parents})
