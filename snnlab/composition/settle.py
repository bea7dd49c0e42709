"""What an experiment says of a part falls away when the command line chooses another part in its place.

`experiment=digits_stbp neuron=lif` must not hand STBP's tau, a decay per step, to LIF, whose tau is in ms.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from snnlab.options import settings
from snnlab.registry import family_of, get
from snnlab.training.config import ROLES, plain


class Settling:
    """Settles one job.

    Args:
        final: the configuration that Hydra composed from files and command line.
        planned: the one composed without the command line's choices of parts, and what it says of them.
        chosen: the part that Hydra chose for each group (`neuron/surrogate`), by files or command line.
        said: the keys that the command line sets; groups among them with dots.
    """

    def __init__(
        self, final: Mapping[str, Any], planned: Mapping[str, Any], chosen: Mapping[str, str], said: Collection[str]
    ) -> None:
        self.final, self.planned, self.chosen, self.said = final, planned, chosen, said

    def settled(self) -> dict[str, Any]:
        """The configuration with the parts that were replaced built anew."""
        result = dict(self.final)
        for role, family in ROLES.items():
            if isinstance(self.final.get(role), Mapping):
                result[role] = self._part(role, family, self.final[role], self.planned.get(role))
        return result

    def _part(self, group: str, family: str, node: Mapping[str, Any], planned: Any) -> dict[str, Any]:
        planned = planned if isinstance(planned, Mapping) else {}
        if self._is_said(group) and self.chosen[group] != planned.get("name"):
            return self._anew(group, family)
        known = settings(get(family, node["name"]))
        result = {"name": node["name"]}
        for key, value in node.items():
            inside = key in known and known[key].is_part and isinstance(value, Mapping)
            if inside:
                result[key] = self._part(f"{group}/{key}", family_of(key), value, planned.get(key))
            elif key in known or not self._is_left_over(group, family, node, key):
                result[key] = value
        return result

    def _anew(self, group: str, family: str) -> dict[str, Any]:
        """The part that was chosen, with its defaults and what the command line says of it."""
        result: dict[str, Any] = {"name": self.chosen[group]}
        for key, option in settings(get(family, self.chosen[group])).items():
            inside = f"{group}/{key}"
            if option.is_part and inside in self.chosen:
                result[key] = self._anew(inside, family_of(key))
            elif self._is_said(inside):
                result[key] = self._value(inside)
            else:
                result[key] = "???" if option.required else plain(option.default)
        return result | {key: self._value(f"{group}/{key}") for key in self._unknown(group, result)}

    def _unknown(self, group: str, known: Mapping[str, Any]) -> list[str]:
        """Keys that the command line sets although the part lacks them: kept, so that the check can refuse them."""
        prefix = group.replace("/", ".") + "."
        keys = [key.removeprefix(prefix) for key in self.said if key.startswith(prefix)]
        return [key for key in keys if "." not in key and key not in known]

    def _is_left_over(self, group: str, family: str, node: Mapping[str, Any], key: str) -> bool:
        """Whether a key is a default of the part that Hydra chose and a file's `name` replaced."""
        if self.chosen.get(group) in (None, node["name"]) or self._is_said(f"{group}/{key}"):
            return False
        option = settings(get(family, self.chosen[group])).get(key)
        return option is not None and (option.is_part or plain(option.default) == node[key])

    def _is_said(self, path: str) -> bool:
        return path.replace("/", ".") in self.said

    def _value(self, path: str) -> Any:
        node: Any = self.final
        for key in path.split("/"):
            node = node[key]
        return node
