"""A page of test samples: a column for each, a row for each layer, all on one axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from snnlab.training.plots.canvas import Floats, page, panel, shown
from snnlab.training.plots.samples import Sample, Scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP, TOP, BOTTOM = 0.42, 0.68, 0.52  # inches between rows, above the first and below the last
VERDICT = 0.24  # inches more above the first row, where there is something to say on each sample
MARGIN = 0.46  # inches from the left of the page to the right of the names of layers


@dataclass(frozen=True)
class Cell:
    """The place of one layer of the sample of that number, in inches."""

    name: str
    sample: Sample
    left: float
    bottom: float
    width: float
    height: float
    number: int
    rightmost: bool
    lowest: bool


@dataclass(frozen=True)
class Columns:
    """How wide things are, in inches.

    Args:
        left: room for names on the left of the page.
        width: of the panels over time.
        beside: room to the right of each panel.
        end: room at the right of the page.
        heights: of the rows, from the top.
    """

    left: float
    width: float
    beside: float
    end: float
    heights: Sequence[float]

    def figure(self, seen: Scene, title: str) -> Figure:
        """The page, with its headline and the verdict on each sample above its column."""
        across = self.left + (self.width + self.beside) * len(seen.samples) + self.end
        rows = sum(self.heights) + GAP * (len(self.heights) - 1)
        up = BOTTOM + rows + TOP + VERDICT * any(seen.verdict(sample)[0] for sample in seen.samples)
        figure = page(across, up, shown(title, 110))
        for number, sample in enumerate(seen.samples):
            text, colour = seen.verdict(sample)
            size = 10 if len(text) * 0.087 < self.width + self.beside else 8
            place = ((self.left + number * (self.width + self.beside)) / across, (BOTTOM + rows + 0.3) / up)
            figure.text(*place, text, color=colour, fontsize=size, fontweight="bold")
        return figure

    def cells(self, seen: Scene) -> Iterator[Cell]:
        """Where each layer of each sample goes, sample by sample, from the top."""
        for number, sample in enumerate(seen.samples):
            bottom = BOTTOM + sum(self.heights) + GAP * len(self.heights)
            for name, height in zip(seen.names, self.heights, strict=True):
                bottom -= height + GAP
                left = self.left + number * (self.width + self.beside)
                ends = (number == len(seen.samples) - 1, name == seen.names[-1])
                yield Cell(name, sample, left, bottom, self.width, height, number, *ends)


def time_panel(figure: Figure, cell: Cell, dt: float, label: str) -> Axes:
    """Axes over the time of a sample in ms: numbers below the lowest row only, `label` beside the first column only."""
    axes = panel(figure, cell.left, cell.bottom, cell.width, cell.height, grid="x")
    axes.set_xlim(0, cell.sample.steps * dt)
    axes.tick_params(labelbottom=cell.lowest)
    if cell.lowest:
        axes.set_xlabel("time (ms)", labelpad=2)
    if cell.number == 0:
        axes.set_ylabel(label)
        axes.yaxis.set_label_coords((MARGIN - cell.left) / cell.width, 0.5)  # in one line, whatever the numbers
    return axes


def middles(steps: int, dt: float) -> Floats:
    """The middle of each step in ms: step k lasts from k dt to (k + 1) dt."""
    return np.asarray((np.arange(steps) + 0.5) * dt, dtype=float)
