"""The pictures of a trained network, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from snnlab.data.base import Data
from snnlab.data.loader import Loader
from snnlab.errors import WrongOption
from snnlab.neurons.constants import as_tensor, spread
from snnlab.options import nearest
from snnlab.training import plots
from snnlab.training.module import Training
from snnlab.training.outcome import Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("raster", "potentials", "curves", "confusion")
SAMPLES = 3


def check_name(name: str) -> None:
    """Refuse what is no picture.

    Raises: WrongOption.
    """
    if name not in NAMES:
        raise WrongOption(f"plot: {name}. There is no such picture.{nearest(str(name), NAMES)}")


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


class Figures:
    """What there is to show of a network.

    Args:
        module: the trained network.
        data: the dataset: the first samples of test are shown.
        rows: the run's epochs.
        confusion: the confusion matrix of test, or None.
        monitor: the number that picked the best epoch.
        mode: whether its max or its min is best.
    """

    def __init__(
        self,
        module: Training,
        data: Data,
        rows: Sequence[Mapping[str, Any]],
        confusion: np.ndarray | None,
        monitor: str,
        mode: Any,
    ) -> None:
        self.module, self.data, self.rows, self.confusion = module, data, rows, confusion
        self.monitor, self.mode = monitor, mode

    def figure(self, name: str) -> Figure:
        """One picture.

        Raises: WrongOption, for a name that is none, and where there is nothing to show.
        """
        check_name(name)
        if why := self.missing(name):
            raise WrongOption(f"plot {name}: there is nothing to show. {why}")
        made: dict[str, Callable[[], Figure]] = {
            "raster": self._raster,
            "potentials": self._potentials,
            "curves": self._curves,
            "confusion": self._confusion,
        }
        return made[name]()

    def missing(self, name: str) -> str:
        """Why there is nothing to show, in a sentence; empty where there is something."""
        if name == "potentials" and not any(self._potential.values()):
            return "No layer of this network has a potential."
        if name == "curves" and not self.rows:
            return "There are no rows of epochs. Train with logger=csv."
        if name == "confusion" and self.confusion is None:
            return "It takes class numbers as targets, and a test."
        return ""

    def _raster(self) -> Figure:
        return plots.raster(self._activity, self._dt, **self._labels)

    def _potentials(self) -> Figure:
        fired = [
            {title: values for title, values in sample.items() if _layer(title) in self.module.spiking}
            for sample in self._activity
        ]
        layers = self._outcome.result.layers
        potentials = _by_sample(
            {name: layers[name].records["potential"] for name in layers if self._potential[name]}, self._outcome
        )
        thresholds = _thresholds(self.module)
        return plots.potentials(potentials, self._dt, threshold=thresholds, spikes=fired, **self._labels)

    def _curves(self) -> Figure:
        return plots.curves(self.rows, metrics=[*self.module.metrics], monitor=self.monitor, mode=self.mode)

    def _confusion(self) -> Figure:
        assert self.confusion is not None
        return plots.confusion(self.confusion, self.data.classes)

    @property
    def _dt(self) -> float:
        return float(self.module.facts["config"]["time"]["dt"])

    @property
    def _potential(self) -> dict[str, bool]:
        """Whether a layer has a potential, by its name."""
        layers = zip(self.module.network.names, self.module.network.layers, strict=True)
        return {name: "potential" in layer.neuron.State._fields for name, layer in layers}  # type: ignore[union-attr,operator]

    @property
    def _activity(self) -> list[dict[str, np.ndarray]]:
        return _by_sample({name: layer.outputs for name, layer in self._outcome.result.layers.items()}, self._outcome)

    @cached_property
    def _outcome(self) -> Outcome:
        """The first batch of test, as it was scored, with the potentials of all layers that have some."""
        module = self.module
        config = module.facts["config"]
        loader = Loader(
            self.data.test,
            series=self.data.series,
            batch_size=config["batch_size"],
            seed=0,
            shuffle=False,
            device=module.device,
            carry=config["state"] == "carry",
        )
        record, training = module.record, module.training
        wanted = {name: tuple({*record.get(name, ()), "potential"}) for name, has in self._potential.items() if has}
        module.record = record | wanted
        try:
            module.eval()
            with torch.no_grad():
                outcome: Outcome = module(next(iter(loader)), "test")
        finally:
            module.record = record
            module.train(training)
        return outcome

    @cached_property
    def _labels(self) -> dict[str, Any]:
        """What the samples are, and what they were taken for."""
        outcome, readout = self._outcome, self.module.parts.readout
        labels: dict[str, Any] = {"classes": self.data.classes}
        if not self.data.classes:
            return labels
        labels["true"] = outcome.batch.targets[:SAMPLES].tolist()
        with torch.no_grad():
            scores = readout(outcome.field(readout.field), outcome.mask)
        if scores.dim() == 2:
            labels["predicted"] = scores.argmax(-1)[:SAMPLES].tolist()
        return labels


def _layer(title: str) -> str:
    """The layer's name from its title in a picture."""
    return title.rpartition(" ")[2]


def _by_sample(layers: dict[str, torch.Tensor], outcome: Outcome) -> list[dict[str, np.ndarray]]:
    """For each of the samples that are shown: its valid steps in each layer, (T, units)."""
    steps, samples = outcome.result.outputs.shape[:2]
    lengths = [steps] * samples if outcome.mask is None else outcome.mask.sum(0).tolist()
    return [
        {f"layer {name}": values[: lengths[i], i].flatten(1).float().cpu().numpy() for name, values in layers.items()}
        for i in range(min(SAMPLES, samples))
    ]


def _thresholds(module: Training) -> dict[str, Any]:
    """The threshold of each layer that has one: a number, or one per unit."""
    found: dict[str, Any] = {}
    for name, layer in zip(module.network.names, module.network.layers, strict=True):
        neuron: Any = layer.neuron
        value = getattr(neuron, "threshold", None)
        if value is not None and neuron.units is not None:  # that of a channel is that of each of its units
            value = spread(as_tensor(value), neuron.units, f"layers.{name}.neuron.threshold")
            value = value.detach().expand(neuron.units).flatten().cpu().numpy()
        found[f"layer {name}"] = value
    return found
