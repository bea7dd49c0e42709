"""Membrane potentials over time: a few units of each hidden layer, and every class of the last one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from snnlab.errors import WrongOption
from snnlab.training.plots.canvas import Floats, drawn, note, shown, text_width
from snnlab.training.plots.columns import MARGIN, Columns, time_panel
from snnlab.training.plots.samples import Labels, Layers, Scene, listed, scene, series
from snnlab.training.plots.trace_panels import Traces, class_panel, hidden_panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIDDEN_IN_ALL = 5.5  # inches that hidden layers share

Thresholds = Mapping[str, Any]


@drawn
def potentials(
    layers: Layers | Sequence[Layers],
    dt: float,
    *,
    threshold: Thresholds | Sequence[Thresholds] | None = None,
    spikes: Layers | Sequence[Layers] | None = None,
    classes: Sequence[Any] = (),
    true: Labels = None,
    predicted: Labels = None,
    most: int = 3,
    title: str | None = None,
) -> Figure:
    """The membrane potentials of up to three test samples, a column each.

    Of a hidden layer the most active units are shown, one above the other on one scale: those of most spikes or,
    without any, longest above threshold, or else those whose potential varies most. Of the last layer all classes are
    shown, the predicted and the true one in colour. Thresholds are dashed; spikes are ticks above the trace.

    Args:
        layers: from a layer's name to its potentials, (T, units), or a list of such samples.
        dt: length of a step, ms.
        threshold: from a layer's name to its threshold: a number, one per unit, (T, units) or None; or a list of these.
        spikes: from a layer's name to its spikes, (T, units), or a list; layers may be missing.
        classes: names of the classes.
        true: the class of the sample, or a list.
        predicted: the class it was taken for, or a list; where unknown, that of most spikes, or the highest.
        most: how many units of a hidden layer.
        title: the headline; default what is shown.
    Raises: WrongOption, when shapes do not fit together or no unit is to be shown.
    """
    if most < 1:
        raise WrongOption(f"potentials.most: {most}. How many units of a hidden layer to show, >= 1.")
    seen = scene("potentials", layers, dt, classes, true, predicted)
    traces = _traces(seen, spikes, threshold)
    columns = _columns(seen, most)
    figure = columns.figure(seen, title or seen.summary("Membrane potentials"))
    last = [each[seen.names[-1]] for each in traces]
    room = 2 if any(each.spikes is not None and each.spikes.any() for each in last) else 0
    for cell in columns.cells(seen):
        axes = time_panel(figure, cell, seen.dt, f"{shown(cell.name, 14)}\npotential")
        shown_here = traces[cell.number][cell.name]
        if not np.isfinite(shown_here.values).any():
            axes.set_yticks([])
            note(axes, "no finite values")
        elif seen.labelled(cell.name):
            axes.tick_params(labelleft=cell.number == 0)
            class_panel(axes, shown_here, cell.sample, seen.class_labels, _reach(last), room)
        else:
            hidden_panel(axes, shown_here, most)
    return figure


def _columns(seen: Scene, most: int) -> Columns:
    widest = max(seen.units(name) for name in seen.names)
    return Columns(
        left=MARGIN + 0.55,
        width={1: 7.0, 2: 4.3, 3: 3.1}[len(seen.samples)],
        beside=text_width([f"unit {widest}", *seen.class_labels], 8) + 0.3,
        end=0.05,
        heights=[_height(seen, name, most) for name in seen.names],
    )


def _reach(last: Sequence[Traces]) -> tuple[float, float]:
    """The least and the greatest potential or threshold of a layer in all samples."""
    every = [each.reach(range(each.values.shape[1])) for each in last if np.isfinite(each.values).any()]
    return min(low for low, _ in every), max(high for _, high in every)


def _traces(
    seen: Scene, spikes: Layers | Sequence[Layers] | None, threshold: Thresholds | Sequence[Thresholds] | None
) -> list[dict[str, Traces]]:
    """For each sample and layer, its potentials with what is known of spikes and thresholds."""
    fired, limits = _fired(seen, spikes), _limits(seen, threshold)
    return [
        {name: Traces(values, seen.dt, fires.get(name), limit.get(name)) for name, values in sample.layers.items()}
        for sample, fires, limit in zip(seen.samples, fired, limits, strict=True)
    ]


def _height(seen: Scene, name: str, most: int) -> float:
    if seen.labelled(name):
        return float(np.clip(0.11 * seen.units(name), 1.6, 4.0))
    share = HIDDEN_IN_ALL / max(len(seen.names) - 1, 1)
    return float(np.clip(0.55 * min(most, seen.units(name)), 0.7, max(share, 0.8)))


def _fired(seen: Scene, spikes: Layers | Sequence[Layers] | None) -> list[dict[str, Floats]]:
    """The spikes of each sample by layer, in the shape of the potentials."""
    if spikes is None:
        return [{} for _ in seen.samples]
    every = [series("potentials.spikes", each) for each in listed(spikes)]
    if len(every) != len(seen.samples):
        raise WrongOption(f"potentials.spikes: {len(every)} dicts for {len(seen.samples)} samples. One for each.")
    for sample, fired in zip(seen.samples, every, strict=True):
        for name in fired.keys() & sample.layers.keys():
            came, takes = fired[name].shape, sample.layers[name].shape
            if came != takes:
                raise WrongOption(f"potentials.spikes[{name!r}]: shape {came}. That of the potentials, {takes}.")
    return every


def _limits(seen: Scene, threshold: Thresholds | Sequence[Thresholds] | None) -> list[dict[str, Floats]]:
    """The thresholds of each sample by layer, at every step and unit, where there are any."""
    every = listed(threshold or {})
    every = every * len(seen.samples) if len(every) == 1 else every
    if len(every) != len(seen.samples):
        raise WrongOption(f"potentials.threshold: {len(every)} dicts for {len(seen.samples)} samples. One, or as many.")
    return [
        {
            name: _everywhere(name, value, sample.layers[name].shape)
            for name, value in each.items()
            if value is not None and name in sample.layers
        }
        for sample, each in zip(seen.samples, every, strict=True)
    ]


def _everywhere(name: str, threshold: Any, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(threshold, dtype=float)
    try:
        if array.ndim > 1:
            return array.reshape(shape)
        return np.broadcast_to(array.reshape(1, -1), shape)  # one for all units, or one for each
    except ValueError:
        takes = f"A number, one per unit, or the shape of the potentials, {shape}"
        raise WrongOption(f"potentials.threshold[{name!r}]: shape {array.shape}. {takes}.") from None
