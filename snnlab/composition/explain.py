"""Hydra's errors in one sentence each, with the nearest name."""

from __future__ import annotations

import re
from collections.abc import Collection

import yaml
from omegaconf import DictConfig, OmegaConf

from snnlab.errors import WrongOption
from snnlab.options import nearest
from snnlab.registry import FAMILIES, family_of, names
from snnlab.training.config import ROLES, SEVERAL, unknown_trainer_option


def explained(error: BaseException, groups: Collection[str], chosen: DictConfig | None) -> WrongOption:
    """What a composition error means.

    Args:
        error: Hydra's or OmegaConf's.
        groups: the names of all groups.
        chosen: the configuration without the overrides that failed, or None.
    """
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return WrongOption(f"{mark.name}, line {mark.line + 1}: it is no YAML: {error.problem}.")
    text = f"{error}\n{error.__cause__ or ''}"
    file = re.match(r"In '(experiment/[\w/]+)'", text)
    place = f" It stands in conf/{file[1]}.yaml." if file else ""
    return WrongOption(_sentence(text, groups, chosen) + place)


def _sentence(text: str, groups: Collection[str], chosen: DictConfig | None) -> str:
    if found := re.search(r"Could not (?:find|load) '([\w/.]+)/([^'/]+)'", text):
        return _unknown_choice(found[1], found[2], text)
    if found := re.search(r"Could not override '([\w/]+)'", text):
        return _unknown_key(found[1].replace("/", "."), groups, chosen)
    if found := re.search(r"(?:Could not override|Key) '([\w./]+)'", text):
        return _unknown_key(found[1], groups, chosen)
    return " ".join(text.split("\n")[:2]).strip()


def _unknown_choice(group: str, name: str, text: str) -> str:
    family = ROLES.get(group, family_of(group.rpartition("/")[2]))
    if family in FAMILIES:
        shown = group if group.startswith("hydra/") else group.replace("/", ".")
        return f"{shown}={name}: there is no {family} of that name.{nearest(name, names(family))}"
    available = re.search(r"Available options in '[^']*':\n((?:\t.*\n?)+)", text)
    files = available[1].split() if available else []
    return f"{group}={name}: there is no file of that name in conf/{group}/.{nearest(name, files)}"


def _unknown_key(key: str, groups: Collection[str], chosen: DictConfig | None) -> str:
    """Which component of a key is unknown, and what there is in its place."""
    first, *rest = key.split(".")
    if chosen is None or first not in chosen:
        known = {*(str(name) for name in chosen or ()), *(group for group in groups if "/" not in group), "experiment"}
        return f"{key}: a run has no such option.{nearest(first, known - {'hydra'})}"
    if first == "trainer" and len(rest) == 1:
        return unknown_trainer_option(rest[0])
    if first in SEVERAL and rest and rest[0] in names(first) and rest[0] not in chosen[first]:
        return f"{key}: {first} {rest[0]} is not chosen. Add {first}=[{', '.join([*chosen[first], rest[0]])}]."
    node = OmegaConf.select(chosen, key.rpartition(".")[0])
    known = {str(name) for name in node} - {"name"} if isinstance(node, DictConfig) else set()
    part = node.get("name") if isinstance(node, DictConfig) else None
    owner = "there is no such option" if part is None else f"{ROLES.get(first, first)} {part} has no such option"
    return f"{key}: {owner}.{nearest(key.rpartition('.')[2], known)}"
