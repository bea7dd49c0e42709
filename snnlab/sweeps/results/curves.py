"""Learning curves of groups: mean and standard deviation over their runs, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from snnlab.errors import WrongOption
from snnlab.options import nearest
from snnlab.sweeps.results.axes import text
from snnlab.sweeps.results.epochs import column
from snnlab.sweeps.results.groups import Group, mean_of, once, sd_of
from snnlab.sweeps.results.page import explained, summary
from snnlab.sweeps.results.selection import Selection
from snnlab.sweeps.results.table import Column, fits, laid_out
from snnlab.sweeps.results.values import number, printable

MOST_SHOWN = 6
"""Epochs of a curve in a table of text; fewer where there is no room."""


@dataclass(frozen=True)
class Curve:
    """The curve of a group.

    Args:
        group: whose it is.
        epochs: those that a run has reached.
        mean: over the runs that reached the epoch.
        sd: None where only one did.
        n: how many did.
    """

    group: Group
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    sd: tuple[float | None, ...]
    n: tuple[int, ...]


def curves(groups: Iterable[Group], key: str) -> list[Curve]:
    """The curves of groups that have any.

    Args:
        groups: completed runs count, and those that are still trained or were stopped, as far as they came.
        key: a column of metrics.csv, as val/loss.
    Raises: WrongOption, for a key that no run has.
    """
    known: dict[str, None] = {}
    found = [_curve(group, key, known) for group in groups]
    if known and key not in known:
        names = [name for name in known if "/rate/" not in name and "/silent/" not in name]
        raise WrongOption(f"--curve {key}: no metrics.csv has it.{nearest(key, names)}")
    return [curve for curve in found if curve.epochs]


def curve_page(selection: Selection, found: Sequence[Curve], key: str, width: int) -> str:
    """The curves in words: mean and standard deviation at some epochs."""
    last = max((curve.epochs[-1] for curve in found), default=0)
    options = [
        Column(name, tuple(text(curve.group.runs[0], name) for curve in found), elastic=True) for name in selection.keys
    ]
    options.append(Column("n", tuple(str(max(curve.n)) for curve in found), right=True))
    for number_of in range(MOST_SHOWN, 2, -1):
        steps = sorted({round(last * place / (number_of - 1)) for place in range(number_of)})
        cells = {step: tuple(_at(curve, step) for curve in found) for step in steps}
        columns = [*options, *(Column(f"epoch {step}", cells[step], right=True) for step in steps)]
        if fits(columns, width):
            break
    lines, short = laid_out(columns, width)
    said = [summary(selection.runs), f"{printable(key)}: mean ± sd over runs", *explained(short, width)]
    return "\n".join([*said, "", *lines])


def curve_records(found: Iterable[Curve], key: str) -> list[dict[str, Any]]:
    """The curves as plain data, an object a group."""
    return [
        {
            "options": dict(curve.group.options),
            "curve": key,
            "epochs": list(curve.epochs),
            "mean": list(curve.mean),
            "sd": list(curve.sd),
            "n": list(curve.n),
        }
        for curve in found
    ]


def curve_rows(found: Iterable[Curve], key: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """The curves as plain data, an object a group and epoch, for a table."""
    return [
        {
            "options": {name: text(curve.group.runs[0], name) for name in keys},
            "curve": key,
            "epoch": epoch,
            "mean": curve.mean[place],
            "sd": curve.sd[place],
            "n": curve.n[place],
        }
        for curve in found
        for place, epoch in enumerate(curve.epochs)
    ]


def _curve(group: Group, key: str, known: dict[str, None]) -> Curve:
    runs = [column(run, key, known) for run in once(group.runs)]
    epochs = sorted({epoch for rows in runs for epoch in rows})
    at = [[rows[epoch] for rows in runs if epoch in rows] for epoch in epochs]
    means = [mean_of(values) or 0.0 for values in at]
    return Curve(group, tuple(epochs), tuple(means), tuple(map(sd_of, at)), tuple(map(len, at)))


def _at(curve: Curve, epoch: int) -> str:
    if epoch not in curve.epochs:
        return "-"
    place = curve.epochs.index(epoch)
    sd = curve.sd[place]
    return _short(curve.mean[place]) + ("" if sd is None else f" ± {_short(sd)}")


def _short(value: float) -> str:
    """With three digits behind the point: six of them stand side by side."""
    return f"{value:.3f}" if value == 0 or 1e-2 <= abs(value) < 1e4 else number(value)
