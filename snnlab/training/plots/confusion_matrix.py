"""Which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.errors import WrongOption
from snnlab.training.plots.canvas import GREY, INK, PALE, Floats, drawn, page, panel, shown, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_WRITTEN = 50  # classes; beyond that a number no longer fits its cell
PERCENT_UP_TO = 12  # classes; cells of more have room for the count only


@drawn
def confusion(matrix: Any, classes: Sequence[Any] = (), *, title: str | None = None) -> Figure:
    """The confusion matrix: a row per true class, shaded by the share of its samples, with the counts written in.

    Args:
        matrix: how many samples of class i were taken for class j, at [i, j].
        classes: names of the classes; default their numbers.
        title: the headline; default the accuracy.
    Raises: WrongOption, when the matrix is not square, holds what is no count, or has not a row for each class.
    """
    counts = _counts(matrix, classes)
    size = len(counts)
    labels = [shown(name, 14) for name in classes] or [str(index) for index in range(size)]
    side = float(np.clip(0.52 * size, 2.6, 5.4)) if size <= PERCENT_UP_TO else float(np.clip(0.25 * size, 5.4, 8.6))
    cell = side / size
    font = float(np.clip(cell * 72 * 0.75, 5, 9))
    steep = text_width(labels, font) > 0.85 * cell
    beside = text_width(labels, font) + 0.5
    below = (text_width(labels, font) if steep else font / 72) + 0.45
    figure = page(beside + side + 0.95, 0.75 + side + below, shown(title or _headline(counts), 90))
    across, up = figure.get_size_inches()
    figure.text(0.15 / across, 1 - 0.36 / up, _worst(counts, labels), color=GREY, fontsize=9, va="top")
    axes = panel(figure, beside, below, side, side)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    _cells(axes, counts, shares, cell)
    stride = -(-size // int(side * 72 / (font * 1.15)))  # every n-th label, where not all of them fit
    axes.set_xticks(range(0, size, stride), labels[::stride], rotation=90 if steep else 0)
    axes.set_yticks(range(0, size, stride), labels[::stride])
    axes.tick_params(labelsize=font, length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    bar = panel(figure, beside + side + 0.15, below, 0.14, side)
    figure.colorbar(axes.images[0], cax=bar, label="share of the true class")
    return figure


def _counts(matrix: Any, classes: Sequence[Any]) -> Floats:
    counts = np.asarray(matrix, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise WrongOption(f"confusion.matrix: shape {counts.shape}. A square of counts (classes, classes).")
    if len(classes) not in (0, len(counts)):
        raise WrongOption(f"confusion.classes: {len(classes)} names for {len(counts)} classes. One for each.")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise WrongOption("confusion.matrix: negative or not finite. Numbers of samples, >= 0, not shares.")
    return counts


def _headline(counts: Floats) -> str:
    total, right = counts.sum(), np.trace(counts)
    if not total:
        return "No samples"
    return f"Accuracy {100 * right / total:.2f} %: {right:.0f} of {total:.0f} test samples"


def _worst(counts: Floats, labels: Sequence[str]) -> str:
    """The most frequent mistake, in words."""
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.any():
        return "no mistakes" if counts.any() else ""
    true, predicted = divmod(int(wrong.argmax()), len(counts))
    times = wrong[true, predicted]
    return f"most often: {labels[true]} taken for {labels[predicted]} ({times:.0f} of {counts[true].sum():.0f})"


def _cells(axes: Axes, counts: Floats, shares: Floats, cell: float) -> None:
    """Shades and numbers. Rows without samples are grey; a cell without samples has no number."""
    from matplotlib import colormaps

    size = len(counts)
    empty = np.broadcast_to(counts.sum(1, keepdims=True) == 0, counts.shape)
    shades = colormaps["Blues"].with_extremes(bad=PALE)
    axes.imshow(np.ma.masked_array(shares, empty), cmap=shades, vmin=0, vmax=1, interpolation="nearest")
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.set_xticks(np.arange(1, size) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, size) - 0.5, minor=True)
    axes.grid(True, which="minor", color="white", linewidth=min(1.0, cell * 4))
    axes.tick_params(which="minor", length=0)
    if size > MOST_WRITTEN:
        return
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.55 else INK
        text = f"{counts[row, column]:.0f}"
        fits = cell * 72 * 0.92 / (len(text) * 0.62)  # points: a digit is 0.62 of its size wide
        line = 6.5 / 72 / cell * (size <= PERCENT_UP_TO)  # the height of a line in cells, where there are two
        place: dict[str, Any] = {"ha": "center", "va": "center_baseline", "color": colour}
        axes.text(column, row - 0.8 * line, text, fontsize=min(9.0, cell * 72 * 0.55, fits), **place)
        if line:
            percent = f"{100 * shares[row, column]:.0f} %" if shares[row, column] >= 0.005 else "< 1 %"
            axes.text(column, row + 1.2 * line, percent, fontsize=min(6.5, cell * 72 * 0.3), **place)
