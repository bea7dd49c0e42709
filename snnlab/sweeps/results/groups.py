"""Runs that differ in the seed only, taken together: mean, standard deviation and number."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from snnlab.errors import WrongOption
from snnlab.options import nearest
from snnlab.sweeps.results.axes import text
from snnlab.sweeps.results.runs import COMPLETED, FAILED, INTERRUPTED, PRUNED, RUNNING, WAITING, Run
from snnlab.sweeps.results.values import as_number

_LOWER = ("loss", "error", "mse", "mae", "perplexity")
"""Words in the names of what is better when it is lower, for numbers of which the runs do not say so."""

OF_A_RUN = ("seconds", "epochs", "best_epoch")
"""Numbers of a run that are no metrics, and can be shown like one."""


@dataclass(frozen=True)
class Measure:
    """What is shown, and what the best group is chosen by.

    Args:
        metric: the number that is shown, as test/accuracy.
        val: the number of val that chooses the best group, as val/accuracy.
        mode: max or min, as is better.
    """

    metric: str
    val: str
    mode: str


@dataclass(frozen=True)
class Group:
    """Runs with the same options but the seed.

    Args:
        options: the values that its runs have in common.
        runs: all of them.
        points: seed and number of each run that counts.
        mean: of these numbers; None without any.
        sd: the sample's standard deviation, with n - 1; None for fewer than two.
        val_mean: mean of the number that the best group is chosen by.
        seconds: of a run, on average.
        without: completed runs whose number is NaN or absent.
        best: whether no group has a better val_mean.
    """

    options: dict[str, Any]
    runs: tuple[Run, ...]
    points: tuple[tuple[Any, float], ...]
    mean: float | None
    sd: float | None
    val_mean: float | None
    seconds: float | None
    without: tuple[Run, ...]
    best: bool = False

    @property
    def n(self) -> int:
        """How many numbers the mean is of."""
        return len(self.points)

    def count(self, *statuses: str) -> int:
        """How many of its runs have one of these statuses."""
        return sum(run.status in statuses for run in self.runs)

    @property
    def failed(self) -> int:
        """Failed, killed or damaged runs."""
        return self.count(*FAILED)

    @property
    def running(self) -> int:
        """Runs that are trained now."""
        return self.count(RUNNING)

    @property
    def waiting(self) -> int:
        """Jobs that nobody has begun."""
        return self.count(WAITING)

    @property
    def interrupted(self) -> int:
        """Runs that were stopped, and can go on."""
        return self.count(INTERRUPTED)

    @property
    def pruned(self) -> int:
        """Runs that a study gave up."""
        return self.count(PRUNED)


def measure(runs: Sequence[Run], metric: str | None = None, mode: str | None = None) -> Measure:
    """Which number is shown, and which one of val chooses.

    Args:
        runs: all of them.
        metric: as the user names it; by default the first metric of the configuration on test, else the loss.
        mode: max or min; by default what the runs say of the number that picked their epochs, and of others what the
            name tells: less is better for losses and errors.
    Raises: WrongOption, for a metric that no run has.
    """
    known = dict.fromkeys(name for run in runs for name in run.metrics)
    configured = [name for run in runs for name in _metrics(run)]
    first = configured[0] if configured else "loss"
    if metric is None:
        metric = f"test/{first}" if f"test/{first}" in known or not known else "test/loss"
    elif known and metric not in known and metric not in OF_A_RUN:
        raise WrongOption(f"--metric {metric}: none of the runs has it.{_near(metric, [*known, *OF_A_RUN])}")
    name = metric.partition("/")[2]
    # Rates and seconds say how a network works, not how well: there the number that picked each run's epoch chooses.
    if name != "loss" and name not in configured:
        name = first
    return Measure(metric, f"val/{name}", mode or _told_mode(name, runs) or _mode_by_name(name))


def _told_mode(name: str, runs: Iterable[Run]) -> str | None:
    """Max or min, as the runs say that it picked their epochs; None where none says so, or not all the same."""
    told = [run.facts for run in runs if run.facts.get("mode") in ("max", "min")]
    modes = {facts["mode"] for facts in told if str(facts.get("monitor")).partition("/")[2] == name}
    return modes.pop() if len(modes) == 1 else None


def _mode_by_name(name: str) -> str:
    return "min" if any(word in name.lower() for word in _LOWER) else "max"


def _metrics(run: Run) -> list[str]:
    """The metrics that a run was configured with."""
    metrics = run.options.get("metric")
    return list(map(str, metrics)) if isinstance(metrics, list) else []


def _near(metric: str, known: Iterable[str]) -> str:
    return nearest(metric, [name for name in known if "/rate/" not in name and "/silent/" not in name])


def grouped(runs: Iterable[Run], keys: Sequence[str], what: Measure) -> list[Group]:
    """Groups by the values of some options, in the order of these values, the best one marked."""
    cells: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if run.options:
            cells.setdefault(tuple(text(run, key) for key in keys), []).append(run)
    groups = [_group(members, keys, what) for members in cells.values()]
    groups.sort(key=lambda group: [in_order(group.options[key]) for key in keys])
    return _with_best(groups, what.mode)


def in_order(value: Any) -> tuple[int, float, str]:
    """Numbers by size, then texts by letter."""
    number = as_number(value)
    return (1, 0.0, str(value)) if number is None else (0, number, "")


def value_of(run: Run, metric: str) -> float | None:
    """A number of a run; None where it has none, or NaN."""
    value = run.facts.get(metric) if metric in OF_A_RUN else run.metrics.get(metric)
    return as_number(value)


def mean_of(values: Sequence[float]) -> float | None:
    """The mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def sd_of(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample, sqrt(sum((x - mean)^2) / (n - 1)); None for fewer than two values."""
    mean = mean_of(values)
    if mean is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def once(runs: Iterable[Run]) -> list[Run]:
    """Runs without copies: of those with the same id, which are the same experiment, the last that was made."""
    kept: dict[str, Run] = {}
    for number, run in enumerate(runs):
        kept[run.id or f"#{number}"] = run
    return list(kept.values())


def counts(runs: Iterable[Run]) -> Counter[str]:
    """How many runs there are of each status."""
    return Counter(run.status for run in runs)


def _group(members: Sequence[Run], keys: Sequence[str], what: Measure) -> Group:
    done = once(run for run in members if run.status == COMPLETED)
    values = {run.folder: value_of(run, what.metric) for run in done}
    points = [(run.options.get("seed"), value) for run in done if (value := values[run.folder]) is not None]
    numbers = [value for _, value in points]
    return Group(
        options={key: next((run.options[key] for run in members if key in run.options), None) for key in keys},
        runs=tuple(members),
        points=tuple(points),
        mean=mean_of(numbers),
        sd=sd_of(numbers),
        val_mean=mean_of(_numbers(done, lambda run: value_of(run, what.val))),
        seconds=mean_of(_numbers(done, lambda run: as_number(run.seconds))),
        without=tuple(run for run in done if values[run.folder] is None),
    )


def _numbers(runs: Iterable[Run], value: Callable[[Run], float | None]) -> list[float]:
    return [number for run in runs if (number := value(run)) is not None]


def _with_best(groups: list[Group], mode: str) -> list[Group]:
    known = [group.val_mean for group in groups if group.val_mean is not None]
    if len(known) < 2:
        return groups
    best = max(known) if mode == "max" else min(known)
    return [replace(group, best=group.val_mean == best) for group in groups]
