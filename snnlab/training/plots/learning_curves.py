"""How training went: loss, metric and firing rates by epoch, with the best epoch marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from snnlab.errors import WrongOption
from snnlab.training.plots.canvas import BLUE, GREY, INK, PALETTE, Floats, drawn, label_ends, note, page, panel, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT, LEFT, BOTTOM, TOP, BETWEEN = 2.5, 0.65, 0.5, 0.9, 0.75  # inches of a panel, around it and from one to the next
MOST_METRICS = 4
STAGES = {"train": (GREY, "training"), "val": (BLUE, "validation")}
FALLING = ("loss", "error", "mse", "mae", "perplexity")  # names of what is better when it is lower


@dataclass(frozen=True)
class History:
    """Values by epoch: one row of numbers for each key, NaN where it was not measured."""

    epochs: Floats
    values: dict[str, Floats]

    def names(self, stage: str) -> list[str]:
        """What was measured at a stage: `accuracy` for the key `val/accuracy`."""
        return [key.partition("/")[2] for key in self.values if key.partition("/")[0] == stage]

    def best(self, key: str, mode: str) -> int | None:
        """The place of the best value; of equal ones the last, whose weights a run keeps."""
        values = self.values.get(key, np.empty(0))
        if not np.isfinite(values).any():
            return None
        best = np.nanmax(values) if mode == "max" else np.nanmin(values)
        return int(np.flatnonzero(values == best)[-1])


@drawn
def curves(
    rows: Sequence[Mapping[str, Any]],
    *,
    metrics: Sequence[str] = (),
    monitor: str | None = None,
    mode: Literal["min", "max"] | None = None,
    title: str | None = None,
) -> Figure:
    """Learning curves from the rows of metrics.csv: a panel for the loss, each metric, and the firing rates of layers.

    Rows of one epoch are taken together. A value may be a number, its text, empty, missing, NaN or infinite.

    Args:
        rows: dicts with `epoch` and keys such as `train/loss`, `val/accuracy`, `train/rate/0`.
        metrics: which metrics, by name without stage; default the first four of validation or, without it, of training.
        monitor: the key whose best value marks the best epoch; default `val/` and the first metric, or the loss.
        mode: whether the best value is the least or the greatest; default told by the key's name.
        title: the headline; default what is shown.
    Raises: WrongOption, when there are no rows.
    """
    history = _history(rows)
    chosen = list(metrics) or _metrics(history)[:MOST_METRICS]
    key = monitor or _monitor(history, chosen)
    best = history.best(key, mode or ("min" if _falls(key) else "max"))
    panels = ["loss", *chosen] + (["rate"] if _rates(history) else [])
    columns = 2 if len(panels) == 4 else min(len(panels), 3)
    width = {1: 6.0, 2: 4.2, 3: 3.1}[columns]
    lines = -(-len(panels) // columns)
    pitch, step = width + BETWEEN, HEIGHT + BOTTOM + 0.35
    figure = page(LEFT + columns * pitch, TOP + lines * step - 0.35, shown(title or _headline(history, key, best), 90))
    _legend(figure, history, best)
    for number, name in enumerate(panels):
        line, column = divmod(number, columns)
        place = (LEFT + column * pitch, BOTTOM + (lines - 1 - line) * step)
        axes = panel(figure, *place, width, HEIGHT, grid="both")
        if name == "rate":
            _rate_panel(axes, history)
        else:
            _metric_panel(axes, history, name, best)
        _epoch_axis(axes, history, best)
    return figure


def _history(rows: Sequence[Mapping[str, Any]]) -> History:
    """The rows as arrays over epochs; of several values for one epoch the last one counts."""
    if not rows:
        raise WrongOption("curves.rows: no rows. The rows of metrics.csv, one epoch at least.")
    cells: dict[str, dict[float, float]] = {}
    epochs: dict[float, None] = {}
    for number, row in enumerate(rows):
        epoch = _number(row.get("epoch"))
        epoch = float(number) if epoch is None or not np.isfinite(epoch) else epoch
        epochs[epoch] = None
        for key, text in row.items():
            value = _number(text)
            if value is not None and "/" in key:
                cells.setdefault(key, {})[epoch] = value if np.isfinite(value) else np.nan
    order = sorted(epochs)
    values = {key: np.array([found.get(epoch, np.nan) for epoch in order]) for key, found in cells.items()}
    return History(np.array(order), values)


def _number(value: Any) -> float | None:
    """A cell of the table as a number; None where it is empty or no number."""
    if isinstance(value, str) and not value.strip():
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _metrics(history: History) -> list[str]:
    names = history.names("val") or history.names("train")
    return [name for name in names if name != "loss" and name != "rate" and not name.startswith("rate/")]


def _rates(history: History) -> list[str]:
    """The keys of firing rates, those of training before those of validation."""
    names = [(stage, name) for stage in STAGES for name in history.names(stage)]
    return [f"{stage}/{name}" for stage, name in names if name == "rate" or name.startswith("rate/")]


def _monitor(history: History, metrics: Sequence[str]) -> str:
    """What tells the best epoch where nobody says: a metric before the loss, validation before training."""
    keys = [f"{stage}/{name}" for stage in ("val", "train") for name in (*metrics[:1], "loss")]
    return next((key for key in keys if history.best(key, "min") is not None), keys[0])


def _falls(key: str) -> bool:
    return any(word in key.lower() for word in FALLING)


def _headline(history: History, key: str, best: int | None) -> str:
    count = len(history.epochs)
    length = f"{count} {'epoch' if count == 1 else 'epochs'}"
    if best is None:
        return f"Learning curves over {length}"
    stage, _, name = key.partition("/")
    what = f"{STAGES[stage][1] if stage in STAGES else stage} {name}"
    return f"Best {what}: {history.values[key][best]:.4g} in epoch {history.epochs[best]:g} ({length})"


def _legend(figure: Figure, history: History, best: int | None) -> None:
    from matplotlib.lines import Line2D

    marker = "o" if len(history.epochs) <= 30 else ""
    handles = [
        Line2D([], [], color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=label)
        for stage, (colour, label) in STAGES.items()
        if history.names(stage)
    ]
    if best is not None:
        dots: dict[str, Any] = {"linestyle": ":", "linewidth": 1.2, "marker": "D", "markersize": 4.5}
        handles.append(Line2D([], [], color=INK, label="best epoch", **dots))
    across, up = figure.get_size_inches()
    place = (0.15 / across, 1 - 0.36 / up)
    tight: dict[str, Any] = {"borderaxespad": 0, "borderpad": 0, "fontsize": 9, "ncols": 3}
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=place, **tight)


def _metric_panel(axes: Axes, history: History, name: str, best: int | None) -> None:
    """A loss or metric in training and validation."""
    found = {stage: history.values[f"{stage}/{name}"] for stage in STAGES if f"{stage}/{name}" in history.values}
    finite = np.concatenate([np.empty(0), *[values[np.isfinite(values)] for values in found.values()]])
    axes.set_title(shown(name, 30), fontsize=10, fontweight="bold")
    if not finite.size:
        axes.set_yticks([])
        note(axes, "no finite values")
        return
    if name == "loss" and finite.min() > 0 and finite.max() > 30 * finite.min():
        _logarithmic(axes, finite)
    for stage, values in found.items():
        _curve(axes, history.epochs, values, STAGES[stage][0])
    stage = "val" if "val" in found else "train"
    if best is not None and stage in found and np.isfinite(found[stage][best]):
        axes.plot(history.epochs[best], found[stage][best], "D", color=INK, markersize=5, zorder=3)
        axes.set_title(f"{STAGES[stage][1]}: {found[stage][best]:.4g}", loc="right")


def _logarithmic(axes: Axes, values: Floats) -> None:
    """A logarithmic axis with plain numbers: 1, 2, 5, 10 ... where there is room for them."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if values.max() < 300 * values.min() else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _rate_panel(axes: Axes, history: History) -> None:
    """The firing rate of each layer: training as lines, validation as dashes of the same colour."""
    axes.set_title("firing rate", fontsize=10, fontweight="bold")
    ends: dict[str, float] = {}
    keys = _rates(history)
    layers = list(dict.fromkeys(key.partition("/")[2] for key in keys))
    colours = {layer: PALETTE[number % len(PALETTE)] for number, layer in enumerate(layers)}
    for key in keys:
        stage, _, layer = key.partition("/")
        values = history.values[key]
        finite = values[np.isfinite(values)]
        if finite.size:
            _curve(axes, history.epochs, values, colours[layer], dashed=stage == "val")
            ends.setdefault(layer, float(finite[-1]))
    if not ends:
        note(axes, "no finite values")
        return
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    both = len({key.partition("/")[0] for key in keys}) == 2
    axes.set_title("lines: training, dashes: validation" if both else "", loc="right", color=GREY)
    names = [shown(layer.removeprefix("rate").removeprefix("/") or "all", 9) for layer in ends]
    label_ends(axes, list(ends.values()), names, [colours[layer] for layer in ends])


def _curve(axes: Axes, epochs: Floats, values: Floats, colour: str, *, dashed: bool = False) -> None:
    """A line over the epochs that were measured: a gap where one was NaN between others would hide single ones."""
    there = np.isfinite(values)
    dots = (len(epochs) <= 30 and not dashed) or there.sum() == 1
    marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if dots else {}
    axes.plot(epochs[there], values[there], color=colour, linewidth=1.6, linestyle="--" if dashed else "-", **marker)


def _epoch_axis(axes: Axes, history: History, best: int | None) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = float(history.epochs[0]), float(history.epochs[-1])
    margin = 0.03 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", labelpad=2)
    if best is not None:
        axes.axvline(float(history.epochs[best]), color=INK, linewidth=1.2, linestyle=":", zorder=1)
