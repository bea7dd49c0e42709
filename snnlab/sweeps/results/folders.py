"""Which runs lie in a folder, and which jobs are planned there: found while a sweep goes on writing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snnlab.errors import BadData
from snnlab.training.attempts import FOLDER as ATTEMPTS
from snnlab.training.folder import CONFIG, OVERRIDES, RESULT
from snnlab.training.plain import read_text

PLANS = "plans"
LARGEST = 1 << 27
"""Bytes of a plan: some hundred thousand jobs."""
MOST = 200_000
"""Folders that are looked into."""


@dataclass(frozen=True)
class Planned:
    """A job that a sweep has or had to do.

    Args:
        folder: where its run lies, or will lie.
        words: what it was started with.
        config: its configuration, as the plan says; not yet held to be plain.
    """

    folder: Path
    words: tuple[str, ...]
    config: Any = None


def look(top: Path) -> tuple[list[Path], list[Planned]]:
    """The folders of runs under `top`, or `top` itself, and the jobs of plans. Links to folders are not followed.

    Raises: BadData, where there is no such folder.
    """
    if not top.is_dir():
        raise BadData(
            f"{top}: there is no such folder. It takes sweeps' or runs' folders, as in: snnlab results sweeps"
        )
    runs: list[Path] = []
    planned: list[Planned] = []
    rest, looked = [str(top)], 0
    while rest and looked < MOST:
        folder, looked = rest.pop(), looked + 1
        names, inside = _names(folder)
        if is_run(names):
            runs.append(Path(folder))
            continue
        if PLANS in inside:
            planned += [job for file in _plan_files(Path(folder) / PLANS) for job in _jobs(file)]
        rest += [os.path.join(folder, name) for name in sorted(inside - {PLANS}, reverse=True) if name[0] != "."]
    return runs, planned


def is_run(names: set[str]) -> bool:
    """Whether a folder with these names in it is that of a run."""
    return RESULT in names or ATTEMPTS in names or names >= {CONFIG, OVERRIDES}


def _names(folder: str) -> tuple[set[str], set[str]]:
    """All names in a folder, and those of folders; none where it is gone."""
    try:
        with os.scandir(folder) as entries:
            kinds = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    except OSError:
        return set(), set()
    return set(kinds), {name for name, is_folder in kinds.items() if is_folder}


def _plan_files(folder: Path) -> list[Path]:
    names, _ = _names(str(folder))
    return [folder / name for name in sorted(names) if name.endswith(".jsonl") and name[0] != "."]


def _jobs(file: Path) -> Iterator[Planned]:
    """The jobs of a plan; lines that are none, as the last one of a plan that is being written, are left out."""
    try:
        lines = read_text(file, LARGEST).splitlines()
    except (OSError, BadData):
        return
    for line in lines:
        try:
            job = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if (found := _job(job, file)) is not None:
            yield found


def _job(job: Any, file: Path) -> Planned | None:
    if not isinstance(job, dict):
        return None
    name, words = job.get("folder"), job.get("words")
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\0" in name:
        return None  # a plan names folders of its own sweep, and none elsewhere
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    return Planned(file.parents[1] / name, tuple(words), job.get("config"))
