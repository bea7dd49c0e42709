"""What stands in a plan for a part, and how it is held against the layer that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from snnlab.errors import WrongOption
from snnlab.registry import check, get, names, split_spec
from snnlab.synapses import PictureSynapse, Synapse


def shape_that_fits(spec: Any, units: int | None, kind: str) -> list[int]:
    """A shape of units that a neuron's constants may have been meant for, as long as the data do not tell it."""
    values = [value for key, value in spec.items() if key != "learn"] if isinstance(spec, Mapping) else []
    shapes = [list(value.shape) if isinstance(value, Tensor) else [len(value)] for value in values if _is_list(value)]
    axes = 1 if kind == "dense" else 3
    count = units or max([1, *(shape[0] for shape in shapes if len(shape) == 1)])
    # One value per place of a picture: how many places there are is held against the data later.
    places = [shape for shape in shapes if len(shape) == axes > 1 and shape[0] == (units or shape[0])]
    return places[0] if places else [count, *[1] * (axes - 1)]


def _is_list(value: Any) -> bool:
    return isinstance(value, list) or (isinstance(value, Tensor) and value.dim() > 0)


def check_plain(spec: Any, where: str, built: type | None = None) -> None:
    """Refuse callables that nothing would build, and a built part that several layers would share."""
    if callable(spec) and not (built and isinstance(spec, built) and where.startswith("layers.")):
        also = f", or a {built.__name__} already built" if built and where.startswith("layers.") else ""
        hint = "" if where.startswith("layers.") else " A part already built is given to one layer: layers={'0': …}."
        raise WrongOption(f"{where}: {spec!r}. It takes a name or a dict of name and options{also}.{hint}")


def check_built(parts: Mapping[str, Any], inputs: Any, units: Any, where: str) -> None:
    """Hold synapses already built against the sizes of their layer."""
    for role, takes in (("synapse", [inputs, units]), ("recurrent_synapse", [units, units])):
        part = parts[role]
        if isinstance(part, Synapse) and [part.inputs, part.units] != takes:
            sizes = f"{part.inputs} inputs and {part.units} units"
            raise WrongOption(
                f"{where}.{role}: a {type(part).__name__} of {sizes}. It takes {takes[0]} and {takes[1]}."
            )


def check_synapse(spec: Any, where: str, place: str) -> None:
    """Refuse a synapse that does not exist, or whose place in a layer is another one."""
    check_plain(spec, where, Synapse)
    if isinstance(spec, Synapse):
        part: Any = type(spec)
        name = part.__name__
    else:
        check("synapse", spec, where)
        name = split_spec(spec, where)[0]
        part = get("synapse", name)
    if not (isinstance(part, type) and issubclass(part, Synapse)):
        raise WrongOption(f"{where}={name}: it is no Synapse. A synapse is a class made from Synapse.")
    # Weights of a layer back to itself act in each step, those from below on all steps at once, some on pictures.
    if part.takes != place:
        fit = [other for other in names("synapse") if getattr(get("synapse", other), "takes", None) == place]
        raise WrongOption(f"{where}={name}: its place in a layer is another one. It takes {' or '.join(fit)}.")
    if place == "pictures" and not issubclass(part, PictureSynapse):
        raise WrongOption(f"{where}={name}: it takes pictures and is no PictureSynapse, which tells its units.")
