"""The table as a terminal shows it: what there is, a row a group or a job, and below it what went wrong and where."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snnlab.sweeps.results import versions
from snnlab.sweeps.results.axes import SEED, same_in_all, set_in_all, text
from snnlab.sweeps.results.epochs import so_far
from snnlab.sweeps.results.groups import Group, counts, in_order, value_of
from snnlab.sweeps.results.runs import COMPLETED, FAILED, INTERRUPTED, PRUNED, RUNNING, STATUSES, WAITING, Run
from snnlab.sweeps.results.selection import Selection
from snnlab.sweeps.results.table import Column, elided, laid_out, wrapped
from snnlab.sweeps.results.values import as_number, number, printable, shown

MOST_FAILURES = 10
Latest = Mapping[Path, tuple[int, Mapping[str, float]]]
_NOT_DONE = (RUNNING, WAITING, INTERRUPTED, PRUNED)


def groups_page(selection: Selection, width: int) -> str:
    """A row a group."""
    constant = same_in_all(selection.runs, selection.keys)
    keys = [key for key in selection.keys if key not in constant] or list(selection.keys)[:1]
    groups, what = selection.groups, selection.what
    columns = [Column("", tuple("*" if group.best else "" for group in groups))] if _marked(groups) else []
    columns += [_option(key, [text(group.runs[0], key) for group in groups]) for key in keys]
    columns += [_numbers(what.metric, [number(group.mean) for group in groups])]
    columns += [_numbers("sd", [number(group.sd) for group in groups])]
    columns += [_numbers("n", [str(group.n) for group in groups])]
    if what.val != what.metric:
        columns.append(_numbers(what.val, [number(group.val_mean) for group in groups]))
    if any(group.failed for group in groups):
        columns.append(_numbers("failed", [str(group.failed) for group in groups]))
    if any(group.count(*_NOT_DONE) for group in groups):
        columns.append(Column("not done", tuple(map(_not_done, groups))))
    columns += [_numbers("seconds", [_seconds(group.seconds) for group in groups])]
    table, short = laid_out(columns, width) if groups else ([], {})
    above = [summary(selection.runs), *_in_all(selection, keys, constant, short, width)]
    return "\n".join([*above, "", *table, *_below(selection, width)])


def runs_page(selection: Selection, width: int) -> str:
    """A row a job."""
    runs = in_rows(selection.runs, selection.keys)
    what = selection.what
    constant = same_in_all(runs, [*selection.keys, SEED])
    keys = [key for key in (*selection.keys, SEED) if key not in constant]
    columns = [_option(key, [text(run, key) for run in runs]) for key in keys]
    latest = {run.folder: so_far(run) for run in runs if run.status != COMPLETED}
    for metric in dict.fromkeys((what.metric, what.val)):
        columns.append(_numbers(metric, [_of_job(run, metric, latest) for run in runs]))
    columns += [_numbers("epochs", [_epochs(run, latest) for run in runs])]
    columns += [_numbers("seconds", [_seconds(run.seconds) for run in runs])]
    columns += [Column("status", tuple(versions.status_of(run) for run in runs))]
    above = common_folder(runs)
    folders = [_below_folder(run.folder, above) for run in runs]
    room = max(width - sum(column.width + 2 for column in columns), 14)
    columns += [Column("folder", tuple(_end(folder, room) for folder in folders))]
    table, short = laid_out(columns, width) if runs else ([], {})
    in_all = _in_all(selection, keys, constant, short, width)
    return "\n".join(
        [summary(runs), f"folders in {printable(str(above))}", *in_all, "", *table, *_below(selection, width)]
    )


def in_rows(runs: Iterable[Run], keys: Sequence[str]) -> list[Run]:
    """Runs by the values of options, then by seed."""
    return sorted(runs, key=lambda run: [in_order(run.options.get(key)) for key in (*keys, SEED)])


def summary(runs: Sequence[Run]) -> str:
    """How many jobs there are, of which status, and how long they took."""
    found = counts(runs)
    parts = [f"{found[status]} {status}" for status in STATUSES if found[status]]
    total = sum(as_number(run.seconds) or 0 for run in runs)
    spent = f"; {_seconds(total)} s of training" if total else ""
    return f"{len(runs)} {'job' if len(runs) == 1 else 'jobs'}: {', '.join(parts)}{spent}"


def common_folder(runs: Sequence[Run]) -> Path:
    """The folder that all runs lie in."""
    parents = [str(run.folder.parent) for run in runs]
    return Path(os.path.commonpath(parents)) if len({os.path.isabs(path) for path in parents}) == 1 else Path()


def _marked(groups: Iterable[Group]) -> bool:
    return any(group.best for group in groups)


def _not_done(group: Group) -> str:
    return ", ".join(f"{group.count(status)} {status}" for status in _NOT_DONE if group.count(status))


def _option(key: str, cells: Iterable[str]) -> Column:
    values = tuple(cells)
    return Column(key, values, right=all(_is_number(value) for value in values), elastic=True)


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return value in "-?"
    return True


def _of_job(run: Run, metric: str, latest: Latest) -> str:
    """A number of a job; of one that is not completed that of its latest epoch, in brackets."""
    value = latest[run.folder][1].get(metric) if run.folder in latest else None
    return number(value_of(run, metric)) if value is None else f"({number(value)})"


def _epochs(run: Run, latest: Latest) -> str:
    """How many epochs a job has had; of one that is not completed, of how many at most."""
    if run.folder not in latest:
        return shown(run.facts.get("epochs", "-"))
    most = run.options.get("trainer.max_epochs")
    done = latest[run.folder][0]
    return f"{done}/{shown(most)}" if most is not None and (done or run.status == RUNNING) else str(done or "-")


def _numbers(name: str, cells: Iterable[str]) -> Column:
    return Column(name, tuple(cells), right=True)


def _seconds(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"


def _in_all(
    selection: Selection, keys: Sequence[str], constant: dict[str, str], short: dict[str, str], width: int
) -> list[str]:
    """The lines that say what is the same in all jobs, and what short heads are short for."""
    same = {key: value for key, value in constant.items() if key not in keys}
    same |= set_in_all(selection.runs, [*keys, SEED, *same])
    lines = wrapped(["in all:", *(f"{printable(key)}={elided(value, 40)}" for key, value in same.items())], width, "  ")
    return [*(lines if same else []), *explained(short, width)]


def explained(short: Mapping[str, str], width: int) -> list[str]:
    """What short heads are short for."""
    said = "; ".join(f"{new}: {printable(old)}" for new, old in short.items())
    return wrapped(said.split(" "), width) if said else []


def _end(folder: str, width: int) -> str:
    """The end of a folder's name, which holds the beginning of the run's id."""
    return folder if len(folder) <= width else f"…{folder[len(folder) - width + 1 :]}"


def _below_folder(folder: Path, above: Path) -> str:
    try:
        return printable(str(folder.relative_to(above)))
    except ValueError:
        return printable(str(folder))


def _below(selection: Selection, width: int) -> list[str]:
    """What is told below a table."""
    runs, what, groups = selection.runs, selection.what, selection.groups
    notes = []
    if _marked(groups):
        notes.append(f"* best: {'highest' if what.mode == 'max' else 'lowest'} mean of {what.val}")
    if without := sum(len(group.without) for group in groups):
        notes.append(f"{without} completed without a number for {what.metric} (NaN or absent): not in its mean.")
    copies = sum(len(group.runs) for group in groups) - sum(_different(group) for group in groups)
    if copies:
        notes.append(f"{copies} copies of other runs (same id, in other folders): each counts once.")
    if unknown := [run for run in runs if not run.options]:
        notes.append(f"{len(unknown)} of unknown options, in no group: {', '.join(map(_path, unknown[:3]))}")
    if mixed := selection.mixed:
        notes.append(f"Groups mix jobs that differ in {', '.join(mixed[:8])} as well; --by can tell them apart.")
    notes += versions.notes(runs)
    lines = [line for note in notes for line in wrapped(printable(note).split(" "), width, "  ")]
    return [*([""] if lines else []), *lines, *_failures(runs, width)]


def _different(group: Group) -> int:
    copies = [run for run in group.runs if run.status == COMPLETED]
    return len(group.runs) - len(copies) + group.n + len(group.without)


def _failures(runs: Iterable[Run], width: int) -> list[str]:
    """What failed, each error once."""
    errors: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.status in FAILED:
            error = " ".join(printable(run.error).split()) or "no error was written down"
            errors.setdefault((run.status, error), []).append(run)
    lines = []
    for (status, error), failed in [*errors.items()][:MOST_FAILURES]:
        lines += ["", f"{status}: {_path(failed[0])}"]
        lines += [f"  {line}" for line in wrapped(elided(error, 400).split(" "), width - 2)]
        log = failed[0].folder / "log.txt"
        lines += [f"  {printable(str(log))}"] if log.is_file() else []
        lines += [f"  and {len(failed) - 1} more with the same error"] if len(failed) > 1 else []
    if len(errors) > MOST_FAILURES:
        lines += [
            "",
            f"and {len(errors) - MOST_FAILURES} other errors: --runs --where status=failed,killed,damaged --json",
        ]
    return lines


def _path(run: Run) -> str:
    return printable(str(run.folder))
