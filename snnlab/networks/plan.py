"""What a network is built from: the parts chosen for all layers, and those chosen for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.networks.layer import Layer
from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.network import Network
from snnlab.networks.specs import check_built, check_plain, check_synapse, shape_that_fits
from snnlab.neurons import Neuron
from snnlab.options import nearest, options, settings
from snnlab.registry import build, get, split_spec
from snnlab.synapses import PictureSynapse

PARTS_OF_A_LAYER = ("neuron", "synapse", "recurrent_synapse")
NUMBERS_OF_A_LAYER = ("noise", "readout_noise")

OVER_PICTURES = {"convolution": "conv2d", "pooling": "pool2d"}
"""The synapses of the kinds of layers that are not dense."""


@dataclass(frozen=True)
class Plan:
    """The parts of a network by their roles, as plain data.

    Args:
        inputs: shape of one step's input.
        outputs: number of output units.
        neuron: that of the hidden layers; poolings have `linear`.
        output_neuron: that of the last layer; the hidden layers' where it is None.
        synapse: weights between layers; a convolution has those of its options that `conv2d` has as well.
        recurrent_synapse: weights of a layer back to itself, where the network has them.
        layers: changes to single layers, by index: {"0": {"neuron": {"tau": 5.0}, "noise": 0.1}}; in Python also parts
            already built.
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

    def network(self, wanted: Sequence[LayerPlan]) -> Network:
        """Build the layers, from the input up; where the last is no output layer, one is added.

        Raises: WrongOption, for what cannot be built, before any weight is made.
        """
        self.check(wanted)
        layers = _with_output(wanted)
        if layers[-1].units not in (None, self.outputs):
            raise WrongOption(
                f"network: an output layer of {layers[-1].units} units. It takes {self.outputs}, or None."
            )
        layers[-1] = replace(layers[-1], units=self.outputs)
        sizes = self._sizes(layers)
        for index, (each, (inputs, units)) in enumerate(zip(layers, sizes, strict=True)):
            parts = self._parts(index, each)
            self._neuron(parts["neuron"], units if isinstance(units, list) else [units], index, each)
            check_built(parts, inputs, units, f"layers.{index}")
        return Network(*(self._layer(index, each, *sizes[index]) for index, each in enumerate(layers)))

    def parts(self, wanted: Sequence[LayerPlan]) -> list[dict[str, Any]]:
        """The parts of each layer, the output layer's at the end: as plain data, or as they were built."""
        return [self._parts(index, each) for index, each in enumerate(_with_output(wanted))]

    def check(self, wanted: Sequence[LayerPlan]) -> None:
        """Refuse what is wrong whatever the data are.

        Raises: WrongOption, for a layer, a part or an option that does not exist, and for options of a neuron that do
            not go together.
        """
        layers = _with_output(wanted)
        for index, each in enumerate(layers[:-1]):
            if each.output:
                raise WrongOption(f"network: layer {index} is an output layer. It takes one, the last.")
        for role in PARTS_OF_A_LAYER:
            check_plain(getattr(self, role), role)
        if self.output_neuron is not None:
            check_plain(self.output_neuron, "output_neuron")
        for name in self.layers:
            if str(name) not in map(str, range(len(layers))):
                raise WrongOption(f"layers.{name}: there is no such layer; the network has 0 to {len(layers) - 1}.")
        channels = None
        for index, each in enumerate(layers):
            channels = each.units or channels  # a pooling keeps those below it
            self._check_layer(index, each, channels if each.kind == "pooling" else each.units)

    def _parts(self, index: int, wanted: LayerPlan) -> dict[str, Any]:
        """The parts of one layer: those for all layers, with this layer's own merged over them."""
        neuron = self.output_neuron if wanted.output and self.output_neuron is not None else self.neuron
        shared = {
            "neuron": "linear" if wanted.kind == "pooling" else neuron,
            "synapse": self._synapse(wanted),
            "recurrent_synapse": self.recurrent_synapse,
        }
        own = self._own(index)
        return {role: merged(spec, own[role]) if role in own else spec for role, spec in shared.items()}

    def _check_layer(self, index: int, wanted: LayerPlan, units: int | None) -> None:
        own, known = self._own(index), [*PARTS_OF_A_LAYER, *NUMBERS_OF_A_LAYER]
        for key in own:
            if key not in known:
                raise WrongOption(f"layers.{index}.{key}: a layer has no such option.{nearest(key, known)}")
        if "recurrent_synapse" in own and not wanted.recurrent:
            raise WrongOption(
                f"layers.{index}.recurrent_synapse: this layer has no recurrent weights. network=recurrent has "
                "them in its hidden layers."
            )
        for key, value in self._numbers(index).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise WrongOption(f"layers.{index}.{key}: {value!r}. It takes a number >= 0.")
        for role, spec in self._parts(index, wanted).items():
            decided = role == "synapse" and wanted.synapse
            where = f"layers.{index}.{role}" if role in own or decided else role
            if role == "neuron":
                self._neuron(spec, shape_that_fits(spec, units, wanted.kind), index, wanted)
            else:
                at_all_steps = "sequence" if wanted.kind == "dense" else "pictures"
                check_synapse(spec, where, at_all_steps if role == "synapse" else "step")

    def _sizes(self, wanted: Sequence[LayerPlan]) -> list[tuple[Any, Any]]:
        """Inputs and units of each layer: numbers of a dense one, [channels, height, width] of one over pictures.

        Raises: WrongOption, where there are no pictures, or smaller ones than a window.
        """
        sizes: list[tuple[Any, Any]] = []
        shape = list(self.inputs)
        for index, each in enumerate(wanted):
            if each.kind == "dense":
                sizes.append((math.prod(shape), each.units))
                shape = [each.units or 1]
                continue
            if len(shape) not in (2, 3):
                raise WrongOption(
                    f"network: {each.text} on inputs of shape {tuple(shape)}. A {each.kind} takes pictures: "
                    "(height, width) or (channels, height, width)."
                )
            inputs = [*[1] * (3 - len(shape)), *shape]
            shape = self._picture(index, each, inputs)
            sizes.append((inputs, shape))
        return sizes

    def _picture(self, index: int, wanted: LayerPlan, inputs: list[int]) -> list[int]:
        """The units of a layer over pictures."""
        where = f"layers.{index}.synapse"
        spec = self._parts(index, wanted)["synapse"]
        if isinstance(spec, PictureSynapse):
            return spec.units
        name, given = split_spec(spec, where)
        part = get("synapse", name)
        told = {"inputs": inputs, "kernel": wanted.kernel, "channels": wanted.units or inputs[0]}
        known = {key: option.default for key, option in options(part).items()}
        try:
            units: list[int] = part.shape(  # type: ignore[attr-defined]
                {key: (given | told).get(key, known[key]) for key in known}
            )
        except WrongOption as error:
            raise WrongOption(f"layers.{index} ({wanted.text}): {error}") from error
        if wanted.units not in (None, units[0]):
            raise WrongOption(f"{where}={name}: it gives {units[0]} channels, and {wanted.text} has {wanted.units}.")
        return units

    def _layer(self, index: int, wanted: LayerPlan, inputs: Any, units: Any) -> Layer:
        """Build one layer."""
        parts, where = self._parts(index, wanted), f"layers.{index}"
        told = {"inputs": inputs, "units": units}
        if wanted.kind != "dense":
            told |= {"kernel": wanted.kernel, "channels": units[0]}
        draws = Draws(self.seed, "init", index)
        try:
            synapse = build("synapse", parts["synapse"], where=f"{where}.synapse", draws=draws, **told)
        except RuntimeError as error:
            if "allocate" not in str(error):
                raise
            sizes = f"inputs {inputs}, units {units}"
            raise WrongOption(f"{where} ({wanted.text}): its weights do not fit into memory: {sizes}.") from error
        neuron = self._neuron(parts["neuron"], [units] if wanted.kind == "dense" else units, index, wanted)
        weights = None
        if wanted.recurrent:
            told = {"inputs": units, "units": units, "draws": Draws(self.seed, "init", index, "recurrent")}
            weights = build("synapse", parts["recurrent_synapse"], where=f"{where}.recurrent_synapse", **told)
        numbers = {"noise": wanted.noise, "readout_noise": wanted.readout_noise} | self._numbers(index)
        return Layer(synapse, neuron, weights, **numbers)

    def _synapse(self, wanted: LayerPlan) -> Any:
        """The synapse of a layer that has none of its own: that of all layers, or what pictures take of it."""
        if wanted.kind == "dense":
            return merged(self.synapse, wanted.synapse) if wanted.synapse else self.synapse
        name = wanted.synapse.get("name", OVER_PICTURES[wanted.kind])
        given = split_spec(self.synapse, "synapse")[1]
        known = settings(get("synapse", name))
        return {"name": name} | {key: given[key] for key in given if key in known} | dict(wanted.synapse)

    def _neuron(self, spec: Any, units: list[int], index: int, wanted: LayerPlan) -> Neuron:
        """The neuron of a layer; one already built is taken as it is.

        Raises: WrongOption, which names the layer.
        """
        role = "output_neuron" if wanted.output and self.output_neuron is not None else "neuron"
        where = f"layers.{index}.neuron" if "neuron" in self._own(index) else role
        check_plain(spec, where, Neuron)
        if isinstance(spec, Neuron) and spec.dt != self.dt:
            raise WrongOption(f"{where}: a {type(spec).__name__} of dt {spec.dt}. It takes the network's, {self.dt}.")
        try:
            neuron: Neuron = build("neuron", spec, where=where, units=units, dt=self.dt, backend=self.backend)
        except WrongOption as error:
            if str(error).startswith(where):
                raise
            raise WrongOption(f"layers.{index} ({wanted.text}): {error}") from error
        return neuron

    def _numbers(self, index: int) -> dict[str, float]:
        """The numbers that one layer has for itself."""
        return {name: value for name, value in self._own(index).items() if name in NUMBERS_OF_A_LAYER}

    def _own(self, index: int) -> Mapping[str, Any]:
        """The changes to one layer; a file may have its index as a number."""
        return next((own for key, own in self.layers.items() if str(key) == str(index)), {})


def _with_output(wanted: Sequence[LayerPlan]) -> list[LayerPlan]:
    return [*wanted] if wanted and wanted[-1].output else [*wanted, LayerPlan(output=True)]


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
