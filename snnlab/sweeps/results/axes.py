"""The options in which runs differ: those that a table has columns for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from snnlab.sweeps.results.runs import Run
from snnlab.sweeps.results.values import ABSENT, UNKNOWN, known_name, plain_name, shown
from snnlab.training.comparable import WITHOUT_EFFECT

SEED = "seed"

_UNTOLD = tuple(key for key in WITHOUT_EFFECT if key != "experiment")
"""An experiment has no effect but by the options that it stands for, and it is what tells them in one word."""


def known_options(runs: Iterable[Run]) -> dict[str, Any]:
    """All options of all runs, each with the first value that it has; in the order of a configuration."""
    known: dict[str, Any] = {}
    for run in runs:
        if run.options.keys() - known.keys():
            known |= {key: value for key, value in run.options.items() if key not in known}
    return known


def named(by: str, runs: Sequence[Run]) -> list[str]:
    """The options that a user names, with commas between them.

    Raises: WrongOption, for one that no run has.
    """
    known = known_options(runs)
    names = [name for name in by.split(",") if name.strip()]
    return list(dict.fromkeys(known_name(name, known, "--by") for name in names))


def differing(runs: Sequence[Run], given: Sequence[str] = ()) -> list[str]:
    """The options but seed in which runs differ, without those that follow from others.

    First come those that somebody set to different values. Of the rest, one that is the same wherever those before it
    are the same says nothing new: the tau of two neurons, where `neuron` is a column already.

    Args:
        runs: those to tell apart.
        given: options that are looked at first, and not told again.
    """
    runs = [run for run in runs if run.options]
    varying = [key for key, value in known_options(runs).items() if key in given or _varies(key, value, runs)]
    texts = {key: [text(run, key) for run in runs] for key in varying}
    several = {key: values for key, values in texts.items() if len(set(values)) > 1 and _counts(key)}
    told = [key for key in _set_by_somebody(runs) if key in several and len(_present(several[key])) > 1]
    chosen = [key for key in told if key not in given]
    cells = [tuple(texts[key][place] for key in (*given, *chosen) if key in texts) for place in range(len(runs))]
    # Where some jobs are known by their words alone, the rest cannot be told apart by what is missing there.
    whole = [place for place, run in enumerate(runs) if run.known]
    for key in sorted(several, key=lambda key: not _is_part(key, runs)):
        if key in chosen or key in given:
            continue
        finer = {place: (*cells[place], several[key][place]) for place in whole}
        if len(set(finer.values())) > len({cells[place] for place in whole}):
            chosen.append(key)
            cells = [finer.get(place, (*cell, "")) for place, cell in enumerate(cells)]
    return chosen


def text(run: Run, key: str) -> str:
    """The value of an option in words."""
    if key in run.options:
        return shown(run.options[key])
    return ABSENT if run.known else UNKNOWN


def same_in_all(runs: Sequence[Run], keys: Iterable[str]) -> dict[str, str]:
    """Those of the options that have one value only, and that."""
    values = {key: {text(run, key) for run in runs if run.options} for key in keys}
    return {key: next(iter(found)) for key, found in values.items() if len(found) == 1}


def set_in_all(runs: Sequence[Run], without: Iterable[str]) -> dict[str, str]:
    """What somebody set to one value in all runs, for the line above a table."""
    keys = [key for key in _set_by_somebody(runs) if _counts(key) and key not in without]
    known = known_options(runs)
    return {key: value for key, value in same_in_all(runs, keys).items() if key in known}


def _varies(key: str, value: Any, runs: Sequence[Run]) -> bool:
    return any(run.options.get(key, ABSENT) != value for run in runs)


def _set_by_somebody(runs: Iterable[Run]) -> list[str]:
    words: Mapping[str, None] = dict.fromkeys(word for run in runs for word in run.words)
    return list(dict.fromkeys(plain_name(word.partition("=")[0]) for word in words))


def _counts(key: str) -> bool:
    return key != SEED and not any(key == name or key.startswith(f"{name}.") for name in _UNTOLD)


def _present(values: Iterable[str]) -> set[str]:
    return {value for value in values if value not in (ABSENT, UNKNOWN)}


def _is_part(key: str, runs: Sequence[Run]) -> bool:
    """Whether an option names a part: it then explains options of that part."""
    return key == "experiment" or any(f"{key}." in other[: len(key) + 1] for run in runs[:1] for other in run.options)
