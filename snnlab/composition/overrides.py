"""What the command line says, in the form that Hydra takes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.errors import HydraException

from snnlab.errors import WrongOption
from snnlab.options import shown
from snnlab.registry import FAMILIES, family_of
from snnlab.training.config import OPTIONAL, ROLES, SEVERAL

FILES = ("experiment", "trainer")
"""Groups of files in conf/; all others are of parts."""

_KEY = re.compile(r"^(?P<sign>[+~]*)(?P<key>[\w.]+)(?P<rest>(?:=.*)?)$", re.DOTALL)


def in_hydras_words(argument: str, groups: Collection[str]) -> str:
    """One override as Hydra takes it.

    neuron.surrogate=atan        becomes neuron/surrogate=atan: a part is chosen by its group
    neuron.tau=3                 becomes ++neuron.tau=3: a file's `name` may have put a part there unknown to Hydra
    output_neuron=null           becomes ~output_neuron
    layers.0.neuron=cuba         becomes ++layers.0.neuron.name=cuba: layers are open to any key
    """
    found = _KEY.match(argument)
    if found is None:
        return argument
    sign, key, rest = found["sign"], found["key"], found["rest"]
    group = key.removesuffix(".name").replace(".", "/")
    chooses = not re.match(r"=\s*[\[{]|=null$", rest)
    if "~" in sign:
        return f"~{group}{rest}" if group in groups else argument
    if rest == "=null" and key in (*OPTIONAL, "experiment"):
        return f"~{key}"
    if key.startswith("layers."):
        return f"++{key}{'.name' if chooses and family_of(key.rpartition('.')[2]) in FAMILIES else ''}{rest}"
    if group in (*groups, *FILES) and not re.match(r"=\s*\{", rest):
        return f"{group}{rest}"
    return f"++{key}{rest}" if sign == "" and key.partition(".")[0] in ROLES else argument


def said(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides in Hydra's words set: keys with dots and values, those of dicts one by one."""
    changes = [override for override in parsed(overrides) if not override.is_delete()]
    return dict(leaf for override in changes for leaf in _leaves(_dotted(override), override.value()))


def removed(overrides: Sequence[str]) -> set[str]:
    """The keys that overrides in Hydra's words remove, with dots."""
    return {_dotted(override) for override in parsed(overrides) if override.is_delete()}


def check_choices(overrides: Sequence[str], groups: Collection[str]) -> None:
    """Refuse what cannot choose a part.

    Raises: WrongOption.
    """
    for override in parsed(overrides):
        key, value = _dotted(override), override.value()
        if not key:
            raise WrongOption(f"{override.input_line}: it takes name=value, as batch_size=500.")
        if override.is_delete() or override.is_sweep_override() or key.replace(".", "/") not in (*groups, *FILES):
            continue
        if isinstance(value, Mapping) and "name" in value:
            raise WrongOption(
                f"{key}: {shown(value)}. A part is chosen by its name, its options are set one by one: "
                f"{key}={value['name']} {key}.OPTION=VALUE."
            )
        several = key in (*SEVERAL, "experiment")
        if not isinstance(value, (str, dict, list) if several else (str, dict)):
            family = ROLES.get(key, family_of(key.rpartition(".")[2]))
            what = "the name of a file" if key in FILES else f"the name of a {family}"
            more = f", or several: {key}=[a, b], [] for none" if key in SEVERAL else ""
            raise WrongOption(f"{key}: {shown(value)}. It takes {what}{more}.")


def chosen_names(value: Any) -> list[str]:
    """The names that the value of a group chooses."""
    return [str(name) for name in value] if isinstance(value, list) else [str(value)]


def values(arguments: Sequence[str]) -> dict[str, Any]:
    """Plain overrides, without choices of groups or sweeps, as keys and values.

    Raises: WrongOption, for what is no `name=value`.
    """
    found = {}
    for override in parsed(arguments):
        if override.is_sweep_override() or override.type is not OverrideType.CHANGE:
            raise WrongOption(f"{override.input_line}: it takes name=value, as batch_size=500.")
        found[_dotted(override)] = override.value()
    return found


def parsed(overrides: Sequence[str], loader: ConfigLoader | None = None) -> list[Override]:
    """Overrides as Hydra reads them.

    Args:
        overrides: in Hydra's words.
        loader: what `glob(*)` looks for names in.
    Raises: WrongOption, for what its grammar does not take.
    """
    parser, found = OverridesParser.create(), []
    for word in overrides:
        try:
            override = parser.parse_override(word)
        except HydraException as error:
            raise WrongOption(
                f"{word}: it cannot be read; quotes around the value may help. {_first_sentence(error)}"
            ) from error
        override.config_loader = loader
        found.append(override)
    return found


def key_of(override: str) -> str:
    """The key of an override, without signs, package and value."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def _dotted(override: Override) -> str:
    return str(override.key_or_group).replace("/", ".")


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield key, value
        return
    for name, inner in value.items():
        yield from _leaves(f"{key}.{name}", inner)


def _first_sentence(error: Exception) -> str:
    return " ".join(str(error).partition("\nSee")[0].split())
