"""Runs of a plugin whose source has changed: the same options, and another network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from snnlab.sweeps.results.runs import Run


def with_sources(runs: Sequence[Run]) -> list[Run]:
    """The runs; where several sources of a part made them, each says which, by an option source.neuron.mine."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for part, source in _sources(run):
            found.setdefault(part, set()).add(source)
    several = {part for part, sources in found.items() if len(sources) > 1}
    if not several:
        return list(runs)
    return [replace(run, options={**run.options, **{k: v for k, v in _sources(run) if k in several}}) for run in runs]


def _sources(run: Run) -> Iterator[tuple[str, str]]:
    plugins = run.facts.get("plugins")
    for part in plugins if isinstance(plugins, list) else ():
        if isinstance(part, dict) and all(isinstance(part.get(key), str) for key in ("family", "name", "sha256")):
            yield f"source.{part['family']}.{part['name']}", part["sha256"][:8]
