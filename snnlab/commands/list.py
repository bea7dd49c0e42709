"""Show the parts there are, and the options of one.

snnlab list                    families and names, with the first line of each docstring
snnlab list neuron             the names of one family
snnlab list experiment         the experiments: snnlab train experiment=NAME
snnlab list neuron cuba        the options of a part, with types, defaults and docstring
snnlab list … --json           the same for programs
"""

from __future__ import annotations

import inspect
import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import Any

from snnlab.errors import WrongOption

EXPERIMENT = "experiment"
"""Shown like a family; its members are files."""


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = ArgumentParser("snnlab list", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("family", nargs="?", help="neuron, surrogate, loss, …")
    parser.add_argument("name", nargs="?", help="the name of a part")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)

    from snnlab import registry

    if arguments.name and arguments.family == EXPERIMENT:
        raise WrongOption(
            f"list: an experiment is shown by another command: snnlab train experiment={arguments.name} --cfg job"
        )
    if arguments.name:
        part = described(arguments.family, arguments.name)
        print(json.dumps(part, indent=2) if arguments.json else _page(part))
        return 0
    families = [arguments.family] if arguments.family else [*registry.FAMILIES, EXPERIMENT]
    found = {family: _names(family) for family in families}
    names = {family: [*members] for family, members in found.items()}
    print(json.dumps(names, indent=2) if arguments.json else _table(found))
    return 0


def _names(family: str) -> dict[str, str]:
    """The names of a family, each with its first line."""
    from snnlab import registry
    from snnlab.options import first_line

    if family == EXPERIMENT:
        from snnlab.composition.experiments import experiments

        return experiments()
    return {name: first_line(registry.get(family, name)) for name in registry.names(family)}


def described(family: str, name: str) -> dict[str, Any]:
    """A part as plain data: its docstring, and the name, type, default, unit and help of each option."""
    from snnlab import registry
    from snnlab.options import settings
    from snnlab.training.config import plain

    part = registry.get(family, name)
    options = [
        {
            "name": option.name,
            "type": registry.family_of(option.name) if option.is_part else option.type,
            "default": None if option.required else plain(option.default),
            "required": option.required,
            "unit": option.unit,
            "help": option.help,
        }
        for option in settings(part).values()
    ]
    return {
        "family": family,
        "name": name,
        "options": options,
        "docstring": inspect.getdoc(part) or "",
        "file": registry.source_file(part),
    }


def _page(part: dict[str, Any]) -> str:
    from snnlab.options import shown

    lines = [f"{part['family']} {part['name']}", "", part["docstring"], "", "Options:"]
    for option in part["options"]:
        default = "must be given" if option["required"] else f"default {shown(option['default'])}"
        lines += [f"  {option['name']}: {option['type']}; {default}", f"      {option['help']}"]
    return "\n".join(lines if part["options"] else [*lines[:-1], "It has no options."])


def _table(found: dict[str, dict[str, str]]) -> str:
    width = max((len(name) for names in found.values() for name in names), default=0)
    lines = []
    for family, names in found.items():
        lines += [family, *(f"  {name:<{width}}  {line}" for name, line in names.items()), ""]
    return "\n".join(lines).rstrip()
