"""What differs between two runs: options, what computed, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snnlab.errors import BadData
from snnlab.sweeps.results.runs import Run
from snnlab.sweeps.results.sources import with_sources
from snnlab.sweeps.results.table import Column, elided, laid_out
from snnlab.sweeps.results.values import ABSENT, as_number, number, printable, shown

SURROUNDINGS = ("snnlab", "python", "torch", "lightning", "numpy", "git", "device")
LENGTHS = ("best_epoch", "epochs", "seconds")
WHERE = ("output_dir",)
"""Options that differ between any two runs."""


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side; each value is a pair.

    Args:
        runs: the two.
        options: that differ; ABSENT in words where one has none of the name.
        surroundings: versions, commit and device that differ.
        metrics: all numbers of both, and how far the second is from the first.
        lengths: epochs and seconds, as well.
    """

    runs: tuple[Run, Run]
    options: Mapping[str, tuple[str, str]]
    surroundings: Mapping[str, tuple[str, str]]
    metrics: Mapping[str, tuple[float | None, float | None]]
    lengths: Mapping[str, tuple[float | None, float | None]]


def compared(first: Run, second: Run) -> Comparison:
    """Two runs side by side.

    Raises: BadData, when the options of one cannot be read.
    """
    for run in (first, second):
        if not run.options:
            why = f" {run.error}" if run.status == "damaged" else ""
            raise BadData(
                f"{run.folder}: its options cannot be read: neither config.yaml nor result.json is whole.{why}"
            )
    first, second = with_sources((first, second))
    runs = (first, second)
    names = dict.fromkeys(name for run in runs for name in run.options if name not in WHERE)
    options = {name: _pair([_option(run, name) for run in runs]) for name in names}
    around = [_surroundings(run) for run in runs]
    both = {name: _pair([facts.get(name, ABSENT) for facts in around]) for name in SURROUNDINGS}
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    return Comparison(
        runs,
        {name: pair for name, pair in options.items() if pair[0] != pair[1]},
        {name: pair for name, pair in both.items() if pair[0] != pair[1]},
        {name: (as_number(first.metrics.get(name)), as_number(second.metrics.get(name))) for name in metrics},
        {name: (as_number(first.facts.get(name)), as_number(second.facts.get(name))) for name in LENGTHS},
    )


def comparison_page(found: Comparison, width: int) -> str:
    """The comparison in words."""
    first, second = found.runs
    lines = [elided(f"1: {_title(first)}", 2 * width), elided(f"2: {_title(second)}", 2 * width)]
    if first.id and first.id == second.id:
        lines.append("the same experiment: their ids are equal")
    lines += ["", *(_pairs("option", found.options, width) if found.options else ["no option differs"])]
    if found.surroundings:
        lines += ["", *_pairs("made with", found.surroundings, width)]
    numbers = {name: pair for name, pair in {**found.metrics, **found.lengths}.items() if pair != (None, None)}
    return "\n".join([*lines, "", *(_numbers(numbers, width) if numbers else ["neither of them has ended"])])


def comparison_record(found: Comparison) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "runs": [
            {"folder": printable(str(run.folder)), "id": printable(run.id) or None, "status": run.status}
            for run in found.runs
        ],
        "options": {name: list(pair) for name, pair in found.options.items()},
        "made_with": {name: list(pair) for name, pair in found.surroundings.items()},
        "metrics": {name: [*pair, _difference(pair)] for name, pair in found.metrics.items()},
        **{name: [*pair, _difference(pair)] for name, pair in found.lengths.items()},
    }


def _title(run: Run) -> str:
    return printable(f"{run.folder} ({run.status}{f', id {run.id[:8]}' if run.id else ''})")


def _option(run: Run, name: str) -> str:
    return shown(run.options[name]) if name in run.options else ABSENT


def _pair(values: Sequence[str]) -> tuple[str, str]:
    return values[0], values[1]


def _surroundings(run: Run) -> dict[str, str]:
    facts = run.facts
    versions = facts.get("versions")
    found = {name: shown(version) for name, version in versions.items()} if isinstance(versions, dict) else {}
    git = facts.get("git")
    if isinstance(git, dict):
        found["git"] = str(git.get("commit"))[:12] + (" and changes" if git.get("dirty") else "")
    return found | ({"device": shown(facts["device"])} if "device" in facts else {})


def _pairs(head: str, pairs: Mapping[str, tuple[str, str]], width: int) -> list[str]:
    columns = [
        Column(head, tuple(pairs)),
        Column("1", tuple(pair[0] for pair in pairs.values()), elastic=True),
        Column("2", tuple(pair[1] for pair in pairs.values()), elastic=True),
    ]
    return laid_out(columns, width)[0]


def _numbers(pairs: Mapping[str, tuple[float | None, float | None]], width: int) -> list[str]:
    cells = [tuple(_shown(name, pair[place]) for name, pair in pairs.items()) for place in (0, 1)]
    differences = tuple(_signed(name, _difference(pair)) for name, pair in pairs.items())
    columns = [Column("", tuple(pairs)), *(Column(str(place + 1), cells[place], right=True) for place in (0, 1))]
    return laid_out([*columns, Column("difference", differences, right=True)], width)[0]


def _shown(name: str, value: float | None) -> str:
    if value is None or name not in LENGTHS:
        return number(value)
    return f"{value:.1f}" if name == "seconds" else f"{value:.0f}"


def _difference(pair: tuple[float | None, float | None]) -> float | None:
    return None if pair[0] is None or pair[1] is None else pair[1] - pair[0]


def _signed(name: str, value: float | None) -> str:
    text = _shown(name, value)
    return text if value is None or text.startswith("-") else "0" if value == 0 else f"+{text}"
