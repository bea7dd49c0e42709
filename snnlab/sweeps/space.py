"""The space of a study: which options are drawn, from what, and the words of a trial."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import optuna
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from snnlab.composition.overrides import parsed
from snnlab.errors import WrongOption


class Space:
    """What is drawn.

    optimizer.lr=interval(0.001,0.1)             a number, ends included
    optimizer.lr=tag(log,interval(0.001,0.1))    by its logarithm
    batch_size=int(interval(16,128))             a whole one
    batch_size=range(16,129,16)                  a number on a grid, as Python's range
    neuron=lif,cuba network.hidden=choice([32],[64])     one of these

    Args:
        overrides: in Hydra's words, with sweeps.
    Raises: WrongOption, when nothing is drawn, and for what cannot be.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        self._overrides = parsed(overrides)
        drawn = [override for override in self._overrides if override.is_sweep_override()]
        if not drawn:
            raise WrongOption("hydra/sweeper=optuna: nothing is drawn. Give it, say, optimizer.lr=interval(0.001,0.1).")
        self.distributions: dict[str, BaseDistribution] = {_name(o): _distribution(o) for o in drawn}

    @property
    def fixed(self) -> list[str]:
        """The words of options that are not drawn."""
        return [_said(override) for override in self._overrides if not override.is_sweep_override()]

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """The words of a trial: those that stay, and its params, numbers to their last digit."""
        return [_word(override, params) for override in self._overrides]

    def corners(self) -> Iterator[list[str]]:
        """The words of trials that between them have each choice and both ends of each interval."""
        first = {name: _ends(distribution)[0] for name, distribution in self.distributions.items()}
        yield self.words(first)
        for name, distribution in self.distributions.items():
            for value in _ends(distribution)[1:]:
                yield self.words(first | {name: value})

    def unlike(self, trial: optuna.trial.FrozenTrial) -> str:
        """In which way a trial was drawn from a space that cannot be that of the same study; empty where it can."""
        if extra := sorted(set(trial.distributions) - set(self.distributions)):
            return f"it draws {', '.join(extra)} as well"
        for name, then in trial.distributions.items():
            try:
                optuna.distributions.check_distribution_compatibility(then, self.distributions[name])
            except ValueError:
                return f"it draws {name} from {_shown(then)}, not {_shown(self.distributions[name])}"
        return ""


def _word(override: Override, params: Mapping[str, Any]) -> str:
    if not override.is_sweep_override():
        return _said(override)
    value = params[_name(override)]
    return f"{_said(override).partition('=')[0]}={value if isinstance(value, str) else repr(value)}"


def _said(override: Override) -> str:
    return str(override.input_line)


def _name(override: Override) -> str:
    return str(override.key_or_group).replace("/", ".")


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, ChoiceSweep):
        value.shuffle = False  # or the choices of a study would be others whenever it goes on
    try:
        if isinstance(value, ChoiceSweep):  # as text: a list, a number and the user's own quotes stay what they are
            return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
        if isinstance(value, IntervalSweep):
            return _between(value.start, value.end, None, log)
        if isinstance(value, RangeSweep):
            return _between(*_grid(value), log)
    except ValueError as error:
        raise WrongOption(f"{override.input_line}: {error}") from error
    raise WrongOption(f"{override.input_line}: a study draws from interval(…), range(…), choice(…) and lists.")


def _between(low: Any, high: Any, step: Any, log: bool) -> BaseDistribution:
    if log and step not in (None, 1):
        raise ValueError("a range by its logarithm has steps of 1.")
    if all(isinstance(number, int) for number in (low, high, step or 1)):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(float(low), float(high), log=log, step=None if log or step is None else float(step))


def _grid(value: RangeSweep) -> tuple[Any, Any, Any]:
    """First, last and step of a range, whose stop is not in it."""
    values = sorted(value.range())
    if not values:
        raise ValueError("there is no number in it.")
    return values[0], values[-1], abs(value.step)


def _ends(distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return [distribution.low, distribution.high]


def _shown(distribution: BaseDistribution) -> str:
    if isinstance(distribution, CategoricalDistribution):
        return f"choice({','.join(map(str, distribution.choices))})"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    kind = "whole numbers" if isinstance(distribution, IntDistribution) else "numbers"
    by = " by their logarithm" if distribution.log else ""
    return f"{kind} from {distribution.low} to {distribution.high}{by}"
