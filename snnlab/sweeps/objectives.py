"""What a study looks for: numbers of a run's best epoch, each to be made large or small."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest
from snnlab.registry import build
from snnlab.sweeps.jobs import Ended
from snnlab.training import table
from snnlab.training.config import monitor_of
from snnlab.training.stored import stored_result

Direction = Literal["minimize", "maximize"]
_OF_LAYERS = re.compile(r"(val|train)/(rate|silent)/.+")
_ANY_OUTPUTS = 1000
"""A metric is asked whether more is better before the data is read."""


@dataclass(frozen=True)
class Objectives:
    """The numbers that a study looks at, with their directions."""

    names: tuple[str, ...]
    directions: tuple[Direction, ...]

    def values(self, ended: Ended) -> list[float]:
        """The numbers of a run that is done.

        Raises: BadData, when it has not got them, or one is not finite.
        """
        numbers = dict(ended.metrics)
        if any(name not in numbers for name in self.names):
            numbers |= _best_epoch(Path(ended.job.folder))
        for name in self.names:
            if not math.isfinite(numbers.get(name, math.nan)):
                raise BadData(f"{ended.job.folder}: its {name} is {numbers.get(name, 'not there')}.")
        return [numbers[name] for name in self.names]


def objectives_of(config: Mapping[str, Any], names: Sequence[str], directions: Sequence[Direction]) -> Objectives:
    """The objectives of a study.

    Args:
        config: the configuration of one of its runs.
        names: as asked for; by default the number that picks the best epoch.
        directions: as asked for; by default those of the metrics, and small for losses.
    Raises: WrongOption.
    """
    names = tuple(names) or (monitor_of(config),)
    known = [f"{stage}/{number}" for stage in ("val", "train") for number in ("loss", *config["metric"])]
    for name in names:
        if name.startswith("test/"):
            raise WrongOption(f"sweeper.objectives: {name}. What was looked at is no test any more: use val/.")
        if name not in known and not _OF_LAYERS.fullmatch(name):
            raise WrongOption(f"sweeper.objectives: {name}. It takes numbers of an epoch.{nearest(name, known)}")
    if len(set(names)) != len(names):
        raise WrongOption(f"sweeper.objectives: {', '.join(names)}. One of them comes twice.")
    if directions and len(directions) != len(names):
        raise WrongOption(f"sweeper.directions: {', '.join(directions)}. It takes one for each of {', '.join(names)}.")
    return Objectives(names, tuple(directions) or tuple(_direction(name, config) for name in names))


def _direction(name: str, config: Mapping[str, Any]) -> Direction:
    number = name.partition("/")[2]
    if number == "loss":
        return "minimize"
    larger = None
    if number in config["metric"]:
        metric = build("metric", {"name": number, **config["metric"][number]}, outputs=_ANY_OUTPUTS)()
        larger = metric.higher_is_better
    if larger is None:
        raise WrongOption(f"sweeper.directions: whether {name} is to be large or small is not known. Give it for each.")
    return "maximize" if larger else "minimize"


def _best_epoch(folder: Path) -> dict[str, float]:
    """All numbers of the epoch that a run reports: result.json has those of val and test."""
    try:
        best = stored_result(folder)["best_epoch"]
        return next((row for row in table.read(folder / table.NAME) if row["epoch"] == best), {})
    except (OSError, KeyError) as error:
        raise BadData(f"{folder}: its metrics cannot be read ({error}).") from error
