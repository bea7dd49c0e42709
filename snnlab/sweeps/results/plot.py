"""A picture of groups: each run a dot, mean and standard deviation; over an axis of numbers, or row by row."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.errors import BadData
from snnlab.sweeps.results.axes import text
from snnlab.sweeps.results.groups import Group, in_order
from snnlab.sweeps.results.pictures import axis_name, columns_of, jitter, labels, look, looks, pale, spoken
from snnlab.sweeps.results.selection import Selection
from snnlab.sweeps.results.values import as_number
from snnlab.training.plots.canvas import DPI, GREY, Floats, drawn, panel, shown, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 3.6, 2.5  # inches of a panel
MOST_SERIES = 12
MOST_ROWS = 60
ROW = 0.24
"""Inches of a row."""


@drawn
def groups_figure(selection: Selection) -> Figure:
    """The picture of a selection.

    An option of three or more numbers is the axis, the others are colours; without one each group is a row.

    Raises: BadData, where no group has a number yet, or there are too many for a picture.
    """
    groups = [group for group in selection.groups if group.n]
    if not groups:
        raise BadData(f"--plot: no job has a number for {selection.what.metric} yet.")
    keys = columns_of(selection)
    axis = next((key for key in keys if _is_axis(key, groups)), None)
    if axis is None:
        return _rows(groups, keys, selection)
    return _lines(groups, axis, [key for key in keys if key != axis], selection)


def _is_axis(key: str, groups: Sequence[Group]) -> bool:
    values = [as_number(group.options[key]) for group in groups]
    return None not in values and len(set(values)) >= 3


def _lines(groups: Sequence[Group], axis: str, others: Sequence[str], selection: Selection) -> Figure:
    """Lines over the option `axis`, one for each setting of the others."""
    series: dict[tuple[str, ...], list[Group]] = {}
    for group in groups:
        series.setdefault(tuple(text(group.runs[0], key) for key in others), []).append(group)
    alone = len(series) > 1 and len(series) == len(groups)  # nothing to connect: trials of a search, axes side by side
    if alone:
        series, others = {(): list(groups)}, []
    if len(series) > MOST_SERIES:
        raise BadData(f"--plot: {len(series)} lines are too many. Name fewer options with --by, or use --where.")
    names = labels([members[0] for members in series.values()], others)
    beside = text_width([shown(name, 44) for name in names], 8) + 0.6 if len(series) > 1 else 0.15
    figure, axes = _sheet(0.75, WIDTH, beside, HEIGHT, 0.66)
    places = np.array([[as_number(group.options[axis]) for group in groups]], dtype=float)
    logarithmic = places.min() > 0 and places.max() >= 20 * places.min()
    if logarithmic:
        axes.set_xscale("log")
    styles = looks([members[0] for members in series.values()], others)
    if alone:
        styles = [style | {"linestyle": ""} for style in styles]
    for place, (name, members, style) in enumerate(zip(names, series.values(), styles, strict=True)):
        members = sorted(members, key=lambda group: in_order(group.options[axis]))
        at = np.array([as_number(group.options[axis]) for group in members], dtype=float)
        _series(axes, _moved(at, place, len(series), places, logarithmic), members, shown(name, 44), style)
    _ticks(axes, np.unique(places), logarithmic)
    axes.set_xlabel(axis_name(axis, groups))
    axes.set_ylabel(spoken(selection.what.metric))
    if len(series) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=8, handlelength=2.4, labelspacing=0.4)
    _caption(figure, groups)
    return figure


def _series(axes: Axes, at: Floats, members: Sequence[Group], name: str, style: Any) -> None:
    means = np.array([group.mean for group in members], dtype=float)
    sds = np.array([group.sd or 0.0 for group in members])
    for place, group in zip(at, members, strict=True):
        values = [value for _, value in group.points]
        dots: dict[str, Any] = {"markersize": 2.6, "alpha": pale(len(values)), "mew": 0, "zorder": 2}
        axes.plot([place] * len(values), values, "o", color=style["color"], **dots)
    bars = axes.errorbar(at, means, yerr=sds, **style, linewidth=1.4, markersize=4.5, elinewidth=1, capsize=2)
    bars.set_label(name)


def _moved(at: Floats, place: int, number_of: int, places: Floats, logarithmic: bool) -> Floats:
    """Places of a series, moved a little so that the bars of several do not hide each other."""
    step = (place - (number_of - 1) / 2) * min(0.008, 0.05 / number_of)
    if logarithmic:
        return np.asarray(at * (places.max() / places.min()) ** step)
    return np.asarray(at + step * (places.max() - places.min()))


def _ticks(axes: Axes, places: Floats, logarithmic: bool) -> None:
    """The values that were tried, where they are few; numbers in full and not as powers."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = axes.get_xlim()
    spaced = np.diff(np.log(places) / np.log(high / low) if logarithmic else places / (high - low))
    widest = text_width([_plain(place) for place in places], 8) / WIDTH
    if spaced.min() > widest:
        axes.xaxis.set_major_locator(FixedLocator(list(places)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: _plain(value))


def _plain(value: float) -> str:
    return f"{value:g}".replace("e-0", "e-").replace("-", "\N{MINUS SIGN}")


def _rows(groups: Sequence[Group], keys: Sequence[str], selection: Selection) -> Figure:
    """A row a group; where two options make them, the second one is the colour."""
    coloured = keys[-1] if len(keys) == 2 and len(groups) > 2 else None
    if len(groups) > MOST_ROWS:
        raise BadData(f"--plot: {len(groups)} groups are too many. Name fewer options with --by, or use --where.")
    first = [key for key in keys if key != coloured] if coloured else keys
    heads = labels(groups, first) if keys else [""] * len(groups)
    colours = list(dict.fromkeys(labels(groups, [coloured]))) if coloured else [""]
    which = [colours.index(name) for name in labels(groups, [coloured])] if coloured else [0] * len(groups)
    places = _places(heads)
    height = max(ROW * (places[-1] - places[0] + 1.2), 0.8)
    left = text_width([shown(head, 60) for head in heads], 8) + 0.25
    beside = text_width([shown(name, 44) for name in colours], 8) + 0.5 if coloured else 0.15
    figure, axes = _sheet(max(left, 0.4), WIDTH, beside, height, 0.66, grid="x")
    for group, place, series in zip(groups, places, which, strict=True):
        _row(axes, group, place, look(series))
    ticks = {head: float(np.mean([p for p, h in zip(places, heads, strict=True) if h == head])) for head in heads}
    axes.set_yticks(list(ticks.values()), [shown(head, 60) for head in ticks])
    axes.set_ylim(places[-1] + 0.6, places[0] - 0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(spoken(selection.what.metric))
    if coloured:
        _legend(axes, [shown(name, 44) for name in colours])
    _caption(figure, groups)
    return figure


def _row(axes: Axes, group: Group, place: float, style: Any) -> None:
    values = [value for _, value in group.points]
    places = place + 0.2 * jitter(len(values))
    axes.plot(values, places, "o", color=style["color"], markersize=3.2, alpha=pale(len(values)), mew=0, zorder=2)
    bar: dict[str, Any] = {"elinewidth": 1.2, "capsize": 2.5, "markersize": 5.5, "zorder": 3}
    axes.errorbar([group.mean or 0.0], [place], xerr=[group.sd or 0.0], linestyle="none", **style, **bar)


def _places(heads: Sequence[str]) -> list[float]:
    """A place for each row; those of the same head closer together."""
    places = [0.0]
    for before, head in pairwise(heads):
        places.append(places[-1] + (0.75 if head == before else 1.25 if len(set(heads)) < len(heads) else 1.0))
    return places


def _legend(axes: Axes, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], linestyle="none", **look(place), label=name) for place, name in enumerate(names)]
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=8, handlelength=1)


def _sheet(
    left: float, width: float, right: float, height: float, bottom: float, grid: str = "y"
) -> tuple[Figure, Axes]:
    """A figure with one panel; all in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(left + width + right, bottom + height + 0.15), dpi=DPI)
    return figure, panel(figure, left, bottom, width, height, grid=grid)


def _caption(figure: Figure, groups: Sequence[Group]) -> None:
    """What is drawn, in small type: a picture travels without its caption."""
    least, most = min(group.n for group in groups), max(group.n for group in groups)
    n = f"n = {most}" if least == most else f"n = {least} to {most}"
    said = f"mean ± sd, {n}; dots: single runs" if most > 1 else "one run each"
    across, up = figure.get_size_inches()
    figure.text(1 - 0.1 / across, 0.06 / up, said, fontsize=6.5, color=GREY, ha="right", va="bottom")
