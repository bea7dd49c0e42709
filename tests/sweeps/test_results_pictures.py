"""Pictures of a sweep: what is drawn where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnlab.errors import BadData
from snnlab.sweeps.results import axes, groups
from snnlab.sweeps.results.curve_plot import curves_figure
from snnlab.sweeps.results.curves import Curve
from snnlab.sweeps.results.plot import groups_figure
from snnlab.sweeps.results.runs import Run
from snnlab.sweeps.results.selection import Selection


def selection(*points: tuple[dict[str, Any], float]) -> Selection:
    """Runs with these options and accuracies."""
    found = [
        Run(Path(str(number)), "completed", {"metric": ["accuracy"], "seed": number, **options}, (), _metrics(value))
        for number, (options, value) in enumerate(points)
    ]
    keys, what = axes.differing(found), groups.measure(found)
    return Selection(found, keys, what, groups.grouped(found, keys, what))


def _metrics(value: float) -> dict[str, float]:
    return {"test/accuracy": value, "val/accuracy": value}


def means(figure: Any) -> list[tuple[list[float], list[float]]]:
    """The lines through the means."""
    bars = figure.axes[0].containers
    return [tuple(list(map(float, data)) for data in bar.lines[0].get_data()) for bar in bars]


def test_three_numbers_make_an_axis_with_a_line_through_the_means() -> None:
    shown = selection(*(({"optimizer.lr": lr}, lr * (10 + seed)) for lr in (0.01, 0.02, 0.03) for seed in (0, 2)))
    figure = groups_figure(shown)
    ((across, up),) = means(figure)
    assert across == pytest.approx([0.01, 0.02, 0.03])
    assert up == pytest.approx([0.11, 0.22, 0.33])
    assert figure.axes[0].get_xscale() == "linear"
    assert figure.axes[0].get_xlabel() == "optimizer.lr"
    assert figure.axes[0].get_ylabel() == "test accuracy"


def test_an_axis_over_decades_is_logarithmic_and_its_ticks_are_the_values() -> None:
    figure = groups_figure(selection(*(({"neuron.tau": tau, "neuron": "lif"}, tau) for tau in (1.0, 10.0, 100.0))))
    drawn = figure.axes[0]
    assert drawn.get_xscale() == "log"
    assert list(drawn.get_xticks()) == [1.0, 10.0, 100.0]
    assert [drawn.xaxis.get_major_formatter()(tick) for tick in drawn.get_xticks()] == ["1", "10", "100"]
    assert drawn.get_xlabel() == "neuron.tau (ms)"


def test_every_run_is_a_dot_and_the_bar_is_the_standard_deviation() -> None:
    figure = groups_figure(selection(*(({}, value) for value in (1.0, 2.0, 6.0))))
    drawn = figure.axes[0]
    dots = [line for line in drawn.lines if line.get_alpha()]
    assert sorted(float(x) for dot in dots for x in dot.get_xdata()) == [1.0, 2.0, 6.0]
    (segment,) = drawn.containers[0].lines[2][0].get_segments()
    assert segment[:, 0] == pytest.approx([3 - np.std([1, 2, 6], ddof=1), 3 + np.std([1, 2, 6], ddof=1)])


def test_two_options_without_numbers_are_rows_and_colours() -> None:
    points = [({"neuron": n, "loss": loss}, 0.5) for n in ("lif", "cuba") for loss in ("rate_mse", "van_rossum")]
    figure = groups_figure(selection(*points))
    drawn = figure.axes[0]
    assert [label.get_text() for label in drawn.get_yticklabels()] == ["cuba", "lif"]
    assert [text.get_text() for text in drawn.get_legend().get_texts()] == ["rate_mse", "van_rossum"]
    assert len({bar.lines[0].get_color() for bar in drawn.containers}) == 2


def test_lines_of_two_options_are_told_apart_by_colour_and_by_dashes() -> None:
    points = [
        ({"neuron": n, "loss": loss, "batch_size": size}, 0.5)
        for n in ("lif", "cuba")
        for loss in ("rate_mse", "van_rossum")
        for size in (8, 16, 32)
    ]
    lines = [bar.lines[0] for bar in groups_figure(selection(*points)).axes[0].containers]
    assert len({line.get_color() for line in lines}) == len({line.get_linestyle() for line in lines}) == 2
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 4


def test_what_is_too_much_for_a_picture_is_refused_with_what_to_do() -> None:
    points = [({"neuron": f"n{n}", "batch_size": size}, 0.5) for n in range(13) for size in (8, 16, 32)]
    with pytest.raises(BadData, match="13 lines are too many"):
        groups_figure(selection(*points))
    with pytest.raises(BadData, match="61 groups are too many"):
        groups_figure(selection(*(({"neuron": f"n{n}"}, 0.5) for n in range(61))))
    with pytest.raises(BadData, match="no job has a number"):
        groups_figure(selection(({}, float("nan"))))


def test_a_curve_is_thick_as_far_as_all_runs_came() -> None:
    shown = selection(({}, 0.5), ({}, 0.6))
    curve = Curve(shown.groups[0], (0, 1, 2, 3), (4.0, 3.0, 2.0, 1.0), (0.5, 0.5, None, None), (2, 2, 1, 1))
    drawn = curves_figure(shown, [curve], "val/loss").axes[0]
    thin, thick = drawn.lines
    assert list(np.isfinite(thick.get_ydata())) == [True, True, False, False]
    assert list(np.isfinite(thin.get_ydata())) == [False, True, True, True]
    band = drawn.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 4.5)
    assert drawn.get_ylabel() == "validation loss"
