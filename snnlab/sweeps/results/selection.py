"""What a table shows: which runs, by which options, of which number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snnlab.sweeps.results.axes import differing, named
from snnlab.sweeps.results.filters import filtered
from snnlab.sweeps.results.groups import Group, Measure, grouped, measure
from snnlab.sweeps.results.runs import Run
from snnlab.sweeps.results.sources import with_sources


@dataclass(frozen=True)
class Selection:
    """What is shown.

    Args:
        runs: all that were asked for.
        keys: the options that make a group.
        what: the number of a group.
        groups: these runs by these options.
        mixed: other options in which runs of one group differ.
    """

    runs: Sequence[Run]
    keys: Sequence[str]
    what: Measure
    groups: Sequence[Group]
    mixed: Sequence[str] = ()


def selected(
    runs: Sequence[Run],
    *,
    where: Iterable[str] = (),
    by: str | None = None,
    metric: str | None = None,
    mode: str | None = None,
) -> Selection:
    """Runs in groups.

    Args:
        runs: all there are.
        where: what those have that are shown, as neuron=lif.
        by: the options that make a group, with commas between them; by default all that differ but the seed.
        metric: the number; by default the first metric on test.
        mode: whether max or min of it is best; by default as `measure` finds it.
    Raises: WrongOption, for an option or a number that no run has.
    """
    runs = with_sources(runs)
    shown = filtered(runs, where)
    keys = differing(shown) if by is None else named(by, runs)
    mixed = [] if by is None else differing([run for run in shown if run.metrics], keys)
    what = measure(shown, metric, mode)
    return Selection(shown, keys, what, grouped(shown, keys, what), mixed)
