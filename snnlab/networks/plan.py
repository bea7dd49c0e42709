"""What a network is built from: the parts chosen for all layers, and those chosen for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks.layer import Layer
from snnlab.options import nearest
from snnlab.registry import build, check, get, names, split_spec

PARTS_OF_A_LAYER = ("neuron", "synapse", "recurrent_synapse")
NUMBERS_OF_A_LAYER = ("noise", "readout_noise")


@dataclass(frozen=True)
class Plan:
    """The parts of a network by their roles, as plain data.

    Args:
        inputs: shape of one step's input.
        outputs: number of output units.
        neuron: that of the hidden layers.
        output_neuron: that of the last layer; the hidden layers' where it is None.
        synapse: weights between layers.
        recurrent_synapse: weights of a layer back to itself, where the network has them.
        layers: changes to single layers, by index: {"0": {"neuron": {"tau": 5.0}, "noise": 0.1}}.
        dt: length of a step in ms.
        backend: what runs the loops over time.
        seed: key of the initial values.
    """

    inputs: Sequence[int]
    outputs: int
    neuron: Any = "lif"
    output_neuron: Any = None
    synapse: Any = "dense"
    recurrent_synapse: Any = "recurrent"
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    dt: float = 1.0
    backend: Any = "reference"
    seed: int = 0

    def layer(
        self,
        index: int,
        inputs: int,
        units: int,
        *,
        last: bool,
        recurrent: bool,
        noise: float = 0.0,
        readout_noise: float = 0.0,
    ) -> Layer:
        """Build one layer: the parts for all layers, with this layer's own merged over them."""
        parts = self.parts(index, last=last)
        numbers = {"noise": noise, "readout_noise": readout_noise} | self.numbers(index)
        draws = Draws(self.seed, "init", index)
        where = f"layers.{index}"
        synapse = build("synapse", parts["synapse"], where=f"{where}.synapse", inputs=inputs, units=units, draws=draws)
        neuron = self._build_neuron(parts["neuron"], units, f"{where}.neuron")
        weights = None
        if recurrent:
            own = Draws(self.seed, "init", index, "recurrent")
            weights = build(
                "synapse",
                parts["recurrent_synapse"],
                where=f"{where}.recurrent_synapse",
                inputs=units,
                units=units,
                draws=own,
            )
        return Layer(synapse, neuron, weights, **numbers)

    def parts(self, index: int, *, last: bool) -> dict[str, Any]:
        """The parts of one layer, as plain data."""
        shared = {
            "neuron": self.output_neuron if last and self.output_neuron is not None else self.neuron,
            "synapse": self.synapse,
            "recurrent_synapse": self.recurrent_synapse,
        }
        own = self._own(index)
        return {role: merged(spec, own[role]) if role in own else spec for role, spec in shared.items()}

    def numbers(self, index: int) -> dict[str, float]:
        """The numbers that one layer has for itself."""
        return {name: value for name, value in self._own(index).items() if name in NUMBERS_OF_A_LAYER}

    def check(self, units: Sequence[int | None]) -> None:
        """Refuse what cannot be built, before any weight is made.

        Args:
            units: number of units of each layer; None where it is not known yet.
        Raises: WrongOption, for a layer, a part or an option that does not exist, and for options of a neuron that do
            not go together.
        """
        count = len(units)
        for name in self.layers:
            if str(name) not in map(str, range(count)):
                raise WrongOption(f"layers.{name}: there is no such layer; the network has 0 to {count - 1}.")
        for index in range(count):
            self._check_layer(index, units[index], last=index == count - 1)

    def _check_layer(self, index: int, units: int | None, *, last: bool) -> None:
        own, known = self._own(index), [*PARTS_OF_A_LAYER, *NUMBERS_OF_A_LAYER]
        for key in own:
            if key not in known:
                raise WrongOption(f"layers.{index}.{key}: a layer has no such option.{nearest(key, known)}")
        for key, value in self.numbers(index).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise WrongOption(f"layers.{index}.{key}: {value!r}. It takes a number >= 0.")
        for role, spec in self.parts(index, last=last).items():
            where = f"layers.{index}.{role}" if role in own else role
            if role == "neuron":
                self._build_neuron(spec, units or _units_that_fit(spec), where)
            else:
                _check_synapse(role, spec, where)

    def _build_neuron(self, spec: Any, units: int, where: str) -> Any:
        return build("neuron", spec, where=where, units=[units], dt=self.dt, backend=self.backend)

    def _own(self, index: int) -> Mapping[str, Any]:
        """The changes to one layer; a file may have its index as a number."""
        return next((own for key, own in self.layers.items() if str(key) == str(index)), {})


def _units_that_fit(spec: Any) -> int:
    """A number of units that a neuron's lists of constants, one value per unit, may have been meant for."""
    lists = [value for value in spec.values() if isinstance(value, list)] if isinstance(spec, Mapping) else []
    return max([1, *(len(value) for value in lists if not any(isinstance(item, str) for item in value))])


def _check_synapse(role: str, spec: Any, where: str) -> None:
    if callable(spec):
        return
    check("synapse", spec, where)
    # Weights of a layer back to itself act in each step, those from below on all steps at once.
    name, place = split_spec(spec, where)[0], "step" if role == "recurrent_synapse" else "sequence"
    if get("synapse", name).takes != place:  # type: ignore[attr-defined]
        fit = [other for other in names("synapse") if get("synapse", other).takes == place]  # type: ignore[attr-defined]
        raise WrongOption(f"{where}={name}: its place in a layer is another one. It takes {' or '.join(fit)}.")


def merged(spec: Any, changes: Any) -> Any:
    """A part with changes over it; another name starts anew, with the options of the changes alone."""
    spec = {"name": spec} if isinstance(spec, str) else spec
    changes = {"name": changes} if isinstance(changes, str) else changes
    if (
        not isinstance(spec, Mapping)
        or not isinstance(changes, Mapping)
        or changes.get("name", spec.get("name")) != spec.get("name")
    ):
        return changes
    result = dict(spec)
    for key, value in changes.items():
        old = result.get(key)
        nested = isinstance(value, Mapping) and isinstance(old, Mapping | str)
        result[key] = merged(old, value) if nested else value
    return result
