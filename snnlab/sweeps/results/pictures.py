"""What the pictures of a sweep share: names, colours, legends, and the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.errors import BadData
from snnlab.files import replacing
from snnlab.sweeps.results.axes import same_in_all, text
from snnlab.sweeps.results.groups import Group
from snnlab.sweeps.results.selection import Selection
from snnlab.sweeps.results.table import short_names, shortened
from snnlab.sweeps.results.units import unit_of
from snnlab.training.plots.canvas import DPI, PALETTE, Floats, drawn, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "osD^vP"
LINES = ("-", "--", ":", "-.")
STAGES = {"test": "test", "val": "validation", "train": "training"}
SETTINGS: Any = {"pdf.fonttype": 42, "svg.fonttype": "none", "svg.hashsalt": "snnlab"}
"""Text stays text that can be edited, and the same picture is the same file."""


@drawn
def write(figure: Figure, path: Path) -> None:
    """Write a figure as its name ends: png, pdf or svg; whole or not at all.

    Raises: BadData, when it cannot be written.
    """
    from matplotlib import rc_context

    kind = path.suffix[1:]
    undated: dict[str, Any] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    try:
        with rc_context(SETTINGS), replacing(path) as file:
            figure.savefig(file, format=kind, dpi=2 * DPI, metadata=undated)
    except OSError as error:
        raise BadData(f"--plot {path}: it cannot be written ({error.strerror}).") from error


def columns_of(selection: Selection) -> list[str]:
    """The options that differ between groups."""
    constant = same_in_all(selection.runs, selection.keys)
    return [key for key in selection.keys if key not in constant]


def spoken(metric: str) -> str:
    """A number's name on an axis: test accuracy."""
    stage, _, name = metric.partition("/")
    return shown(f"{STAGES.get(stage, stage)} {name}".strip().replace("_", " "), 40)


def axis_name(key: str, groups: Sequence[Group]) -> str:
    """An option's name on an axis, with its unit."""
    unit = next(filter(None, (unit_of(key, group.runs[0].options) for group in groups)), "")
    return shown(key, 40) + (f" ({unit})" if unit else "")


def labels(groups: Sequence[Group], keys: Sequence[str]) -> list[str]:
    """What tells each group from the others: values of parts stand alone, those of numbers with their names."""
    heads, width = short_names(keys), 18 if len(keys) < 3 else 12
    columns = [(heads[key], shortened([text(group.runs[0], key) for group in groups], width)) for key in keys]
    rows = [[(head, values[place]) for head, values in columns] for place in range(len(groups))]
    return [", ".join(value if _speaks(value) else f"{head} {value}" for head, value in row) for row in rows]


def look(number: int) -> dict[str, Any]:
    """Colour and marker of the n-th series: twelve can be told apart."""
    turn, place = divmod(number, len(PALETTE))
    return {"color": PALETTE[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def looks(groups: Sequence[Group], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Those of several series; where two options tell them apart, one is the colour, the other one marker and line."""
    values = [dict.fromkeys(text(group.runs[0], key) for group in groups) for key in keys]
    if len(keys) != 2 or len(values[0]) > len(LINES) or len(values[1]) > len(PALETTE):
        return [{**look(place), "linestyle": LINES[place // len(PALETTE) % len(LINES)]} for place in range(len(groups))]
    places = [[list(values[axis]).index(text(group.runs[0], key)) for axis, key in enumerate(keys)] for group in groups]
    return [{"color": PALETTE[second], "marker": MARKERS[first], "linestyle": LINES[first]} for first, second in places]


def jitter(count: int) -> Floats:
    """Places from -1 to 1 for dots that would hide each other, the same in every picture; 0 for a few."""
    if count <= 6:
        return np.zeros(count)
    return np.asarray((np.arange(count) * 0.618034) % 1 * 2 - 1)  # the golden ratio: neighbours lie far apart


def pale(count: int) -> float:
    """How opaque each of so many dots is."""
    return float(np.clip(4 / max(count, 1), 0.12, 0.4))


def _speaks(value: str) -> bool:
    """Whether a value says by itself what it is: cuba does, 0.1 and true do not."""
    return value[:1].isalpha() and value not in ("true", "false", "null", "nan", "inf", "none")
