"""What looks wrong in a network that trains is told once, by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.training.health import Health

EPOCHS = "trainer.max_epochs=4"


def told(snnlab: Callable[..., Any], folder: Path, *words: str) -> list[str]:
    """The warnings of a real run, the same on the console and in log.txt."""
    ran = snnlab("train", EPOCHS, "plots=false", *words, f"output_dir={folder}")
    assert ran.code == 0, ran.err
    console = [line.removeprefix("Warning: ") for line in ran.out.splitlines() if line.startswith("Warning: ")]
    log = (folder / "log.txt").read_text(encoding="utf-8").splitlines()
    assert [line.partition(" WARNING ")[2] for line in log if " WARNING " in line] == console
    return console


def test_a_silent_layer_is_told_once_by_its_name(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    words = ("network.hidden=[32, 16]", "layers.1.neuron.threshold=1000.0", "layers.1.neuron.surrogate=rectangular")
    warnings = told(snnlab, tmp_path / "run", *words)
    silent = [line for line in warnings if line.startswith("layer 1 was silent over the whole epoch 0: no unit of 16")]
    assert len(silent) == 1
    assert "synapse.init.gain" in silent[0]
    assert not [line for line in warnings if line.startswith("layer 0")]
    assert len([line for line in warnings if line.startswith("layer 1")]) == 1


def test_a_layer_that_always_fires_is_told_once_by_its_name(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    # One hidden unit, driven by its bias alone, which is positive with this seed.
    words = ("network.hidden=[1]", "layers.0.synapse.init=zeros", "layers.0.synapse.bias_init=torch_default")
    gain = ("layers.0.synapse.bias_init.gain=1000.0", "layers.0.neuron.threshold=0.001", "optimizer.lr=1e-9")
    warnings = told(snnlab, tmp_path / "run", *words, *gain, "seed=1")
    always = [line for line in warnings if line.startswith("layer 0 fired at every step of the whole epoch 0.")]
    assert len(always) == 1
    assert len([line for line in warnings if line.startswith("layer 0")]) == 1


def test_a_class_whose_unit_never_fires_is_told_once_by_its_name(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    # Digit 7's threshold is out of reach.
    thresholds = ",".join("1000.0" if digit == 7 else "1.0" for digit in range(10))
    warnings = told(snnlab, tmp_path / "run", "network.hidden=[128]", f"layers.1.neuron.threshold=[{thresholds}]")
    lost = [line for line in warnings if "class 7" in line]
    assert len(lost) == 1
    assert lost[0].startswith("the output unit of class 7 never fired in two epochs.")


def test_a_healthy_run_tells_nothing(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    assert told(snnlab, tmp_path / "run", "network.hidden=[256]") == []


def test_potentials_that_are_read_do_not_make_silent_output_units_lost_classes(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("loss=membrane_cross_entropy", "output_neuron=lif", "output_neuron.threshold=1000.0")
    assert told(snnlab, tmp_path / "run", *words, "network.hidden=[256]") == []


def test_a_class_is_told_once_also_when_others_are_lost_later(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("1", ("cat", "dog", "cow"))
    with caplog.at_level(logging.WARNING, "snnlab"):
        for epoch, rates in enumerate(([0.0, 0.1, 0.1], [0.0, 0.0, 0.1], [0.0, 0.0, 0.1], [0.0, 0.0, 0.1])):
            health.examine({"1": torch.tensor(rates)}, epoch)
    assert [message.partition(" never")[0] for message in caplog.messages] == [
        "the output unit of class cat",
        "the output unit of class dog",
    ]


def test_a_unit_without_a_class_name_is_told_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("0", ())
    with caplog.at_level(logging.WARNING, "snnlab"):
        for epoch in range(2):
            health.examine({"0": torch.tensor([0.1, 0.0, 0.0])}, epoch)
    assert caplog.messages[0].startswith("the output units of classes 1, 2 never fired in two epochs.")


def test_one_epoch_of_silence_is_no_lost_class(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("0", ("a", "b"))
    with caplog.at_level(logging.WARNING, "snnlab"):
        for epoch, rates in enumerate(([0.1, 0.0], [0.1, 0.1], [0.1, 0.0])):
            health.examine({"0": torch.tensor(rates)}, epoch)
    assert caplog.messages == []
