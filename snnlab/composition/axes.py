"""The axes of a sweep, combined: each value of one with each of the others, or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from snnlab.composition.overrides import key_of
from snnlab.errors import WrongOption


def combinations(axes: Sequence[Sequence[str]], zipped: Sequence[Sequence[str]]) -> list[list[str]]:
    """The words of each job; the last axis changes fastest.

    Args:
        axes: the words that an option takes one after the other, for each option.
        zipped: groups of options whose words go side by side; such a group stands where its first option does.
    Raises: WrongOption, for a group with an option that is not there or not as long as the others.
    """
    together = [name.replace("/", ".") for group in zipped for name in group]
    if twice := [name for name in together if together.count(name) > 1]:
        raise WrongOption(f"sweep.zip: {twice[0]} stands there twice. Put all that goes side by side into one group.")
    groups = {name.replace("/", "."): tuple(group) for group in zipped for name in group}
    by_name = {key_of(axis[0]).replace("/", "."): axis for axis in axes if axis}
    for name, group in groups.items():
        if name not in by_name:
            raise WrongOption(f"sweep.zip: {name} is not swept. Give it values: {name}=…,…")
        if len(by_name[name]) != len(by_name[group[0].replace("/", ".")]):
            lengths = ", ".join(f"{other} {len(by_name.get(other.replace('/', '.'), ()))}" for other in group)
            raise WrongOption(f"sweep.zip: as many values for each are needed, and there are {lengths}.")
    rows: dict[tuple[str, ...], list[list[str]]] = {}
    for number, axis in enumerate(axes):
        name = key_of(axis[0]).replace("/", ".") if axis else ""
        place = groups.get(name, (str(number),))
        before = rows.get(place, [[] for _ in axis])
        rows[place] = [[*row, word] for row, word in zip(before, axis, strict=True)]
    return [[word for row in chosen for word in row] for chosen in product(*rows.values())]
