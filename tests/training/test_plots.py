"""The pictures that a run leaves: they can be made of anything a run may hold, and say what they should."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from snnlab.errors import WrongOption
from snnlab.training.plots import confusion, curves, potentials, raster, save
from snnlab.training.plots.canvas import BLUE, VERMILLION, spread

DIGITS = [str(digit) for digit in range(10)]
WORDS = ["backward", "a name that is far too long", "日本", "$x$ costs $", "line\nbreak", "Привет", "ümlaut", "x"]


def spikes(steps: int = 10, units: int = 20, share: float = 0.2, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random((steps, units)) < share).astype(np.float32)


def walk(steps: int = 10, units: int = 20, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.3, (steps, units)).cumsum(0)


def epoch(number: int, **values: Any) -> dict[str, Any]:
    return {"epoch": number} | {key.replace("_", "/", 1): value for key, value in values.items()}


def history(epochs: int) -> list[dict[str, Any]]:
    return [
        epoch(
            number,
            train_loss=2 * math.exp(-number / 5),
            val_loss=2 * math.exp(-number / 6),
            train_accuracy=1 - 0.9 * math.exp(-number / 3),
            val_accuracy=1 - 0.9 * math.exp(-number / 4),
            **{"train_rate/0": 0.1, "train_rate/1": 0.12, "val_rate/0": 0.09},
        )
        for number in range(epochs)
    ]


def counts(classes: int) -> np.ndarray:
    matrix = np.random.default_rng(0).poisson(0.5, (classes, classes))
    return matrix + np.diag(np.full(classes, 90))


def texts(figure: Figure) -> list[str]:
    """All that is written on a figure, tick labels included."""
    figure.draw_without_rendering()
    return [text.get_text() for text in written(figure)]


def written(figure: Figure) -> list[Text]:
    found = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in found if text.get_visible() and text.get_text()]


def rows(figure: Figure, name: str) -> Axes:
    """The leftmost panel of a layer."""
    return next(axes for axes in figure.axes if axes.get_ylabel().startswith(name))


def ticks(axes: Axes) -> list[np.ndarray]:
    """Times of vertical marks, one array per group."""
    groups = [each for each in axes.collections if isinstance(each, LineCollection) and each.get_clip_on()]
    return [np.array([segment[0, 0] for segment in group.get_segments()]) for group in groups]


ORDINARY: dict[str, Callable[[], Figure]] = {
    "raster, 10 steps, 256 units": lambda: raster(
        {"hidden": spikes(10, 256), "output": spikes(10, 10)}, 1.0, classes=DIGITS, true=3, predicted=8
    ),
    "raster, 500 steps, 100 units, 35 classes": lambda: raster(
        [{"input": spikes(100, 700), "hidden": spikes(500, 100), "output": walk(500, 35)}] * 3,
        1.0,
        classes=["a name that is far too long"] * 35,
        true=[0, 1, 34],
        predicted=[0, 2, 34],
    ),
    "raster of negative means": lambda: raster({"hidden": walk(80, 50), "output": -np.abs(walk(80, 3))}, 20.0),
    "raster of rates": lambda: raster([{"hidden": walk(40, 50), "output": np.abs(walk(40, 3))}] * 2, 20.0),
    "raster of odd names": lambda: raster(
        {"日本 $": spikes(), "out": spikes(5, 8)}, 1.0, classes=WORDS, true=1, predicted=2
    ),
    "potentials": lambda: potentials(
        {"hidden": walk(10, 256), "output": walk(10, 10)},
        1.0,
        threshold={"hidden": 1.0, "output": None},
        spikes={"hidden": spikes(10, 256), "output": spikes(10, 10)},
        classes=DIGITS,
        true=3,
        predicted=8,
    ),
    "potentials of three samples, 35 classes": lambda: potentials(
        [{"hidden": walk(300, 12345), "output": 100 * walk(300, 35)}] * 3, 1.0, true=[0, 1, 34], predicted=[0, 2, 34]
    ),
    "potentials of odd names": lambda: potentials(
        {"日本 $": walk(), "out": walk(5, 8)}, 1.0, classes=WORDS, true=1, predicted=2
    ),
    "curves": lambda: curves(history(30)),
    "curves of one panel": lambda: curves([epoch(number, train_loss=1.0 / (number + 1)) for number in range(3)]),
    "curves with a long title": lambda: curves(history(3), title="a title of very many words " * 5),
    "confusion of 2": lambda: confusion(1000 * counts(2), ["a name that is far too long", "b"]),
    "confusion of 10": lambda: confusion(counts(10), DIGITS),
    "confusion of 35": lambda: confusion(counts(35), ["a name that is far too long"] * 35),
    "confusion of odd names": lambda: confusion(counts(8), WORDS),
    "confusion of 100": lambda: confusion(counts(100)),
}
EXTREME: dict[str, Callable[[], Figure]] = {
    f"{picture} of {what}": lambda picture=picture, array=array: (raster if picture == "raster" else potentials)(  # type: ignore[misc]
        {"hidden": array, "output": array}, 1.0
    )
    for picture in ("raster", "potentials")
    for what, array in {
        "one unit and one step": np.ones((1, 1)),
        "one step": spikes(1, 30),
        "one unit": spikes(30, 1),
        "silence": np.zeros((10, 5)),
        "one value everywhere": np.full((10, 5), -0.7),
        "tiny values": np.full((10, 5), 1e-300),
        "NaN": np.full((10, 5), np.nan),
        "NaN here and there": np.where(walk() > 0, np.nan, walk()),
        "infinite values": np.where(walk() > 0, np.inf, walk()),
        "whole numbers": np.arange(12).reshape(4, 3),
        "truth values": spikes() > 0,
        "a convolution": spikes(10, 48).reshape(10, 3, 4, 4),
    }.items()
} | {
    "curves of one epoch": lambda: curves(history(1)),
    "curves of NaN": lambda: curves([epoch(0, val_loss=math.nan), epoch(1, val_loss="nan")]),
    "curves of NaN rates": lambda: curves([epoch(0, val_loss=1.0, **{"train_rate/0": math.inf})]),
    "curves of one value": lambda: curves([epoch(number, val_loss=0.0, val_accuracy=1.0) for number in range(40)]),
    "confusion of nothing": lambda: confusion(np.zeros((3, 3))),
    "confusion of one class": lambda: confusion([[7]]),
}


@pytest.fixture(scope="module", params=[*ORDINARY, *EXTREME])
def figure(request: pytest.FixtureRequest) -> Iterator[Figure]:
    yield (ORDINARY | EXTREME)[request.param]()


def test_a_picture_becomes_a_png_with_ink(figure: Figure, tmp_path: Path) -> None:
    save(figure, tmp_path / "plots" / "picture.png")
    pixels = image.imread(tmp_path / "plots" / "picture.png")
    across, up = figure.get_size_inches()
    assert pixels.shape[:2] == pytest.approx((150 * up, 150 * across), abs=1)
    assert 0.005 < (pixels[..., :3].min(-1) < 0.8).mean() < 0.7


@pytest.fixture(scope="module")
def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every text that is drawn, and where."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    unseen = {id(label) for axes in figure.axes for label in unseen_tick_labels(axes)}
    texts = [text for text in written(figure) if id(text) not in unseen]
    return [(text.get_text(), text.get_window_extent(canvas.get_renderer())) for text in texts]


def test_no_text_leaves_the_page(figure: Figure, boxes: list[tuple[str, Bbox]]) -> None:
    page = figure.bbox.padded(1)
    assert [text for text, box in boxes if not inside(box, page)] == []


def test_no_text_covers_another(boxes: list[tuple[str, Bbox]]) -> None:
    pairs = itertools.combinations(((text, box.padded(-0.5)) for text, box in boxes), 2)
    assert [(one, other) for (one, box), (other, place) in pairs if box.overlaps(place)] == []


def inside(box: Any, page: Any) -> bool:
    return bool(page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1)


def unseen_tick_labels(axes: Axes) -> Iterator[Text]:
    """Labels of ticks beyond the limits of an axis: matplotlib keeps them, but does not draw them."""
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        for tick in axis.get_major_ticks():
            if not low <= tick.get_loc() <= high:
                yield tick.label1
                yield tick.label2


def test_a_picture_has_the_size_of_a_slide(figure: Figure) -> None:
    across, up = figure.get_size_inches()
    assert 3 < across < 15
    assert 1.5 < up < 13


def test_pictures_are_made_without_pyplot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would now fail
    for name in ("raster of rates", "potentials", "curves", "confusion of 10"):
        save(ORDINARY[name](), tmp_path / f"{name}.png")
    assert len(list(tmp_path.iterdir())) == 4


def test_settings_of_the_user_neither_show_nor_change(tmp_path: Path) -> None:
    mine = {"font.size": 30.0, "axes.facecolor": "black", "figure.facecolor": "black", "savefig.bbox": "tight"}
    expected = ORDINARY["confusion of 10"]()
    save(expected, tmp_path / "expected.png")
    with matplotlib.rc_context(mine):
        before = dict(matplotlib.rcParams)
        save(ORDINARY["confusion of 10"](), tmp_path / "mine.png")
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "mine.png").read_bytes() == (tmp_path / "expected.png").read_bytes()


def test_a_raster_has_one_mark_per_spike_in_the_middle_of_its_step() -> None:
    array = np.zeros((4, 3))
    array[[0, 2, 3], [1, 1, 2]] = 1
    axes = rows(raster({"hidden": array, "out": spikes(4, 50)}, 2.0), "hidden")
    marks = np.concatenate([line.get_xydata() for line in axes.lines])
    assert sorted(map(tuple, marks)) == [(1.0, 1.0), (5.0, 1.0), (7.0, 2.0)]
    assert axes.get_xlim() == (0, 8)


def test_a_raster_says_who_was_taken_for_whom() -> None:
    layers = {"hidden": spikes(), "output": spikes(10, 10)}
    found = texts(raster([layers, layers], 1.0, classes=DIGITS, true=[3, 4], predicted=[3, 7]))
    assert "true: 3, predicted: 3 (right)" in found
    assert "true: 4, predicted: 7 (wrong)" in found
    assert "Spikes of 2 test samples, 10 steps of 1 ms" in found


def test_the_units_of_the_last_layer_are_named_by_the_classes() -> None:
    names = ["left", "right", "none"]
    output = rows(raster({"hidden": spikes(10, 3), "output": spikes(10, 3)}, 1.0, classes=names), "output")
    assert [label.get_text() for label in output.get_yticklabels()] == names
    hidden = rows(raster({"hidden": spikes(10, 3), "output": spikes(10, 3)}, 1.0, classes=names), "hidden")
    assert not {label.get_text() for label in hidden.get_yticklabels()} & set(names)


def test_a_last_layer_of_other_size_than_the_classes_keeps_its_numbers() -> None:
    output = rows(raster({"output": spikes(10, 4)}, 1.0, classes=["left", "right"], true=1), "output")
    assert "left" not in [label.get_text() for label in output.get_yticklabels()]


def test_the_true_class_and_a_wrong_prediction_have_their_own_colours() -> None:
    axes = rows(raster({"output": np.ones((5, 4))}, 1.0, classes=list("abcd"), true=1, predicted=2), "output")
    colours = {int(line.get_ydata()[0]): to_hex(line.get_color()).upper() for line in axes.lines}
    assert colours[1] == BLUE
    assert colours[2] == VERMILLION


def test_rates_are_in_hertz_and_silence_is_told() -> None:
    array = np.zeros((10, 4))
    array[:5, 0] = 1  # 5 spikes in 20 ms: 250 Hz
    found = texts(raster({"hidden": array, "quiet": np.zeros((10, 4))}, 2.0))
    assert "mean 62.5 Hz, 3 of 4 silent" in found
    assert "mean 0 Hz, 4 of 4 silent" in found
    assert "no spikes" in found


def test_continuous_activity_is_an_image_on_the_scale_of_all_samples() -> None:
    small, large = np.linspace(0, 1, 20).reshape(10, 2), np.linspace(0, 4, 20).reshape(10, 2)
    figure = raster([{"rates": small}, {"rates": large}], 1.0)
    images = [each for axes in figure.axes for each in axes.images]
    assert [each.get_clim() for each in images] == [(0, 4), (0, 4)]
    np.testing.assert_array_equal(images[1].get_array(), large.T)
    assert "Activity of 2 test samples, 10 steps of 1 ms" in texts(figure)


def test_colours_are_centred_on_zero_where_values_are_negative() -> None:
    figure = raster({"potential": np.linspace(-1, 3, 20).reshape(10, 2)}, 1.0)
    assert rows(figure, "potential").images[0].get_clim() == (-3, 3)


def test_samples_of_unequal_length_have_their_own_axis_of_time() -> None:
    figure = raster([{"hidden": spikes(5, 50)}, {"hidden": spikes(9, 50)}], 1.0)
    assert "Spikes of 2 test samples, 5 to 9 steps of 1 ms" in texts(figure)
    assert {axes.get_xlim() for axes in figure.axes if axes.get_xlabel()} == {(0, 5), (0, 9)}


def test_traces_are_those_of_the_units_with_most_spikes() -> None:
    fired = np.zeros((10, 50))
    fired[:6, 31] = fired[:9, 7] = fired[:2, 44] = 1
    fired[4, 2] = 1
    figure = potentials({"hidden": walk(10, 50), "out": walk(10, 2)}, 2.0, spikes={"hidden": fired})
    found = [text for text in texts(figure) if text.startswith("unit")]
    assert found == ["unit 7", "unit 31", "unit 44"]
    times = ticks(rows(figure, "hidden"))
    np.testing.assert_allclose(times[0], 2 * np.arange(9) + 1)
    np.testing.assert_allclose(times[1], 2 * np.arange(6) + 1)


def test_without_spikes_time_above_threshold_decides_and_else_how_far_a_potential_moves() -> None:
    values = np.zeros((10, 50))
    values[:, 5], values[3, 9] = 1.5, 20.0
    values[:2, 30] = -40.0
    by_threshold = potentials({"hidden": values, "out": walk(10, 2)}, 1.0, threshold={"hidden": 1.0}, most=2)
    assert [text for text in texts(by_threshold) if text.startswith("unit")] == ["unit 5", "unit 9"]
    by_range = potentials({"hidden": values, "out": walk(10, 2)}, 1.0, most=2)
    assert [text for text in texts(by_range) if text.startswith("unit")] == ["unit 30", "unit 9"]


def dashed(axes: Axes) -> list[Any]:
    return [line for line in axes.lines if line.is_dashed()]


def test_thresholds_are_dashed_and_may_change_over_time() -> None:
    layers = {"hidden": walk(10, 5), "out": walk(10, 2)}
    moving = np.linspace(1, 2, 50).reshape(10, 5)
    fired = spikes(10, 5)
    figure = potentials(layers, 1.0, threshold={"hidden": moving, "out": 1.25}, spikes={"hidden": fired}, most=1)
    unit = int(fired.sum(0).argmax())
    (line,) = dashed(rows(figure, "hidden"))
    np.testing.assert_allclose(line.get_ydata()[:-1], moving[:, unit])
    (line,) = dashed(rows(figure, "out"))
    assert set(line.get_ydata()) == {1.25}
    assert any(text.endswith("dashed: threshold 1.25") for text in texts(figure))
    assert not [axes for axes in potentials(layers, 1.0).axes if dashed(axes)]


def test_every_class_has_a_named_trace_and_the_winning_one_stands_out() -> None:
    values = walk(10, 10)
    figure = potentials({"output": values}, 1.0, classes=[f"class {index}" for index in range(10)], true=3, predicted=8)
    axes = rows(figure, "output")
    assert {f"class {index}" for index in range(10)} <= {text.get_text() for text in axes.texts}
    thick = {to_hex(line.get_color()).upper(): line for line in axes.lines if line.get_linewidth() > 1}
    np.testing.assert_allclose(thick[VERMILLION].get_ydata(), values[:, 8])
    np.testing.assert_allclose(thick[BLUE].get_ydata(), values[:, 3])
    assert len(axes.lines) == 10
    assert "all 10 classes; predicted: 8" in " ".join(texts(figure)).replace("class 8", "8")


def test_the_last_layer_has_one_scale_for_all_samples() -> None:
    large = 9 * walk(10, 3)
    figure = potentials([{"output": walk(10, 3)}, {"output": large}, {"output": large * np.nan}], 1.0)
    ((low, high),) = {axes.get_ylim() for axes in figure.axes[:2]}
    assert low < large.min() < large.max() < high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": {}}, "layers: no layers"),
        ({"layers": [{"a": spikes()}] * 4}, "layers: 4 samples. One to 3"),
        ({"layers": []}, "layers: 0 samples. One to 3"),
        ({"layers": {"a": np.zeros((0, 3))}}, r"layers\['a'\]: shape \(0, 3\)"),
        ({"layers": {"a": np.float64(1)}}, r"layers\['a'\]: shape \(\)"),
        ({"layers": [{"a": spikes(5, 3)}, {"a": spikes(5, 4)}]}, r"layers: \[\[.*\. The same layers of the same units"),
        ({"layers": {"a": spikes()}, "dt": 0.0}, "dt: 0.0. The length of a step in ms, > 0"),
        ({"layers": {"a": spikes()}, "true": [1, 2]}, "true: 2 labels for 1 samples"),
        ({"layers": {"a": spikes()}, "predicted": 2, "classes": "ab"}, "predicted: 2. The .* class, from 0 to 1"),
        ({"layers": {"a": spikes(5, 2)}, "true": -1}, "true: -1. The number of a class, from 0"),
    ],
)
@pytest.mark.parametrize("picture", [raster, potentials])
def test_samples_that_do_not_fit_are_refused(
    picture: Callable[..., Figure], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(WrongOption, match=rf"^{picture.__name__}\.{message}"):
        picture(**({"dt": 1.0} | options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spikes": {"a": spikes(10, 4)}}, r"spikes\['a'\]: shape \(10, 4\). That of the potentials, \(10, 3\)"),
        ({"spikes": [{}, {}]}, "spikes: 2 dicts for 1 samples"),
        ({"threshold": {"a": np.ones(4)}}, r"threshold\['a'\]: shape \(4,\). A number, one per unit, or"),
        ({"threshold": {"a": np.ones((9, 3))}}, r"threshold\['a'\]: shape \(9, 3\)"),
        ({"threshold": [{}, {}]}, "threshold: 2 dicts for 1 samples"),
        ({"most": 0}, "most: 0. How many units"),
    ],
)
def test_options_of_potentials_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(WrongOption, match=rf"^potentials\.{message}"):
        potentials({"a": walk(10, 3)}, 1.0, **options)


def panel_of(figure: Figure, title: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == title)


def test_curves_show_loss_metric_and_rates() -> None:
    figure = curves(history(30))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy", "firing rate"]
    found = texts(figure)
    assert {"training", "validation", "best epoch", "epoch"} <= set(found)
    lines = [line for line in panel_of(figure, "accuracy").lines if len(line.get_xdata()) == 30]
    np.testing.assert_allclose(lines[1].get_ydata(), [row["val/accuracy"] for row in history(30)])


def test_the_best_epoch_is_that_of_the_highest_metric() -> None:
    values = [0.2, 0.7, 0.9, 0.8]
    figure = curves([epoch(number + 5, val_accuracy=value, val_loss=1.0) for number, value in enumerate(values)])
    assert "Best validation accuracy: 0.9 in epoch 7 (4 epochs)" in texts(figure)
    assert [7.0] in [list(line.get_xdata()) for line in panel_of(figure, "accuracy").lines]
    assert [7.0, 7.0] in [list(line.get_xdata()) for line in panel_of(figure, "loss").lines]


def test_the_best_epoch_follows_the_monitor_and_its_mode() -> None:
    table = [epoch(number, val_accuracy=number, val_loss=abs(number - 2), val_cost=-number) for number in range(5)]
    assert "Best validation loss: 0 in epoch 2 (5 epochs)" in texts(curves(table, monitor="val/loss"))
    assert "Best validation cost: -4 in epoch 4 (5 epochs)" in texts(curves(table, monitor="val/cost", mode="min"))


def test_rows_as_csv_gives_them_are_taken_together_by_epoch() -> None:
    table = [
        {"epoch": "0", "train/loss": "2.0", "val/loss": "", "lr": "0.1"},
        {"epoch": "0", "train/loss": "", "val/loss": "1.5", "lr": ""},
        {"epoch": "1", "train/loss": "1.0", "val/loss": None, "note": "text"},
        {"epoch": "1", "val/loss": "nan"},
        {"epoch": "2", "train/loss": "0.5", "val/loss": "1.25"},
    ]
    figure = curves(table)
    training, validation = panel_of(figure, "loss").lines[:2]
    assert training.get_xydata().tolist() == [[0, 2], [1, 1], [2, 0.5]]
    assert validation.get_xydata().tolist() == [[0, 1.5], [2, 1.25]]
    assert "Best validation loss: 1.25 in epoch 2 (3 epochs)" in texts(figure)


def test_training_alone_has_curves_too() -> None:
    figure = curves([epoch(number, train_loss=3.0 - number, train_f1=0.1 * number) for number in range(3)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "f1"]
    assert "Best training f1: 0.2 in epoch 2 (3 epochs)" in texts(figure)


def test_a_loss_of_wide_range_is_on_a_logarithmic_axis() -> None:
    wide = curves([epoch(number, val_loss=10.0**-number) for number in range(5)])
    assert panel_of(wide, "loss").get_yscale() == "log"
    below_zero = curves([epoch(number, val_loss=10.0**-number - 0.01) for number in range(5)])
    assert panel_of(below_zero, "loss").get_yscale() == "linear"


def test_curves_of_no_rows_are_refused() -> None:
    with pytest.raises(WrongOption, match=r"^curves\.rows: no rows"):
        curves([])


def test_a_confusion_matrix_is_shaded_by_rows_and_holds_counts() -> None:
    figure = confusion([[8, 2, 0], [1, 3, 0], [0, 0, 0]], ["cat", "dog", "owl"])
    shares = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shares[:2], [[0.8, 0.2, 0], [0.25, 0.75, 0]])
    assert np.ma.getmaskarray(shares).tolist() == [[False] * 3, [False] * 3, [True] * 3]
    placed = {text.get_text(): text.get_position() for text in figure.axes[0].texts}
    assert {"8", "80 %", "2", "20 %", "1", "25 %", "3", "75 %"} == set(placed)
    assert round(placed["2"][0]) == 1
    assert round(placed["2"][1]) == 0


def test_a_confusion_matrix_says_accuracy_and_worst_mistake() -> None:
    found = texts(confusion([[8, 2, 0], [1, 3, 0], [0, 0, 1]], ["cat", "dog", "owl"]))
    assert "Accuracy 80.00 %: 12 of 15 test samples" in found
    assert "most often: cat taken for dog (2 of 10)" in found
    assert "no mistakes" in texts(confusion(np.eye(3)))
    assert "No samples" in texts(confusion(np.zeros((3, 3))))


@pytest.mark.parametrize("size", [10, 35])
def test_a_confusion_matrix_of_many_classes_stays_readable(size: int) -> None:
    figure = confusion(counts(size), [f"class {index}" for index in range(size)])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"class {index}" for index in range(size)]
    numbers = [text for text in axes.texts if "%" not in text.get_text()]
    assert sorted(int(text.get_text()) for text in numbers) == sorted(counts(size)[counts(size) > 0])
    assert min(text.get_fontsize() for text in numbers) >= 5


@pytest.mark.parametrize(
    ("matrix", "classes", "message"),
    [
        (np.ones((2, 3)), [], r"matrix: shape \(2, 3\)"),
        (np.ones((2, 2)), ["a"], "classes: 1 names for 2 classes"),
        ([[1, -1], [0, 1]], [], "matrix: negative or not finite"),
        ([[1, math.nan], [0, 1]], [], "matrix: negative or not finite"),
    ],
)
def test_a_matrix_that_is_no_confusion_is_refused(matrix: Any, classes: list[str], message: str) -> None:
    with pytest.raises(WrongOption, match=rf"^confusion\.{message}"):
        confusion(matrix, classes)


def test_names_from_outside_are_drawn_as_text() -> None:
    found = texts(confusion(np.eye(3), ["$a$", "日本", "a name that is far too long"]))
    assert r"\$a\$" in found
    assert "??" in found
    assert "a name that i…" in found


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_spread_in_order_and_as_near_as_they_can_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    values, gap = random.normal(0.5, 0.3, 8), 0.1
    places = spread(values, gap, 0.0, 1.0)
    order = np.argsort(values)
    assert (np.diff(places[order]) >= gap - 1e-12).all()
    assert places.min() >= 0
    assert places.max() <= 1
    # No label can be moved alone, to a place allowed, and come nearer to its value.
    bounds = np.concatenate([[-gap], places[order], [1 + gap]])
    nearest = np.clip(values[order], bounds[:-2] + gap, bounds[2:] - gap)
    assert (np.abs(nearest - values[order]) <= np.abs(places[order] - values[order]) + 1e-12).all()


def test_labels_that_cannot_fit_are_spread_evenly() -> None:
    np.testing.assert_allclose(spread([5.0, 1.0, 1.0, 9.0, 2.0], 1.0, 0.0, 2.0), [1.5, 0.0, 0.5, 2.0, 1.0])
