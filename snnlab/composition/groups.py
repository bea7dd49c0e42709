"""Config groups made from the registry: `neuron=lif neuron.surrogate=atan` without a file for each part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

import snnlab
from snnlab.options import Option, settings
from snnlab.registry import family_of, get, names
from snnlab.training.config import ROLES, SEVERAL, plain
from snnlab.training.lightning_options import lightning_options


def conf_folder() -> Path:
    """The folder of snnlab's own configuration files: inside the installed package, or beside it in a checkout."""
    package = Path(snnlab.__file__).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def store_groups() -> set[str]:
    """Give Hydra a group for each role and family, and tell their names, nested ones as `neuron/surrogate`."""
    store = ConfigStore.instance()
    groups: set[str] = set()
    for role, family in ROLES.items():
        groups |= _store_group(store, role, family)
    for family in SEVERAL:
        groups.add(family)
        for name in names(family):
            node = {key: _default(option) for key, option in settings(get(family, name)).items()}
            store.store(group=family, name=name, node=node, package=f"{family}.{name}", provider="snnlab")
    trainer = {name: option.default for name, option in lightning_options().items()}
    store.store(group="trainer", name="lightning", node=trainer, provider="snnlab")
    return groups


def _store_group(store: ConfigStore, group: str, family: str) -> set[str]:
    groups = {group}
    for name in names(family):
        part = get(family, name)
        store.store(group=group, name=name, node=_node(name, part), provider="snnlab")
        for key, option in settings(part).items():
            if option.is_part and f"{group}/{key}" not in groups:
                groups |= _store_group(store, f"{group}/{key}", family_of(key))
    return groups


def _node(name: str, part: Callable[..., Any]) -> dict[str, Any]:
    """A part's options with their defaults; the parts inside it are chosen by the groups inside its group."""
    known = settings(part)
    inside = [{key: option.default} for key, option in known.items() if option.is_part]
    values = {key: _default(option) for key, option in known.items() if not option.is_part or option.default is None}
    return {"defaults": ["_self_", *inside], "name": name, **values}


def _default(option: Option) -> Any:
    return "???" if option.required else plain(option.default)
