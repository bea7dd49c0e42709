"""What every unit did while the network saw a sample: spikes as marks, continuous activity as an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.training.plots.canvas import (
    DPI,
    GREY,
    INK,
    PALE,
    VERMILLION,
    Floats,
    drawn,
    inches,
    note,
    number,
    panel,
    sheet,
    shown,
    text_width,
)
from snnlab.training.plots.columns import MARGIN, Cell, Columns, middles, time_panel
from snnlab.training.plots.samples import Labels, Layers, Scene, class_colour, scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP, APART = 0.5, 0.15  # inches: the narrow panel of mean rates, and how far from the wide one
HIDDEN_IN_ALL = 6.0  # inches that hidden layers share, so that a deep network still fits a slide


@drawn
def raster(
    layers: Layers | Sequence[Layers],
    dt: float,
    *,
    classes: Sequence[Any] = (),
    true: Labels = None,
    predicted: Labels = None,
    title: str | None = None,
) -> Figure:
    """The activity of up to three test samples, a column each, layer by layer, with each unit's mean beside it.

    A layer of zeros and ones is drawn as a spike raster with rates in Hz; any other as a heat map with a colour bar,
    its range that of all samples shown. The units of the last layer are named by the classes, if there are as many.

    Args:
        layers: from a layer's name to what its units did, (T, units), or a list of such samples.
        dt: length of a step, ms.
        classes: names of the classes.
        true: the class of the sample, or a list.
        predicted: the class it was taken for, or a list.
        title: the headline; default what is shown.
    Raises: WrongOption, when shapes do not fit together.
    """
    seen = scene("raster", layers, dt, classes, true, predicted)
    images = [name for name in seen.names if not _spiking(seen, name)]
    columns = Columns(
        left=MARGIN + 0.12 + max(_tick_width(seen, name) for name in seen.names),
        width={1: 6.4, 2: 4.1, 3: 3.0}[len(seen.samples)],
        beside=APART + STRIP + 0.3,
        end=0.45 if images else 0.0,
        heights=[_height(seen, name) for name in seen.names],
    )
    figure = columns.figure(seen, title or seen.summary("Activity" if images else "Spikes"))
    for cell in columns.cells(seen):
        units = seen.units(cell.name)
        label = f"{shown(cell.name, 14)}\n({units} {'unit' if units == 1 else 'units'})"
        axes = time_panel(figure, cell, seen.dt, label)
        strip = panel(figure, cell.left + cell.width + APART, cell.bottom, STRIP, cell.height, grid="x")
        if cell.name in images:
            _continuous(axes, strip, seen, cell)
        else:
            _spikes(axes, strip, seen, cell)
        _unit_axis(axes, seen, cell)
        _rows_of_classes((axes, strip), seen, cell, filled=cell.name not in images)
    return figure


def _spiking(seen: Scene, name: str) -> bool:
    return all(bool(np.isin(sample.layers[name], (0.0, 1.0)).all()) for sample in seen.samples)


def _height(seen: Scene, name: str) -> float:
    """Inches for a layer: room for a name per class, and a little more for more units."""
    units = seen.units(name)
    if seen.labelled(name):
        return float(np.clip(0.16 * units, 0.7, max(2.4, 0.1 * units)))
    share = HIDDEN_IN_ALL / max(len(seen.names) - 1, 1)
    return float(np.clip(1.0 + units / 250, 0.7, min(2.2, max(share, 0.7))))


def _label_size(seen: Scene, name: str) -> float:
    """Points of the names of a layer's units: 8, or what fits the height of a unit."""
    return float(np.clip(72 * _height(seen, name) / seen.units(name) * 0.85, 5, 8)) if seen.labelled(name) else 8.0


def _tick_width(seen: Scene, name: str) -> float:
    """Inches for the names or numbers of a layer's units."""
    labels = seen.class_labels if seen.labelled(name) else [str(seen.units(name))]
    return text_width(labels, _label_size(seen, name))


def _spikes(axes: Axes, strip: Axes, seen: Scene, cell: Cell) -> None:
    """A layer of zeros and ones: a mark per spike, and the mean rate of each unit in Hz."""
    spikes = cell.sample.layers[cell.name]  # (T, units)
    colours = _colours(seen, cell, INK)
    rates = spikes.mean(0) * 1000 / seen.dt
    top = max(float(sample.layers[cell.name].mean(0).max()) for sample in seen.samples) * 1000 / seen.dt
    if spikes.any():
        _marks(axes, spikes, middles(len(spikes), seen.dt), colours)
    else:
        note(axes, "no spikes")
    axes.set_title(f"mean {number(rates.mean())} Hz, {int((rates == 0).sum())} of {len(rates)} silent", color=GREY)
    _bars(strip, rates, _colours(seen, cell, GREY), 0.0, top)
    strip.set_title("Hz", color=GREY)


def _continuous(axes: Axes, strip: Axes, seen: Scene, cell: Cell) -> None:
    """A layer of rates or potentials: a heat map, and the mean over time of each unit."""
    from matplotlib import colormaps

    values = cell.sample.layers[cell.name]  # (T, units)
    low, high = _range([sample.layers[cell.name] for sample in seen.samples])
    shades = colormaps["RdBu_r" if low < 0 else "viridis"].with_extremes(bad=PALE)
    axes.grid(False)
    # Cells larger than a dot are drawn as they are; what is finer is averaged.
    coarse = all(DPI * inch > count for inch, count in zip(inches(axes), values.shape, strict=True))
    finer = "nearest" if coarse else "auto"
    image = axes.imshow(values.T, aspect="auto", origin="lower", cmap=shades, interpolation=finer)
    image.set_extent((0.0, len(values) * seen.dt, -0.5, values.shape[1] - 0.5))
    image.set_clim(low, high)
    axes.set_xlim(0, cell.sample.steps * seen.dt)
    finite = values[np.isfinite(values)]
    if finite.size:
        axes.set_title(f"{number(finite.min())} to {number(finite.max())}, mean {number(finite.mean(), 2)}", color=GREY)
    else:
        note(axes, "no finite values")
    means = [_means(sample.layers[cell.name]) for sample in seen.samples]
    _bars(strip, _means(values), _colours(seen, cell, GREY), min(map(np.min, means)), max(map(np.max, means)))
    strip.set_title("mean", color=GREY)
    if cell.rightmost:
        left = cell.left + cell.width + APART + STRIP + 0.14
        bar = panel(sheet(axes), left, cell.bottom, 0.1, cell.height)
        sheet(axes).colorbar(image, cax=bar)
        bar.tick_params(labelsize=7, length=2)


def _colours(seen: Scene, cell: Cell, other: str) -> list[str]:
    units = seen.units(cell.name)
    if not seen.labelled(cell.name):
        return [other] * units
    return [class_colour(index, cell.sample.true, cell.sample.predicted, other) for index in range(units)]


def _marks(axes: Axes, spikes: Floats, when: Floats, colours: Sequence[str]) -> None:
    """A small box per spike, as long as its step and as high as its unit, but never too small or too big to see."""
    from matplotlib.path import Path

    across, up = inches(axes)
    step, unit = 72 * across / len(spikes), 72 * up / spikes.shape[1]  # points
    # The least size is what the eye finds, unless so many such marks would fill the panel.
    crowded = spikes.mean() * max(1.1 / step, 1) * max(1.1 / unit, 1) > 0.2
    least = 0.6 if crowded else 1.1
    width, height = float(np.clip(0.8 * step, least, 12.0)), float(np.clip(0.75 * unit, least, 9.0))
    box = Path([(-width, -height), (width, -height), (width, height), (-width, height), (-width, -height)], closed=True)
    shades = np.asarray(colours)
    for colour in dict.fromkeys(colours):
        steps, units = np.nonzero(spikes * (shades == colour))
        (line,) = axes.plot(when[steps], units, linestyle="none", color=colour)
        line.set(marker=box, markersize=max(width, height), markeredgewidth=0)


def _range(arrays: Sequence[Floats]) -> tuple[float, float]:
    """The range of colours: from zero up, or the same to both sides of zero where values are negative."""
    finite = np.concatenate([array[np.isfinite(array)] for array in arrays])
    if not finite.size or not finite.any():
        return 0.0, 1.0
    most = float(np.abs(finite).max())
    return (-most, most) if finite.min() < 0 else (0.0, most)


def _means(values: Floats) -> Floats:
    """The mean over time of each unit, over what is finite; 0 where nothing is."""
    finite = np.isfinite(values)
    total = np.where(finite, values, 0.0).sum(0)
    return np.asarray(total / np.maximum(finite.sum(0), 1), dtype=float)


def _bars(strip: Axes, means: Floats, colours: Sequence[str], low: float, high: float) -> None:
    """One bar per unit, on a scale that all samples share."""
    from matplotlib.ticker import MaxNLocator

    edges = np.arange(len(means) + 1) - 0.5
    shades = np.asarray(colours)
    for colour in dict.fromkeys(colours):
        lengths = np.where(shades == colour, means, 0.0)
        bars = strip.stairs(lengths, edges, orientation="horizontal", fill=True, color=colour)
        bars.set_antialiased(False)  # thin bars are then of one shade
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.05 * (high - low)
    strip.set_xlim((low - margin * (low < 0), high + margin) if high > low else (0.0, 1.0))
    strip.set_ylim(-0.5, len(means) - 0.5)
    # One number is a scale, as bars start at zero; more would run into each other.
    nice = [tick for tick in MaxNLocator(2, steps=[1, 2, 5, 10]).tick_values(low, high) if low <= tick <= high]
    if high > low:
        tick = max(nice, key=abs, default=high)
        # A number at the left would run into the last one of the axis of time.
        strip.set_xticks([tick], [number(tick)], ha="left" if tick < 0 else "center")
    else:
        strip.set_xticks([])
    if low < 0:
        strip.axvline(0, color=GREY, linewidth=0.8)
    strip.tick_params(labelleft=False, left=False, labelsize=7)


def _unit_axis(axes: Axes, seen: Scene, cell: Cell) -> None:
    """Ticks and names on the axis of units: classes by name, other units by number."""
    from matplotlib.ticker import MaxNLocator

    units = seen.units(cell.name)
    axes.set_ylim(-0.5, units - 0.5)
    if seen.labelled(cell.name):
        axes.set_yticks(range(units), seen.class_labels)
        axes.tick_params(axis="y", labelsize=_label_size(seen, cell.name), length=0)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    axes.tick_params(labelleft=cell.number == 0)


def _rows_of_classes(panels: Sequence[Axes], seen: Scene, cell: Cell, *, filled: bool) -> None:
    """Mark the rows of the true and of a wrongly predicted class: a tint, or a frame that leaves an image as it is."""
    if not seen.labelled(cell.name):
        return
    for index in range(seen.units(cell.name)):
        if index not in (cell.sample.true, cell.sample.predicted):
            continue
        colour = class_colour(index, cell.sample.true, cell.sample.predicted, VERMILLION)
        for axes in panels:
            if filled:
                axes.axhspan(index - 0.5, index + 0.5, color=colour, alpha=0.1, linewidth=0)
            elif axes is panels[0]:
                axes.axhspan(index - 0.5, index + 0.5, fill=False, edgecolor=colour, linewidth=1.4)
