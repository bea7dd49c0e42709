"""The pictures of a run, from its trained network and its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from snnlab.data.base import Data
from snnlab.data.loader import Loader
from snnlab.training import plots, table
from snnlab.training.module import Training

SAMPLES = 3
FOLDER = "plots"


def draw(
    folder: Path, module: Training, data: Data, confusion: np.ndarray | None, monitor: str, mode: Any
) -> list[Path]:
    """Draw what there is to show into the run's plots/, and tell the files."""
    made = _draw_samples(folder / FOLDER, module, data)
    if (folder / table.NAME).exists():
        figure = plots.curves(table.read(folder / table.NAME), metrics=[*module.metrics], monitor=monitor, mode=mode)
        plots.save(figure, folder / FOLDER / "curves.png")
        made.append(folder / FOLDER / "curves.png")
    if confusion is not None:
        plots.save(plots.confusion(confusion, data.classes), folder / FOLDER / "confusion.png")
        made.append(folder / FOLDER / "confusion.png")
    return made


def confusion_matrix(module: Training, classes: int) -> np.ndarray | None:
    """How often each class of test (row) was taken for each (column); None without classes, and without samples."""
    if not classes or module.test_scored is None:
        return None
    scores, targets = module.test_scored
    if targets.dtype.is_floating_point:
        return None
    matrix = np.zeros((classes, classes), dtype=int)
    np.add.at(matrix, (targets.cpu().numpy(), scores.argmax(-1).cpu().numpy()), 1)
    return matrix


def _draw_samples(folder: Path, module: Training, data: Data) -> list[Path]:
    """Raster and potentials of the first test samples, from the first batch of test as it was scored."""
    size = module.facts["config"]["batch_size"]
    loader = Loader(data.test, series=data.series, batch_size=size, seed=0, shuffle=False, device=module.device)
    batch = next(iter(loader))
    record = module.record
    module.record = {name: ("potential",) for name in module.network.names if _has_potential(module, name)}
    try:
        module.eval()
        with torch.no_grad():
            outcome = module(batch, "test")
            scores = module.parts.readout(outcome.field(module.parts.readout.field), outcome.mask)
    finally:
        module.record = record
    labels: dict[str, Any] = {"classes": data.classes}
    if data.classes:
        labels["true"] = batch.targets[:SAMPLES].tolist()
        if scores.dim() == 2:
            labels["predicted"] = scores.argmax(-1)[:SAMPLES].tolist()
    outputs, potentials = _activity(outcome), _potentials(outcome)
    dt = module.facts["config"]["time"]["dt"]
    plots.save(plots.raster(outputs, dt, **labels), folder / "raster.png")
    made = [folder / "raster.png"]
    if all(potentials):
        spikes = [{name: sample[name] for name in sample if name_of(name) in module.spiking} for sample in outputs]
        figure = plots.potentials(potentials, dt, threshold=_thresholds(module), spikes=spikes, **labels)
        plots.save(figure, folder / "potentials.png")
        made.append(folder / "potentials.png")
    return made


def name_of(title: str) -> str:
    """The layer's name from its title in a picture."""
    return title.rpartition(" ")[2]


def _has_potential(module: Training, name: str) -> bool:
    return "potential" in module.network.layers[int(name)].neuron.State._fields  # type: ignore[union-attr,operator]


def _steps(outcome: Any, sample: int) -> int:
    return outcome.result.outputs.shape[0] if outcome.mask is None else int(outcome.mask[:, sample].sum())


def _activity(outcome: Any) -> list[dict[str, np.ndarray]]:
    layers = outcome.result.layers
    return [
        {f"layer {name}": _array(layers[name].outputs, i, _steps(outcome, i)) for name in layers}
        for i in range(min(SAMPLES, outcome.result.outputs.shape[1]))
    ]


def _potentials(outcome: Any) -> list[dict[str, np.ndarray]]:
    layers = {
        name: sequence.records["potential"]
        for name, sequence in outcome.result.layers.items()
        if "potential" in sequence.records
    }
    return [
        {f"layer {name}": _array(values, i, _steps(outcome, i)) for name, values in layers.items()}
        for i in range(min(SAMPLES, outcome.result.outputs.shape[1]))
    ]


def _array(values: torch.Tensor, sample: int, steps: int) -> np.ndarray:
    return values[:steps, sample].flatten(1).float().cpu().numpy()


def _thresholds(module: Training) -> dict[str, Any]:
    """The threshold of each layer that has one: a number, or one per unit."""
    found = {}
    for name, layer in zip(module.network.names, module.network.layers, strict=True):
        value = getattr(layer.neuron, "threshold", None)
        found[f"layer {name}"] = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else value
    return found
