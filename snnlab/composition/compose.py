"""Hydra's composition of one job or of all jobs of a sweep, settled and checked."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import hydra
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnlab.composition.axes import combinations
from snnlab.composition.explain import explained
from snnlab.composition.groups import Groups, conf_folder, store_hydra_group
from snnlab.composition.overrides import FILES, check_choices, in_hydras_words, key_of, parsed, removed, said
from snnlab.composition.settle import Files, Settling
from snnlab.errors import WrongOption
from snnlab.networks.plan import merged
from snnlab.training.config import check_config, complete, plain

CONFIG = "config"


class Chosen(NamedTuple):
    """What was chosen of Hydra's groups, by the group's name, and what their options are."""

    names: dict[str, str]
    nodes: dict[str, dict[str, Any]]


class Composer:
    """Composes configurations from overrides, in the words of the command line.

    Raises: WrongOption, from each of its methods, naming the option, what came and what it takes.
    """

    def __init__(self) -> None:
        self._store = Groups()
        self.groups = self._store.names
        self._files: dict[tuple[str, ...], Files] = {}
        self._chosen_before: dict[tuple[str, ...], DictConfig] = {}

    def translated(self, arguments: Sequence[str]) -> list[str]:
        """Overrides in Hydra's words."""
        return [in_hydras_words(argument, self.groups) for argument in arguments]

    def job(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The complete configuration of one run.

        Args:
            overrides: in Hydra's words, without sweeps.
        """
        check_choices(overrides, self.groups)
        with _initialized():
            try:
                final = self._composed(overrides)
                files = self._said_by_files([word for word in overrides if key_of(word) == "experiment"])
            except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
                raise explained(error, self.groups, self._chosen(overrides)) from error
            experiment = final.hydra.runtime.choices.get("experiment")
            _check_file(experiment)
        config = _plain(final)
        if isinstance(config.get("experiment"), Mapping):
            raise WrongOption(f"experiment={experiment}: its file lacks the first line `# @package _global_`.")
        config = Settling(config, files, said(overrides), removed(overrides)).settled()
        config["experiment"] = experiment
        check_config(config)
        return complete(config)

    def jobs(self, overrides: Sequence[str], zipped: Sequence[Sequence[str]] = ()) -> list[list[str]]:
        """The overrides of each job of a sweep over all combinations.

        Args:
            overrides: in Hydra's words, with sweeps.
            zipped: groups of options whose values go side by side.
        """
        with _initialized():
            try:
                changes = parsed(overrides, GlobalHydra.instance().config_loader())
                axes = [[job[0] for job in _split([change])] for change in changes]
            except HydraException as error:
                search = " Intervals are for a search: add hydra/sweeper=optuna." if "INTERVAL" in str(error) else ""
                raise WrongOption(f"{error}. A sweep takes lists, as seed=0,1,2, and range(…).{search}") from error
        jobs = combinations(axes, zipped)
        if not jobs:
            raise WrongOption(f"sweep over {' '.join(overrides)}: there is no value to try.")
        return jobs

    def hydra_node(self, words: Sequence[str], families: Collection[str]) -> Chosen:
        """What Hydra's own configuration says of launcher and sweeper.

        Args:
            words: such as hydra/launcher=slurm ++hydra.launcher.time=60.
            families: which of ours are stored as groups for it.
        """
        for family in families:
            store_hydra_group(family)
        with _initialized():
            try:
                node = hydra.compose(CONFIG, list(words), return_hydra_config=True).hydra
            except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
                raise explained(error, self.groups, None) from error
        names = {str(key).removeprefix("hydra/"): name for key, name in node.runtime.choices.items()}
        nodes: dict[str, Any] = {family: OmegaConf.to_container(node[family]) for family in families}
        return Chosen(names, nodes)

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        """What Hydra makes of overrides.

        The jobs of a sweep mostly differ in plain values. Choices of groups take Hydra a tenth of a second; they are
        composed once, and the values put over them by the function by which Hydra does it.
        """
        values = [word for word in overrides if self._is_value(word)]
        choices = tuple(word for word in overrides if word not in values)
        if choices not in self._chosen_before:
            self._chosen_before = {choices: hydra.compose(CONFIG, list(choices), return_hydra_config=True)}
        config = copy.deepcopy(self._chosen_before[choices])
        ConfigLoaderImpl._apply_overrides_to_config(parsed(values), config)
        return config

    def _is_value(self, word: str) -> bool:
        """Whether an override sets one value, and neither chooses, adds nor removes anything."""
        key = key_of(word)
        plainly = word[:1] not in "+~" or word.startswith("++")
        return plainly and "@" not in word and key.replace(".", "/") not in (*self.groups, *FILES)

    def _said_by_files(self, experiment: Sequence[str]) -> Files:
        """What files say, without the defaults of parts and without the command line."""
        key = tuple(experiment)
        if key not in self._files:
            with self._store.without_defaults():
                composed = hydra.compose(CONFIG, list(experiment), return_hydra_config=True)
            chosen = dict(composed.hydra.runtime.choices)
            self._files[key] = Files(plain(OmegaConf.to_container(composed)), chosen)
        return self._files[key]

    def _chosen(self, overrides: Sequence[str]) -> DictConfig | None:
        """The composition of the choices of groups alone: where an unknown key's nearest name is looked for."""
        choices = [
            override for override in overrides if key_of(override) in self.groups or key_of(override) == "experiment"
        ]
        roles = [override for override in choices if "/" not in key_of(override)]
        for kept in (choices, roles, [override for override in roles if key_of(override) != "experiment"]):
            with suppress(HydraException, OmegaConfBaseException, yaml.YAMLError):
                return hydra.compose(CONFIG, kept)
        return None


def _split(changes: list[Override]) -> list[list[str]]:
    return [list(job) for batch in BasicSweeper.split_arguments(changes, max_batch_size=None) for job in batch]


@contextmanager
def _initialized() -> Iterator[None]:
    """Hydra with snnlab's conf/; inside a sweep's job, where Hydra runs already, as it is."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield


def _check_file(experiment: str | None) -> None:
    """Refuse an experiment of which there are two: Hydra would take the first without a word."""
    entries = GlobalHydra.instance().config_loader().get_search_path().get_path()
    folders = {Path(entry.path.removeprefix("file://")).resolve() for entry in entries if entry.path}
    files = sorted(str(path) for folder in folders if (path := folder / f"experiment/{experiment}.yaml").is_file())
    if len(files) > 1:
        raise WrongOption(f"experiment={experiment}: there are {' and '.join(files)}. Give one of them another name.")


def _plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain data, without Hydra's own node."""
    try:
        values = {str(key): _value(config, str(key)) for key in config if key != "hydra"}
    except OmegaConfBaseException as error:
        raise WrongOption(f"{error.full_key}: {error}".partition("\n")[0] + ".") from error
    return _without_missing(_with_text_keys(values))


def _value(config: DictConfig, key: str) -> Any:
    value = "???" if OmegaConf.is_missing(config, key) else config[key]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _with_text_keys(values: Any) -> Any:
    """Keys as text: a file's `layers: {0: …}` has a number where the command line has a text."""
    if not isinstance(values, Mapping):
        return plain(values)
    result: dict[str, Any] = {}
    for key, item in values.items():
        item = _with_text_keys(item)
        result[str(key)] = merged(result[str(key)], item) if str(key) in result else item
    return result


def _without_missing(value: dict[str, Any]) -> dict[str, Any]:
    """Options that must be given and were not are left out, so that the check tells them."""
    return {
        key: _without_missing(item) if isinstance(item, dict) else item for key, item in value.items() if item != "???"
    }
