"""Which runs were made with other versions of the libraries than those that are installed."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import snnlab
from snnlab.sweeps.results.runs import COMPLETED, Run

_PACKAGES = {"torch": "torch", "lightning": "pytorch-lightning", "numpy": "numpy"}


@cache
def installed() -> Mapping[str, str]:
    """What would compute here, by the names of result.json."""
    found = {"snnlab": snnlab.__version__, "python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found


def differences(run: Run) -> tuple[str, ...]:
    """The libraries of which a completed run had another version, as `torch 2.12.0`; () where it is not stale."""
    versions = run.facts.get("versions")
    if run.status != COMPLETED or not isinstance(versions, dict):
        return ()
    return tuple(f"{name} {versions.get(name)}" for name, here in installed().items() if versions.get(name) != here)


def notes(runs: Iterable[Run]) -> list[str]:
    """What to tell of stale runs, a line for each set of versions."""
    found = Counter(stale for run in runs if (stale := differences(run)))
    here = installed()
    lines = []
    for stale, number in found.most_common():
        now = ", ".join(f"{library.split()[0]} {here[library.split()[0]]}" for library in stale)
        lines.append(
            f"{number} stale: made with {', '.join(stale)}; installed here: {now}. sweep.redo=stale runs them again."
        )
    return lines


def status_of(run: Run) -> str:
    """The status of a job in a table; a completed one may be stale."""
    return "stale" if differences(run) else run.status
