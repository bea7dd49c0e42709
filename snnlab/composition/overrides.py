"""What the command line says, in the form that Hydra takes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from snnlab.errors import WrongOption
from snnlab.registry import FAMILIES, family_of

_KEY = re.compile(r"^(?P<sign>[+~]*)(?P<key>[\w.]+)(?P<rest>(?:=.*)?)$", re.DOTALL)


def in_hydras_words(argument: str, groups: Collection[str]) -> str:
    """One override as Hydra takes it.

    neuron.surrogate=atan        becomes neuron/surrogate=atan: a part is chosen by its group
    layers.0.neuron=cuba         becomes ++layers.0.neuron.name=cuba: layers are open to any key
    """
    found = _KEY.match(argument)
    if found is None:
        return argument
    sign, key, rest = found["sign"], found["key"], found["rest"]
    if key.startswith("layers.") and "~" not in sign:
        chooses = family_of(key.rpartition(".")[2]) in FAMILIES and not re.match(r"=\s*[\[{]|=null$", rest)
        return f"++{key}{'.name' if chooses else ''}{rest}"
    group = key.replace(".", "/")
    return f"{sign}{group}{rest}" if group in groups else argument


def values(arguments: Sequence[str]) -> dict[str, Any]:
    """Plain overrides, without choices of groups or sweeps, as keys and values.

    Raises: WrongOption, for what is no `name=value`.
    """
    found = {}
    for override in parsed(arguments):
        if override.is_sweep_override() or override.type is not OverrideType.CHANGE:
            raise WrongOption(f"{override.input_line}: it takes name=value, as batch_size=500.")
        found[override.key_or_group.replace("/", ".")] = override.value()
    return found


def parsed(overrides: Sequence[str]) -> list[Override]:
    """Overrides as Hydra reads them.

    Raises: WrongOption, for what its grammar does not take.
    """
    parser, found = OverridesParser.create(), []
    for override in overrides:
        try:
            found.append(parser.parse_override(override))
        except HydraException as error:
            raise WrongOption(
                f"{override}: it cannot be read; quotes around the value may help. {_first_sentence(error)}"
            ) from error
    return found


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).partition("\nSee")[0].split())


def key_of(override: str) -> str:
    """The key of an override, without signs, package and value."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
