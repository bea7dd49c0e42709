"""A network of convolutions in a whole run: pictures, rates and regularizers of layers whose units are places."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FAST = ("network=conv", "network.hidden=3C3-P2-6", "batch_size=256", "trainer.max_epochs=1")


@pytest.fixture
def folder(snnlab: Callable[..., Any], tmp_path: Path) -> Path:
    """A run with all that looks at spikes: constants per channel, a pooling that fires, noise, penalties, pictures."""
    ran = snnlab(
        "train",
        *FAST,
        "neuron.learn=[threshold, tau]",
        "neuron.share=channel",
        "layers.1.neuron=lif",
        "layers.1.neuron.threshold=[0.2, 0.3, 0.4]",
        "layers.0.noise=0.1",
        "layers.0.readout_noise=0.1",
        "regularizer=[rate_lower, rate_upper]",
        "regularizer.rate_upper.bound=0.0",
        f"output_dir={tmp_path / 'run'}",
    )
    assert ran.code == 0, ran.err
    return tmp_path / "run"


def test_every_place_of_a_picture_is_a_unit_of_its_layer(folder: Path, snnlab: Callable[..., Any]) -> None:
    with (folder / "metrics.csv").open() as file:
        row = next(csv.DictReader(file))
    assert all(0 < float(row[f"train/rate/{layer}"]) < 1 for layer in range(3))
    assert 0 <= float(row["train/silent/0"]) < 1
    assert float(row["train/penalty/rate_upper"]) > 0
    assert {path.name for path in (folder / "plots").iterdir()} >= {"raster.png", "potentials.png"}
    result = json.loads((folder / "result.json").read_text())
    ran = snnlab("evaluate", str(folder), "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["metrics"]["test/accuracy"] == result["metrics"]["test/accuracy"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("network.hidden=3C3-Q2",), "network.hidden: 'Q2' in '3C3-Q2'. It takes 15C5 (a convolution"),
        (("network.hidden=8-3C3",), "network.hidden: 3C3 after 8"),
        (("layers.1.synapse.pooling=mean",), "layers.1.synapse.pooling: 'mean'. It takes average | max"),
        (("layers.0.neuron.tau=[1.0, 2.0]",), "2 values for units of shape (3, 1, 1)"),
        (("layers.9.neuron=lif",), "layers.9: there is no such layer; the network has 0 to 3"),
        (("loss=membrane_cross_entropy", "layers.3.neuron=mine"), "neuron=mine: there is no neuron of that name"),
    ],
)
def test_what_no_data_could_make_right_is_told_before_they_are_read(
    words: tuple[str, ...], message: str, snnlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("snnlab.data.Digits.load", lambda self: pytest.fail("the data were read"))
    ran = snnlab("train", *FAST, *words, f"output_dir={tmp_path / 'run'}")
    assert (ran.code, message in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("network.hidden=3C3-P2-4C5",), "layers.2 (4C5): conv2d: a window of 5 x 5 on pictures of 3 x 3"),
        (("dataset=digits_rows", "encoder=identity"), "network: 3C3 on inputs of shape (8,). A convolution takes pict"),
    ],
)
def test_what_the_data_make_wrong_is_told(
    words: tuple[str, ...], message: str, snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab("train", *FAST, *words, f"output_dir={tmp_path / 'run'}")
    assert (ran.code, message in ran.err) == (2, True), ran.err
