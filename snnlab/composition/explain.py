"""Hydra's errors in one sentence each, with the nearest name."""

from __future__ import annotations

import re
from collections.abc import Collection

from omegaconf import DictConfig, OmegaConf

from snnlab.errors import WrongOption
from snnlab.options import nearest
from snnlab.registry import FAMILIES, family_of, get, names
from snnlab.training.config import ROLES


def explained(error: BaseException, groups: Collection[str], chosen: DictConfig | None) -> WrongOption:
    """What a composition error means.

    Args:
        error: Hydra's or OmegaConf's.
        groups: the names of all groups.
        chosen: the configuration without the overrides that failed, or None.
    """
    text = f"{error}\n{error.__cause__ or ''}"
    if found := re.search(r"Could not (?:find|load) '([\w/.]+)/([^'/]+)'", text):
        return _unknown_choice(found[1], found[2], text)
    if found := re.search(r"Could not override '([\w/]+)'", text):
        return _unknown_key(found[1].replace("/", "."), groups, chosen)
    if found := re.search(r"(?:Could not override|Key) '([\w./]+)'", text):
        return _unknown_key(found[1], groups, chosen)
    return WrongOption(" ".join(text.split("\n")[:2]).strip())


def _unknown_choice(group: str, name: str, text: str) -> WrongOption:
    family = ROLES.get(group, family_of(group.rpartition("/")[2]))
    if family in FAMILIES:
        return WrongOption(
            f"{group.replace('/', '.')}={name}: there is no {family} of that name.{nearest(name, names(family))}"
        )
    available = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)+)", text)
    files = available[1].split() if available else []
    return WrongOption(f"{group}={name}: there is no file of that name in conf/{group}/.{nearest(name, files)}")


def _unknown_key(key: str, groups: Collection[str], chosen: DictConfig | None) -> WrongOption:
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(chosen, parent) if chosen is not None and parent else chosen
    known = [str(name) for name in node] if isinstance(node, DictConfig) else []
    if not parent:
        known += [group for group in groups if "/" not in group] + ["experiment"]
        return WrongOption(f"{key}: a run has no such option.{nearest(last, set(known) - {'hydra'})}")
    part = node.get("name") if isinstance(node, DictConfig) else None
    if part is None:
        return WrongOption(f"{key}: there is no such option.{nearest(last, known)}")
    family = family_of(parent.rpartition(".")[2])
    inside = {name for name in known if name != "name"}
    get(family, part)
    return WrongOption(f"{key}: {family} {part} has no such option.{nearest(last, inside)}")
