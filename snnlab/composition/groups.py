"""Config groups made from the registry: `neuron=lif neuron.surrogate=atan` without a file for each part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore

import snnlab
from snnlab.options import Option, settings
from snnlab.registry import family_of, get, names
from snnlab.training.config import ROLES, SEVERAL, plain
from snnlab.training.lightning_options import lightning_options


class Groups:
    """The groups that Hydra knows: one for each role and family, and nested ones, as `neuron/surrogate`."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._store(defaults=True)

    @contextmanager
    def without_defaults(self) -> Iterator[None]:
        """While it lasts, Hydra's parts hold no options but those that files and the command line give them."""
        store = ConfigStore.instance()
        kept, store.repo = store.repo, _copied(store.repo)
        try:
            self._store(defaults=False)
            yield
        finally:
            store.repo = kept

    def _store(self, *, defaults: bool) -> None:
        store = ConfigStore.instance()
        for role, family in ROLES.items():
            self._store_group(role, family, defaults)
        for family in SEVERAL:
            self.names.add(family)
            for name in names(family):
                known = settings(get(family, name)) if defaults else {}
                node = {key: _default(option) for key, option in known.items()}
                store.store(group=family, name=name, node=node, package=f"{family}.{name}", provider="snnlab")
        trainer = {name: option.default for name, option in lightning_options().items()}
        store.store(group="trainer", name="lightning", node=trainer, provider="snnlab")

    def _store_group(self, group: str, family: str, defaults: bool) -> None:
        self.names.add(group)
        inside: set[str] = set()
        for name in names(family):
            part = get(family, name)
            ConfigStore.instance().store(group=group, name=name, node=_node(name, part, defaults), provider="snnlab")
            inside |= {key for key, option in settings(part).items() if option.is_part}
        for key in inside:
            self._store_group(f"{group}/{key}", family_of(key), defaults)


def store_hydra_group(family: str) -> None:
    """Let Hydra know our launchers or sweepers, but for the one whose name is that of Hydra's default."""
    for name in names(family):
        if name != "basic":
            node = {"name": name} | {key: _default(option) for key, option in settings(get(family, name)).items()}
            ConfigStore.instance().store(group=f"hydra/{family}", name=name, node=node, provider="snnlab")


def conf_folder() -> Path:
    """The folder of snnlab's own configuration files: inside the installed package, or beside it in a checkout."""
    package = Path(snnlab.__file__).parent
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def _node(name: str, part: Callable[..., Any], defaults: bool) -> dict[str, Any]:
    """A part's options with their defaults; the parts inside it are chosen by the groups inside its group."""
    known = settings(part)
    inside = ["_self_", *({key: option.default} for key, option in known.items() if option.is_part)]
    if not defaults:
        return {"defaults": inside}
    values = {key: _default(option) for key, option in known.items() if not option.is_part or option.default is None}
    return {"defaults": inside, "name": name, **values}


def _default(option: Option) -> Any:
    return "???" if option.required else plain(option.default)


def _copied(repo: Any) -> Any:
    return {key: _copied(value) for key, value in repo.items()} if isinstance(repo, dict) else repo
