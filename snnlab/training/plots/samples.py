"""Test samples that a picture shows side by side: their arrays, checked, and what classes are called and coloured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from snnlab.errors import WrongOption
from snnlab.training.plots.canvas import BLUE, INK, VERMILLION, Floats, shown

Layers: TypeAlias = Mapping[str, Any]
Labels: TypeAlias = "int | Sequence[int | None] | None"

MOST_SAMPLES = 3
MOST_UNNAMED = 40  # in a last layer of more units, units are no classes to a reader, unless they have names


@dataclass(frozen=True)
class Sample:
    """One sample: an array (T, units) for each layer, the class it is of and the one it was taken for."""

    layers: dict[str, Floats]
    true: int | None = None
    predicted: int | None = None

    @property
    def steps(self) -> int:
        """The number of steps of the longest layer."""
        return max(len(array) for array in self.layers.values())


@dataclass(frozen=True)
class Scene:
    """The samples of one picture, the length of a step in ms, and the names of the classes."""

    samples: list[Sample]
    dt: float
    classes: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """The layers, from the input's side to the output's."""
        return list(self.samples[0].layers)

    @property
    def class_labels(self) -> list[str]:
        """What the units of the last layer are called; nothing where they are no classes."""
        last = self.names[-1]
        return [self.label(index) for index in range(self.units(last))] if self.labelled(last) else []

    def units(self, name: str) -> int:
        """How many units the layer has."""
        return int(self.samples[0].layers[name].shape[1])

    def labelled(self, name: str) -> bool:
        """Whether the layer's units are classes: it is the last one, with one unit for each class."""
        units = self.units(name)
        return name == self.names[-1] and (units == len(self.classes) if self.classes else units <= MOST_UNNAMED)

    def label(self, index: int) -> str:
        """The name of a class, or its number where classes have no names."""
        return self.classes[index] if self.classes else str(index)

    def verdict(self, sample: Sample) -> tuple[str, str]:
        """What heads a sample, and its colour."""
        true, predicted = ("" if index is None else self.label(index) for index in (sample.true, sample.predicted))
        if sample.true is None or sample.predicted is None:
            return (f"true: {true}", BLUE) if true else (f"predicted: {predicted}", BLUE) if predicted else ("", INK)
        if sample.true == sample.predicted:
            return f"true: {true}, predicted: {predicted} (right)", BLUE
        return f"true: {true}, predicted: {predicted} (wrong)", VERMILLION

    def summary(self, what: str) -> str:
        """A headline of how much is shown: 'Spikes of one test sample, 10 steps of 1 ms'."""
        steps = sorted({sample.steps for sample in self.samples})
        count = "one test sample" if len(self.samples) == 1 else f"{len(self.samples)} test samples"
        length = f"{steps[0]}" if len(steps) == 1 else f"{steps[0]} to {steps[-1]}"
        return f"{what} of {count}, {length} {'step' if length == '1' else 'steps'} of {self.dt:g} ms"


def class_colour(index: int, true: int | None, predicted: int | None, other: str) -> str:
    """Blue for the true class, or the predicted where truth is unknown; vermillion for a wrong one; else `other`."""
    if index == true:
        return BLUE
    if index != predicted:
        return other
    return BLUE if true is None else VERMILLION


def scene(
    picture: str, layers: Layers | Sequence[Layers], dt: float, classes: Sequence[Any], true: Labels, predicted: Labels
) -> Scene:
    """The samples of a picture, checked.

    Raises: WrongOption, when the numbers of samples, layers, units or classes do not fit together.
    """
    if not dt > 0:
        raise WrongOption(f"{picture}.dt: {dt}. The length of a step in ms, > 0.")
    given = listed(layers)
    if not 1 <= len(given) <= MOST_SAMPLES:
        raise WrongOption(f"{picture}.layers: {len(given)} samples. One to {MOST_SAMPLES}, each a dict of arrays.")
    trues = _labels(f"{picture}.true", true, len(given), len(classes))
    guesses = _labels(f"{picture}.predicted", predicted, len(given), len(classes))
    arrays = [series(f"{picture}.layers", each) for each in given]
    samples = [Sample(*each) for each in zip(arrays, trues, guesses, strict=True)]
    units = [[(name, array.shape[1]) for name, array in each.items()] for each in arrays]
    if not units[0]:
        raise WrongOption(f"{picture}.layers: no layers. At least one, from its name to an array (T, units).")
    if any(each != units[0] for each in units):
        raise WrongOption(f"{picture}.layers: {units}. The same layers of the same units in each sample.")
    return Scene(samples, float(dt), [shown(name, 14) for name in classes])


def series(option: str, layers: Layers) -> dict[str, Floats]:
    """The arrays of one sample as (T, units); what is infinite counts as missing (NaN)."""
    return {str(name): _one_series(f"{option}[{name!r}]", value) for name, value in layers.items()}


def _one_series(option: str, value: Any) -> Floats:
    array = np.asarray(value, dtype=float)
    if array.ndim < 1 or not array.size:
        raise WrongOption(f"{option}: shape {array.shape}. An array (T, units) of one sample, not empty.")
    array = array.reshape(len(array), -1)  # (T, units): the places of a convolution are units like others
    return np.where(np.isfinite(array), array, np.nan)


def listed(value: Any) -> list[Any]:
    """One thing or several, as a list; a dict is one thing."""
    return list(value) if isinstance(value, Iterable) and not isinstance(value, Mapping) else [value]


def _labels(option: str, value: Labels, count: int, classes: int) -> list[int | None]:
    if value is None:
        return [None] * count
    labels = [None if label is None else int(label) for label in np.atleast_1d(np.asarray(value, dtype=object))]
    if len(labels) != count:
        raise WrongOption(f"{option}: {len(labels)} labels for {count} samples. One for each.")
    wrong = [label for label in labels if label is not None and not 0 <= label < (classes or label + 1)]
    if wrong:
        highest = f" to {classes - 1}" if classes else ""
        raise WrongOption(f"{option}: {wrong[0]}. The number of a class, from 0{highest}.")
    return labels
