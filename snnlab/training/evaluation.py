"""Evaluation: the network of a checkpoint, built again from what the checkpoint says, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snnlab.data.base import Data
from snnlab.errors import BadData, WrongOption
from snnlab.training import checkpoint as checkpoints
from snnlab.training.assemble import Batches, build_module, build_trainer, load_data, refusals
from snnlab.training.module import Training

ALONE = {"trainer.devices": 1, "trainer.num_nodes": 1, "trainer.strategy": "auto", "trainer.profiler": None}
"""Changes with which one process computes, however many trained the network, and writes nothing."""


def evaluate(path: Path, config: Mapping[str, Any], stage: str = "test") -> dict[str, float]:
    """Rebuild the network of a checkpoint and compute the metrics of one part of the data.

    Args:
        path: the checkpoint.
        config: its configuration, or a changed one.
        stage: val or test.
    Raises: BadData, WrongOption.
    """
    data = load_data(config)
    return score(rebuilt(path, config, data), config, data, stage)


def rebuilt(path: Path, config: Mapping[str, Any], data: Data | None = None) -> Training:
    """The LightningModule of a checkpoint, with its weights, on the CPU.

    Args:
        path: the checkpoint.
        config: its configuration, or a changed one.
        data: what the network is to take and give; by default what the checkpoint says of it.
    Raises: BadData, when the file is damaged; WrongOption, when its weights do not fit.
    """
    loaded = checkpoints.load(path)
    shapes = _shapes(loaded["snnlab"], path) if data is None else (data.units, data.outputs, data.classes)
    module = build_module(config, *shapes)
    try:
        module.load_state_dict(loaded["state_dict"])
    except RuntimeError as error:
        first = str(error).partition("\n")[2].strip().partition("\n")[0]
        raise WrongOption(
            f"checkpoint {path}: its weights do not fit the network of this configuration. {first}"
        ) from error
    return module


def score(module: Training, config: Mapping[str, Any], data: Data, stage: str) -> dict[str, float]:
    """The metrics of a network on val or test, by a Trainer that writes nothing."""
    trainer = build_trainer(config, Path(), module)
    run = trainer.test if stage == "test" else trainer.validate
    with refusals():
        run(module, datamodule=Batches(data, config), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def _shapes(facts: Mapping[str, Any], path: Path) -> tuple[tuple[int, ...], int, tuple[str, ...]]:
    inputs: Any = facts.get("inputs")
    classes: Any = facts.get("classes")
    outputs: Any = facts.get("outputs")
    known = isinstance(inputs, list) and isinstance(classes, list)
    if not known or not all(type(number) is int and number > 0 for number in [*inputs, outputs]):
        raise BadData(f"checkpoint {path}: it does not say what its network takes and gives.")
    return tuple(inputs), outputs, tuple(map(str, classes))
