"""A picture of learning curves: the mean of each group over its runs, and a band of one standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from snnlab.errors import BadData
from snnlab.sweeps.results.curves import Curve
from snnlab.sweeps.results.pictures import columns_of, labels, looks, spoken
from snnlab.sweeps.results.selection import Selection
from snnlab.training.plots.canvas import DPI, GREY, drawn, panel, shown, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, LEFT, BOTTOM = 3.6, 2.5, 0.75, 0.66  # inches
MOST_SERIES = 12


@drawn
def curves_figure(selection: Selection, found: Sequence[Curve], key: str) -> Figure:
    """The picture of some curves; where not all runs of a group came so far, its line is thin.

    Raises: BadData, where there is none, or too many for a picture.
    """
    from matplotlib.figure import Figure

    if not found:
        raise BadData(f"--curve {key}: no job has trained an epoch yet.")
    if len(found) > MOST_SERIES:
        raise BadData(f"--plot: {len(found)} curves are too many. Name fewer options with --by, or use --where.")
    keys = columns_of(selection)
    names = [shown(name, 44) for name in labels([curve.group for curve in found], keys)]
    beside = text_width(names, 8) + 0.6 if len(found) > 1 else 0.15
    figure = Figure(figsize=(LEFT + WIDTH + beside, BOTTOM + HEIGHT + 0.15), dpi=DPI)
    axes = panel(figure, LEFT, BOTTOM, WIDTH, HEIGHT, grid="y")
    styles = looks([curve.group for curve in found], keys)
    for curve, name, style in zip(found, names, styles, strict=True):
        _curve(axes, curve, name, style["color"], style["linestyle"])
    _axes(axes, found, key)
    if len(found) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=8, handlelength=2.4, labelspacing=0.4)
    most = sorted({max(curve.n) for curve in found})
    n = f"n = {most[0]}" if len(most) == 1 else f"n = {most[0]} to {most[-1]}"
    said = f"mean ± sd, {n}" if most[-1] > 1 else "one run each"
    if any(min(curve.n) < max(curve.n) for curve in found):
        said += "; thin: not all runs came so far"
    across, up = figure.get_size_inches()
    figure.text(1 - 0.1 / across, 0.06 / up, said, fontsize=6.5, color=GREY, ha="right", va="bottom")
    return figure


def _curve(axes: Axes, curve: Curve, name: str, colour: str, dashes: str) -> None:
    epochs, mean, n = np.array(curve.epochs), np.array(curve.mean), np.array(curve.n)
    sd = np.array([value or 0.0 for value in curve.sd])
    axes.fill_between(epochs, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
    marker = "o" if len(epochs) == 1 else ""
    fewer = n < n.max()
    near = fewer | np.append(fewer[1:], False) | np.append(False, fewer[:-1])  # a thin line begins where the other ends
    whole = np.where(fewer, np.nan, mean)
    axes.plot(epochs, np.where(near, mean, np.nan), color=colour, linewidth=0.7)
    axes.plot(epochs, whole, color=colour, linewidth=1.6, linestyle=dashes, marker=marker, markersize=4, label=name)


def _axes(axes: Axes, found: Sequence[Curve], key: str) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    values = np.concatenate([curve.mean for curve in found])
    if "loss" in key and values.min() > 0 and values.max() > 30 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.margins(x=0.02)
    axes.set_xlabel("epoch")
    axes.set_ylabel(spoken(key))
