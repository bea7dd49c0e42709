"""Hydra's composition of one job or of all jobs of a sweep, settled and checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import hydra
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from snnlab.composition.explain import explained
from snnlab.composition.groups import conf_folder, store_groups
from snnlab.composition.overrides import in_hydras_words, key_of, parsed
from snnlab.composition.settle import Settling
from snnlab.errors import WrongOption
from snnlab.training.config import check_config, complete, plain

CONFIG = "config"


class Composer:
    """Composes configurations from overrides, in the words of the command line.

    Raises: WrongOption, from each of its methods, naming the option, what came and what it takes.
    """

    def __init__(self) -> None:
        self.groups = store_groups()

    def translated(self, arguments: Sequence[str]) -> list[str]:
        """Overrides in Hydra's words."""
        return [in_hydras_words(argument, self.groups) for argument in arguments]

    def job(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The complete configuration of one run.

        Args:
            overrides: in Hydra's words, without sweeps.
        """
        with _initialized():
            try:
                final = hydra.compose(CONFIG, list(overrides), return_hydra_config=True)
            except (HydraException, OmegaConfBaseException) as error:
                raise explained(error, self.groups, self._chosen(overrides)) from error
            config = self._settled(final, overrides)
        config["experiment"] = final.hydra.runtime.choices.get("experiment")
        check_config(config)
        return complete(config)

    def jobs(self, overrides: Sequence[str]) -> list[list[str]]:
        """The overrides of each job of a sweep."""
        batches = BasicSweeper.split_arguments(parsed(overrides), max_batch_size=None)
        return [list(job) for batch in batches for job in batch]

    def _settled(self, final: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
        chosen = dict(final.hydra.runtime.choices)
        config = _plain(final)
        rest = [
            override
            for override in overrides
            if key_of(override).partition("/")[0].partition(".")[0] in ("experiment", "trainer", "sweep")
        ]
        planned = _plain(hydra.compose(CONFIG, rest)) if self._chooses_parts(overrides) else config
        said = {key_of(override).replace("/", ".") for override in overrides}
        return Settling(config, planned, chosen, said).settled()

    def _chooses_parts(self, overrides: Sequence[str]) -> bool:
        return any(key_of(override) in self.groups for override in overrides)

    def _chosen(self, overrides: Sequence[str]) -> DictConfig | None:
        """The composition of the choices of groups alone: where an unknown key's nearest name is looked for."""
        choices = [
            override for override in overrides if key_of(override) in self.groups or key_of(override) == "experiment"
        ]
        for kept in (choices, [override for override in choices if "/" not in key_of(override)]):
            with suppress(HydraException, OmegaConfBaseException):
                return hydra.compose(CONFIG, kept)
        return None


@contextmanager
def _initialized() -> Iterator[None]:
    """Hydra with snnlab's conf/; inside a sweep's job, where Hydra runs already, as it is."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    with hydra.initialize_config_dir(str(conf_folder()), version_base="1.3"):
        yield


def _plain(config: DictConfig) -> dict[str, Any]:
    """The configuration as plain data, without Hydra's own node."""
    try:
        values: Any = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]), resolve=True
        )
    except OmegaConfBaseException as error:
        raise WrongOption(f"{error}".partition("\n")[0]) from error
    return _without_missing(plain(values))


def _without_missing(value: dict[str, Any]) -> dict[str, Any]:
    """Options that must be given and were not are left out, so that the check tells them."""
    return {
        key: _without_missing(item) if isinstance(item, dict) else item for key, item in value.items() if item != "???"
    }
