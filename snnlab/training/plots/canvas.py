"""What all pictures share: colours, type, axes placed in inches, text that can always be drawn, and the file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from snnlab.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
P = ParamSpec("P")
R = TypeVar("R")

# Told apart with every common form of colour blindness (Okabe and Ito 2008), and each of another lightness in print.
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
INK, GREY, PALE = "#222222", "#767676", "#DDDDDD"
DPI = 150
FONT = "DejaVu Sans"  # the one font that comes with matplotlib itself

STYLE: dict[str, Any] = {
    "font.family": FONT,
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 4,
    "axes.titlesize": 8.5,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "savefig.dpi": DPI,
}


def drawn(picture: Callable[P, R]) -> Callable[P, R]:
    """A picture made in our style, whatever a matplotlibrc of the user says; the user's settings return after it."""

    @wraps(picture)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import style

        with style.context(["default", STYLE]):
            return picture(*args, **kwargs)

    return in_style


@drawn
def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG, 150 dots per inch, whole or not at all.

    Raises: OSError, when the file cannot be written; a picture of that name from before is then as it was.
    """
    with replacing(path, "wb") as file:
        figure.savefig(file, format="png", dpi=DPI)


def page(width: float, height: float, title: str) -> Figure:
    """An empty figure of so many inches, with a title at its upper left, in smaller type if it is long."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI)
    size = float(np.clip(12 * (width - 0.3) / (1.1 * text_width([title], 12) + 0.01), 5, 12))
    figure.text(0.15 / width, 1 - 0.12 / height, title, fontsize=size, fontweight="bold", va="top")
    return figure


def panel(figure: Figure, left: float, bottom: float, width: float, height: float, *, grid: str = "") -> Axes:
    """Axes at a place given in inches from the lower left corner.

    Args:
        grid: "x", "y", "both" or "" for none.
    """
    across, up = figure.get_size_inches()
    axes = figure.add_axes((left / across, bottom / up, width / across, height / up))
    # Ticks are made when first drawn, maybe outside our style: what they look like is said here.
    axes.tick_params(labelsize=8, labelcolor=INK, color=GREY, width=0.8, length=3, labelfontfamily=FONT)
    if grid == "both" or grid == "x":
        axes.grid(True, axis="x")
    if grid == "both" or grid == "y":
        axes.grid(True, axis="y")
    return axes


def shown(text: object, width: int = 18) -> str:
    """A name from outside as it can be drawn: in one line, of bounded length, without mathematics or missing glyphs."""
    line = " ".join(str(text).split())
    if len(line) > width:
        line = line[: width - 1].rstrip() + "…"
    return "".join(letter if ord(letter) in _glyphs() else "?" for letter in line).replace("$", r"\$")


def number(value: float, digits: int = 3) -> str:
    """A number as a reader wants it: 1000 and not 1e+03, with a minus and not a hyphen."""
    text = f"{value:.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.{digits}g}"
    return text.replace("-", "\N{MINUS SIGN}")


@cache
def _glyphs() -> frozenset[int]:
    from matplotlib.font_manager import findfont, get_font

    return frozenset(get_font(findfont(FONT)).get_charmap())


def spread(values: Sequence[float] | Floats, gap: float, low: float, high: float) -> Floats:
    """Places for labels near `values`, at least `gap` apart, between `low` and `high`; evenly, if they do not fit."""
    values = np.asarray(values, dtype=float)
    order = np.argsort(values, kind="stable")
    if (len(values) - 1) * gap >= high - low:
        places = np.linspace(low, high, len(values))
    else:
        steps = gap * np.arange(len(values))
        # Without the gaps, labels in order are values that never fall; the nearest of these are means of blocks.
        places = np.clip(_never_falling(values[order] - steps), low, high - steps[-1:].sum()) + steps
    result = np.empty(len(values))
    result[order] = places
    return result


def _never_falling(values: Floats) -> Floats:
    """The sequence that never falls and is nearest to `values` in the squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, size = blocks.pop()
            mean, count = (before * size + mean * count) / (size + count), size + count
        blocks.append((mean, count))
    return np.repeat([mean for mean, _ in blocks], [count for _, count in blocks])


def label_ends(
    axes: Axes, ends: Sequence[float], labels: Sequence[str], colours: Sequence[str], size: float = 8
) -> None:
    """Name curves to the right of the axes, each at the height where it ends, moved apart where they would touch."""
    from matplotlib.collections import LineCollection
    from matplotlib.transforms import blended_transform_factory

    low, high = axes.get_ylim()
    across, up = inches(axes)
    gap = (high - low) * size * 1.15 / 72 / up
    places = spread(ends, gap, low + gap / 2, high - gap / 2)
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    start, stop, text = (1 + inch / across for inch in (0.02, 0.14, 0.17))
    leaders = [[(start, end), (stop, place)] for end, place in zip(ends, places, strict=True)]
    lines = LineCollection(leaders, colors=list(colours), linewidths=0.6, alpha=0.6, transform=beside, clip_on=False)
    axes.add_collection(lines, autolim=False)
    for place, label, colour in zip(places, labels, colours, strict=True):
        axes.text(text, place, label, transform=beside, fontsize=size, color=colour, va="center_baseline")


def sheet(axes: Axes) -> Figure:
    """The figure that axes are on."""
    from matplotlib.figure import Figure

    figure = axes.get_figure()
    assert isinstance(figure, Figure)  # we make no figures in figures
    return figure


def inches(axes: Axes) -> tuple[float, float]:
    """Width and height of a panel."""
    place, (across, up) = axes.get_position(), sheet(axes).get_size_inches()
    return float(place.width * across), float(place.height * up)


def note(axes: Axes, text: str) -> None:
    """Say in the middle of a panel why it is empty."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=9)


def text_width(labels: Sequence[str], size: float) -> float:
    """An upper estimate of the width of the longest label, in inches."""
    return max((len(label) for label in labels), default=0) * size * 0.62 / 72
