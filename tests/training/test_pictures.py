"""The pictures of a run, from its network and its table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from snnlab.data.base import Data
from snnlab.training import checkpoint, figures, pictures
from snnlab.training.assemble import build_module, load_data
from snnlab.training.module import Training
from snnlab.training.stored import stored_config


@pytest.fixture
def trained(finished: Path) -> tuple[Training, Data]:
    """The network of a finished run, and its data."""
    config = stored_config(finished / "checkpoints" / "best.ckpt")
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    module.load_state_dict(checkpoint.load(finished / "checkpoints" / "best.ckpt")["state_dict"])
    return module, data


def size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def test_every_picture_is_a_png_of_a_size_to_look_at(finished: Path) -> None:
    drawn = sorted((finished / "plots").iterdir())
    assert len(drawn) == 4
    assert all(min(size(path)) > 300 for path in drawn)


def test_the_confusion_matrix_counts_every_sample_of_test_once(trained: tuple[Training, Data]) -> None:
    module, data = trained
    targets = torch.tensor([3, 3, 3, 1])
    module.test_scored = torch.eye(10)[[3, 5, 5, 1]], targets
    matrix = figures.confusion_matrix(module, len(data.classes))
    assert matrix is not None
    expected = np.zeros((10, 10), dtype=int)
    expected[3, 3], expected[3, 5], expected[1, 1] = 1, 2, 1
    assert (matrix == expected).all()


def test_there_is_no_confusion_without_samples_or_classes(trained: tuple[Training, Data]) -> None:
    module, data = trained
    assert figures.confusion_matrix(module, len(data.classes)) is None
    module.test_scored = torch.zeros(2, 1), torch.zeros(2)
    assert figures.confusion_matrix(module, 0) is None


def test_drawing_leaves_the_network_as_it_was(trained: tuple[Training, Data], tmp_path: Path) -> None:
    module, data = trained
    before, record = {k: v.clone() for k, v in module.state_dict().items()}, module.record
    made = pictures.draw(tmp_path, module, data, None, "val/accuracy", "max")
    assert [path.name for path in made] == ["raster.png", "potentials.png"]
    assert module.record is record
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("experiment", ["digits_ctrnn", "digits_cuba"])
def test_the_networks_of_the_experiments_are_drawn(train: Callable[..., Path], experiment: str) -> None:
    words = ("plots=true", "trainer.max_epochs=1", "network.hidden=[16]")
    folder = train(f"experiment={experiment}", *words)
    assert {"raster.png", "curves.png", "confusion.png"} <= {path.name for path in (folder / "plots").iterdir()}


def test_a_threshold_for_each_unit_is_drawn(train: Callable[..., Path]) -> None:
    learned: tuple[Any, ...] = ("neuron.learn=[threshold]", "neuron.share=unit", "plots=true", "trainer.max_epochs=1")
    assert (train(*learned) / "plots" / "potentials.png").exists()
