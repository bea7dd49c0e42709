"""Only the runs that have some options: `neuron=lif,cuba optimizer.lr=0.01 status=failed`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from snnlab.errors import WrongOption
from snnlab.sweeps.results.axes import known_options, text
from snnlab.sweeps.results.runs import STATUSES, Run
from snnlab.sweeps.results.values import known_name, parsed, plain_name, shown
from snnlab.sweeps.results.versions import status_of

STATUS, STALE = "status", "stale"


def filtered(runs: Sequence[Run], where: Iterable[str]) -> list[Run]:
    """The runs for which all of `where` holds.

    Args:
        runs: those to choose from.
        where: OPTION=VALUE; several values with commas between them mean any of them.
    Raises: WrongOption, for an option or a value that no run has.
    """
    kept, known = list(runs), known_options(runs)
    for condition in where:
        name, _, value = condition.partition("=")
        wanted = _values(value)
        if plain_name(name) == STATUS:
            there = {status for run in runs for status in (run.status, status_of(run))}
            key, kept = STATUS, [run for run in kept if {run.status, status_of(run)} & wanted]
            there |= {*STATUSES, STALE}
        else:
            key = known_name(name, known, "--where")
            there = {text(run, key) for run in runs}
            kept = [run for run in kept if text(run, key) in wanted]
        if missing := sorted(wanted - there):
            raise WrongOption(
                f"--where {key}={missing[0]}: none of the runs has it. There is {', '.join(sorted(there))}."
            )
    return kept


def _values(value: str) -> set[str]:
    """Each value as a table shows it; the commas of a list are its own."""
    items, depth = [""], 0
    for letter in value:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0:
            items.append("")
        else:
            items[-1] += letter
    return {shown(parsed(item)) for item in items}
