"""Which runs were made with other versions of the libraries than those that are installed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from snnlab.sweeps.results.runs import COMPLETED, Run
from snnlab.training import comparable


def differences(run: Run) -> tuple[str, ...]:
    """The libraries of which a completed run had another version, as `torch 2.12.0`; () where it is not stale."""
    versions = run.facts.get("versions")
    if run.status != COMPLETED or not isinstance(versions, dict):
        return ()
    return comparable.differences(versions, comparable.versions())


def notes(runs: Iterable[Run]) -> list[str]:
    """What to tell of stale runs, a line for each set of versions."""
    found = Counter(stale for run in runs if (stale := differences(run)))
    here = comparable.versions()
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
