"""The panels of membrane potentials: some units of a hidden layer above each other, all classes on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.training.plots.canvas import GREY, PALETTE, Floats, inches, label_ends, number
from snnlab.training.plots.columns import middles
from snnlab.training.plots.samples import Sample, class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FAINT = "#B8B8B8"  # classes that are neither predicted nor true


@dataclass(frozen=True)
class Traces:
    """The potentials of a layer, (T, units), with its spikes and thresholds in the same shape, where there are any."""

    values: Floats
    dt: float
    spikes: Floats | None
    threshold: Floats | None

    def activity(self) -> Floats:
        """What makes a unit worth showing: its spikes, or its time above threshold, or how far its potential moves."""
        if self.spikes is not None and self.spikes.any():
            return np.asarray(np.nan_to_num(self.spikes).sum(0), dtype=float)
        if self.threshold is not None and (self.values >= self.threshold).any():
            return np.asarray((self.values >= self.threshold).sum(0), dtype=float)
        finite = np.isfinite(self.values)
        highest = np.where(finite, self.values, -np.inf).max(0)
        return np.where(finite.any(0), highest - np.where(finite, self.values, np.inf).min(0), -1.0)

    def winner(self, predicted: int | None) -> tuple[int, str]:
        """The class to show, and why: the predicted one or, where unknown, that of most spikes or greatest mean."""
        count = self.values.shape[1]
        if predicted is not None and predicted < count:
            return predicted, "predicted"
        if self.spikes is not None and self.spikes.any():
            return int(np.nan_to_num(self.spikes).sum(0).argmax()), "most spikes"
        finite = np.isfinite(self.values)
        means = np.where(finite, self.values, 0.0).sum(0) / np.maximum(finite.sum(0), 1)
        return int(np.where(finite.any(0), means, -np.inf).argmax()), "highest on average"

    def reach(self, units: Sequence[int]) -> tuple[float, float]:
        """The least and the greatest value of some units and their thresholds."""
        lines = [array[:, list(units)] for array in (self.values, self.threshold) if array is not None]
        values = np.concatenate(lines)
        values = values[np.isfinite(values)]
        return (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)

    def line(self, axes: Axes, unit: int, lift: float, colour: str, width: float) -> float:
        """Draw the potential of a unit, shifted up by `lift`; returns where it ends."""
        values = self.values[:, unit] + lift
        # With few steps the steps themselves are worth seeing, and a single one would be no line at all.
        few = len(values) == 1 or (len(values) <= 30 and width > 1)
        marker: dict[str, Any] = {"marker": "o", "markersize": 2.5 + width / 2} if few else {}
        width = width if len(values) <= 200 else 0.65 * width
        axes.plot(middles(len(values), self.dt), values, color=colour, linewidth=width, **marker)
        finite = values[np.isfinite(values)]
        return float(finite[-1]) if finite.size else lift

    def dashes(self, axes: Axes, unit: int, lift: float) -> None:
        """Draw the threshold of a unit."""
        if self.threshold is not None:
            values = self.threshold[:, unit] + lift
            when, values = np.arange(len(values) + 1) * self.dt, np.append(values, values[-1])
            axes.plot(when, values, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)))

    def ticks(self, axes: Axes, unit: int, bottom: float, height: float, colour: str) -> None:
        """Draw the spikes of a unit."""
        if self.spikes is not None:
            when = middles(len(self.spikes), self.dt)[np.nan_to_num(self.spikes[:, unit]) > 0]
            axes.vlines(when, bottom, bottom + height, color=colour, linewidth=1.0)

    def about_threshold(self, units: Sequence[int]) -> str:
        """The end of a title: what the dashed line is."""
        if self.threshold is None:
            return ""
        shown_ones = self.threshold[:, list(units)]
        return f"; dashed: threshold {number(shown_ones.flat[0])}" if np.ptp(shown_ones) == 0 else "; dashed: threshold"


def hidden_panel(axes: Axes, traces: Traces, most: int) -> None:
    """A few units of a hidden layer, the most active on top, each as far below the next as their range asks for."""
    count = traces.values.shape[1]
    chosen = [int(unit) for unit in np.argsort(-traces.activity(), kind="stable")[:most]]
    low, high = traces.reach(chosen)
    span = (high - low) or 1.0
    colours = [PALETTE[row % len(PALETTE)] for row in range(len(chosen))]
    ends = []
    for row, unit in enumerate(chosen):
        lift = -1.45 * span * row
        traces.dashes(axes, unit, lift)
        ends.append(traces.line(axes, unit, lift, colours[row], 1.2))
        traces.ticks(axes, unit, high + lift + 0.08 * span, 0.2 * span, colours[row])
    axes.set_yticks([])
    axes.set_ylim(low - 1.45 * span * (len(chosen) - 1) - 0.1 * span, high + 0.4 * span)
    label_ends(axes, ends, [f"unit {unit}" for unit in chosen], colours)
    units = f"all {count} units" if count > 1 else "the one unit"
    which = f"{len(chosen)} most active of {count}" if len(chosen) < count else units
    finite = traces.values[:, chosen][np.isfinite(traces.values[:, chosen])]
    reach = f", {number(finite.min())} to {number(finite.max())}" if finite.size else ""
    axes.set_title(f"{which}{reach}{traces.about_threshold(chosen)}", color=GREY)


def class_panel(
    axes: Axes, traces: Traces, sample: Sample, labels: Sequence[str], reach: tuple[float, float], room: int
) -> None:
    """Every class of the last layer; the winning one and the true one stand out and show their spikes.

    Args:
        reach: the least and the greatest potential, over all samples of the picture.
        room: for how many rows of spikes there is to be room above the traces.
    """
    count = traces.values.shape[1]
    true, (winner, which) = sample.true, traces.winner(sample.predicted)
    colours = [class_colour(unit, true, winner, FAINT) for unit in range(count)]
    bright = [unit for unit in dict.fromkeys((winner, true)) if unit is not None and unit < count]
    traces.dashes(axes, winner, 0.0)
    ends = {}
    for unit in sorted(range(count), key=lambda each: (each in bright, each == winner)):  # the winner over all others
        ends[unit] = traces.line(axes, unit, 0.0, colours[unit], 1.8 if unit in bright else 0.8 if count <= 12 else 0.5)
    low, high = reach
    span = (high - low) or 1.0
    for row, unit in enumerate(bright):
        traces.ticks(axes, unit, high + (0.06 + 0.12 * row) * span, 0.1 * span, colours[unit])
    axes.grid(True, axis="y")
    axes.set_ylim(low - 0.06 * span, high + (0.06 + 0.13 * room) * span)
    size = float(np.clip(72 * inches(axes)[1] / count * 0.85, 5, 8))
    inks = [GREY if colour == FAINT else colour for colour in colours]
    label_ends(axes, [ends[unit] for unit in range(count)], labels, inks, size)
    classes = f"all {count} classes" if count > 1 else "the one class"
    axes.set_title(f"{classes}; {which}: {labels[winner]}{traces.about_threshold([winner])}", color=GREY)
