"""The same table for programs and for papers: JSON, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from snnlab.sweeps.results import versions
from snnlab.sweeps.results.axes import SEED, same_in_all, text
from snnlab.sweeps.results.epochs import so_far
from snnlab.sweeps.results.groups import Group
from snnlab.sweeps.results.page import in_rows
from snnlab.sweeps.results.runs import COMPLETED, Run
from snnlab.sweeps.results.selection import Selection
from snnlab.sweeps.results.values import as_number, number, printable, shown

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "…": r"\dots{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def group_records(selection: Selection) -> list[dict[str, Any]]:
    """Groups as plain data; what is absent or NaN is None."""
    return [_group(group, selection) for group in selection.groups]


def run_records(selection: Selection) -> list[dict[str, Any]]:
    """Jobs as plain data, with all their metrics."""
    return [_run(run, selection.keys) for run in in_rows(selection.runs, selection.keys)]


def as_json(records: Sequence[Mapping[str, Any]]) -> str:
    """A list of objects."""
    return json.dumps(records, indent=2, allow_nan=False)


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """A row a record: its options, then what else it has; metrics under their own names."""
    rows = [_row(record) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    text = io.StringIO()
    table = csv.DictWriter(text, list(names), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().rstrip("\n")


def as_latex(selection: Selection) -> str:
    """A table of booktabs: options, mean and standard deviation, number of runs; the best group in bold."""
    constant = same_in_all(selection.runs, selection.keys)
    keys = [key for key in selection.keys if key not in constant] or list(selection.keys)[:1]
    stage, _, name = selection.what.metric.partition("/")
    head = [*map(latex, keys), latex(f"{stage} {name}".strip()), "$n$"]
    rows = []
    for group in selection.groups:
        options = [latex(text(group.runs[0], key)) for key in keys]
        rows.append([*options, _mean_and_sd(group), str(group.n)])
    lines = [
        r"% \usepackage{booktabs}",
        *(f"% the same in all: {latex(key)}={latex(value)}" for key, value in constant.items() if key not in keys),
        f"% mean and standard deviation of the sample; bold: best by the mean of {selection.what.val}",
        rf"\begin{{tabular}}{{{'l' * len(keys)}rr}}",
        r"\toprule",
        f"{' & '.join(head)} \\\\",
        r"\midrule",
        *(f"{' & '.join(row)} \\\\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)


def latex(value: str) -> str:
    """A text as LaTeX prints it."""
    return "".join(_LATEX.get(letter, letter) for letter in printable(value))


def _mean_and_sd(group: Group) -> str:
    if group.mean is None:
        return "--"
    both = _power(number(group.mean)) + ("" if group.sd is None else rf" \pm {_power(number(group.sd))}")
    return rf"$\mathbf{{{both}}}$" if group.best else f"${both}$"


def _power(text: str) -> str:
    digits, e, power = text.partition("e")
    return rf"{digits} \cdot 10^{{{int(power)}}}" if e else digits


def _group(group: Group, selection: Selection) -> dict[str, Any]:
    return {
        "options": {printable(key): _plain(value) for key, value in group.options.items()},
        "metric": selection.what.metric,
        "n": group.n,
        "mean": group.mean,
        "sd": group.sd,
        "val": selection.what.val,
        "val_mean": group.val_mean,
        "best": group.best,
        "failed": group.failed,
        "running": group.running,
        "waiting": group.waiting,
        "interrupted": group.interrupted,
        "pruned": group.pruned,
        "seconds": group.seconds,
    }


def _run(run: Run, keys: Iterable[str]) -> dict[str, Any]:
    facts = run.facts
    epochs = facts.get("epochs") if run.status == COMPLETED else so_far(run)[0]
    return {
        "options": {printable(key): _plain(run.options.get(key)) for key in (*keys, SEED)},
        "status": run.status,
        "stale": bool(versions.differences(run)),
        "metrics": {printable(name): as_number(value) for name, value in run.metrics.items()},
        "seconds": as_number(run.seconds),
        "epochs": epochs,
        "best_epoch": as_number(facts.get("best_epoch")),
        "error": printable(run.error) or None,
        "id": printable(run.id) or None,
        "folder": printable(str(run.folder)),
    }


def _plain(value: Any) -> Any:
    """A value of a configuration; JSON has neither NaN nor infinity."""
    if isinstance(value, float):
        return as_number(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            # The option `metric` has a name that a record has as well.
            names = {name: f"{key}.{name}" if name in record else name for name in value}
            row |= {names[name]: shown(item) if key == "options" else item for name, item in value.items()}
        else:
            row[key] = shown(value) if isinstance(value, bool) else value
    return row
