"""What files say of a part falls away when another part takes its place.

`experiment=digits_stbp neuron=lif` must not hand STBP's tau, a decay per step, to LIF, whose tau is in ms. Hydra would
merge them. So each part is put together anew: its own defaults, over them what files say of it, if it is the part that
they mean, and over these what the command line says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from snnlab.composition.overrides import chosen_names
from snnlab.errors import WrongOption
from snnlab.networks.plan import merged
from snnlab.options import nearest, settings
from snnlab.registry import family_of, get, names
from snnlab.training.config import ROLES, SEVERAL, plain


class Files(NamedTuple):
    """What files alone say: conf/config.yaml and the experiment.

    Args:
        values: the configuration, without the defaults of parts.
        chosen: the part that Hydra chose for each group, `neuron/surrogate`.
    """

    values: Mapping[str, Any]
    chosen: Mapping[str, Any]


class Settling:
    """Settles one job.

    Args:
        final: the configuration that Hydra composed from files and command line, with the defaults of parts.
        files: what files alone say.
        said: what the command line sets: keys with dots and values; that of a group is the name of a part.
        removed: the keys that the command line removes.
    """

    def __init__(
        self, final: Mapping[str, Any], files: Files, said: Mapping[str, Any], removed: Collection[str]
    ) -> None:
        self.final, self.files, self.said, self.removed = final, files, said, removed

    def settled(self) -> dict[str, Any]:
        """The configuration with every part put together anew."""
        result = dict(self.final)
        for role, family in ROLES.items():
            result[role] = self._part(role, family)
        for family in SEVERAL:
            if family in self.said and isinstance(result[family], Mapping):
                asked = chosen_names(self.said[family])
                result[family] = {name: result[family][name] for name in asked if name in result[family]}
        return result | {"layers": self._layers()}

    def _part(self, path: str, family: str, default: Any = None, usual: Any = None, filed: bool = True) -> Any:
        """A part by its path, `neuron.surrogate`, with every option; None where there is none.

        Args:
            path: where it stands.
            family: its family.
            default: the part that it is if nobody says anything.
            usual: the part that Hydra puts there if nobody says anything: the default of the part around it that Hydra
                chose, which a file's `name` may have replaced.
            filed: whether files mean the part around it.
        """
        if path in self.removed:
            return None
        planned = self._planned(path, default, usual) if filed else default
        name = self.said.get(path, planned)
        filed = filed and name == planned
        keys = self._keys(path, filed)
        if name is None and keys:
            raise WrongOption(f"{path}.{keys[0]}: no {family} is chosen for it. Add {path}=NAME.")
        if not isinstance(name, str):
            return name
        if name not in names(family):
            raise WrongOption(f"{path}={name}: there is no {family} of that name.{nearest(name, names(family))}")
        known, around = settings(get(family, name)), self._usual(path, family)
        result: dict[str, Any] = {"name": name}
        for key, option in known.items():
            inside = f"{path}.{key}"
            if option.is_part:
                result[key] = self._part(inside, family_of(key), option.default, around.get(key), filed)
            elif key in keys:
                result[key] = _at(self.final, inside)
            elif not option.required:
                result[key] = plain(option.default)
        return result | {key: _at(self.final, f"{path}.{key}") for key in keys if key not in known}

    def _planned(self, path: str, default: Any, usual: Any) -> Any:
        """The part that files mean: by `name` in a body, or by a choice in a defaults list."""
        node = _at(self.files.values, path)
        if node is None and _has(self.files.values, path):
            return None
        if isinstance(node, str):
            return node
        if isinstance(node, Mapping) and "name" in node:
            return node["name"]
        chosen = self.files.chosen.get(path.replace(".", "/"))
        return default if chosen in (None, usual) else chosen

    def _usual(self, path: str, family: str) -> dict[str, Any]:
        """The parts inside the one that Hydra chose for a path."""
        chosen = self.files.chosen.get(path.replace(".", "/"))
        known = settings(get(family, chosen)) if isinstance(chosen, str) else {}
        return {key: option.default for key, option in known.items() if option.is_part}

    def _keys(self, path: str, filed: bool) -> list[str]:
        """The options of a part that files, if they mean it, or the command line set."""
        node = _at(self.files.values, path) if filed else None
        # An empty node is where Hydra would put a part that a replaced part has inside; no file said it.
        keys = [key for key, value in node.items() if value != {}] if isinstance(node, Mapping) else []
        keys += [key.removeprefix(f"{path}.").partition(".")[0] for key in self.said if key.startswith(f"{path}.")]
        return [key for key in dict.fromkeys(keys) if key != "name" and _has(self.final, f"{path}.{key}")]

    def _layers(self) -> Any:
        """The changes to single layers: those of the command line over those of files, where a name starts anew."""
        keys = [key for key in self.said if key.startswith("layers.")]
        removed = any(key.startswith("layers") for key in self.removed)
        if not keys or removed or not isinstance(self.files.values.get("layers"), Mapping):
            return self.final.get("layers", {})
        spoken: dict[str, Any] = {}
        for key in keys:
            _, *parents, last = key.split(".")
            node = spoken
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = _at(self.final, key)
        return merged(self._resolved(self.files.values["layers"], "layers"), spoken)

    def _resolved(self, node: Any, path: str) -> Any:
        """What files say, with interpolations replaced by what they stand for."""
        if isinstance(node, Mapping):
            return {key: self._resolved(value, f"{path}.{key}") for key, value in node.items()}
        return _at(self.final, path) if isinstance(node, str) and "${" in node else node


def _at(values: Any, path: str) -> Any:
    for key in path.split("."):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def _has(values: Any, path: str) -> bool:
    parent, _, last = path.rpartition(".")
    node = _at(values, parent) if parent else values
    return isinstance(node, Mapping) and last in node
