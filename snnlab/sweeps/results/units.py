"""Units of options, for the axes of a picture: as the parts declare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from snnlab.errors import WrongOption
from snnlab.options import Option, settings


def unit_of(key: str, options: Mapping[str, Any]) -> str:
    """The unit of an option, "" where it has none or the part that declares it is not there.

    Args:
        key: the option's name with dots, as neuron.tau.
        options: those of a run, which tell what part it is an option of.
    """
    from snnlab.registry import FAMILIES, family_of, get
    from snnlab.training import config

    inner = re.sub(r"^layers\.\d+\.", "", key)
    part, _, name = inner.rpartition(".")
    if part in ("", "time"):
        return _unit(config.time if part else config.run, name)
    family, _, several = part.rpartition(".")
    if family in config.SEVERAL:
        chosen: Any = several
    else:
        role = part.rpartition(".")[2]
        family = config.ROLES.get(role) or family_of(role)
        chosen = options.get(key.removesuffix(f".{name}"), options.get(part))
    if family not in FAMILIES or not isinstance(chosen, str):
        return ""
    try:
        return _unit(get(family, chosen), name)
    except WrongOption:  # a part of a plugin that is not loaded
        return ""


def _unit(part: Callable[..., Any], name: str) -> str:
    option: Option | None = settings(part).get(name)
    return "" if option is None else option.unit
