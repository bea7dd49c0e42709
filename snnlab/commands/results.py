"""Show what came out of many runs in one table: mean, sd and n over seeds, and what failed.

  snnlab results sweeps/tau                        a sweep, while it runs or when it is over; or several folders
  snnlab results DIR --by neuron,neuron.surrogate  groups by these options; by default by all that differ but seed
  snnlab results DIR --metric test/loss --where neuron=lif,cuba optimizer.lr=0.01
  snnlab results DIR --runs                        every job alone: options, numbers, seconds, status, folder
  snnlab results DIR --json | --csv | --latex      the same for programs and papers; with --runs all metrics
  snnlab results DIR --plot tau.pdf                a picture: png, pdf or svg
  snnlab results DIR --curve val/loss --plot c.png learning curves, mean and sd over seeds
  snnlab results DIR --watch                       again and again, until nothing runs or waits to be trained

Options are named as for snnlab train. The best group is told by val; test never chooses. A job is completed, running,
waiting, interrupted (stopped; the same command goes on), pruned, failed, killed (its process is gone without a word) or
damaged; `stale` are completed ones of other versions of the libraries.

--json prints a list of objects, one a group: options (a dict of the group's options by their names with dots), metric,
n, mean, sd, val (the number that chooses), val_mean, best, failed (and killed, damaged), running, waiting, interrupted,
pruned, seconds (of a job, on average). What is absent or NaN is null. With --runs, one a job: options, status, stale,
metrics, seconds, epochs, best_epoch, error, id, folder. With --curve, one a group: options, curve, epochs, mean, sd, n.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest

if TYPE_CHECKING:
    from snnlab.sweeps.results.curves import Curve
    from snnlab.sweeps.results.runs import Reader, Run
    from snnlab.sweeps.results.selection import Selection

WIDTH = 100
"""Characters of a line where nobody says how wide the terminal is."""
EVERY = 3.0
"""Seconds between two looks of --watch."""

# What a terminal is told: to show another screen, to empty it, to go back to where it was.
_ALTERNATE, _CLEARED, _MAIN = "\x1b[?1049h", "\x1b[H\x1b[2J", "\x1b[?1049l"


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    arguments = parsed(argv)
    if arguments.plot and Path(arguments.plot).suffix not in (".png", ".pdf", ".svg"):
        raise WrongOption(f"--plot {arguments.plot}: no such kind of picture. It takes a name in .png, .pdf or .svg.")

    from snnlab.sweeps.queue import MISSED
    from snnlab.sweeps.results.runs import Reader

    reader = Reader(MISSED if arguments.watch else 0.0)
    if arguments.watch:
        _watch(arguments, reader)
    print(_output(arguments, reader))
    return 0


def parsed(argv: Sequence[str]) -> Namespace:
    """What the words mean.

    Raises: WrongOption, for a flag that there is not, with the nearest.
    """
    parser = _Parser(
        "snnlab results", description=__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folders", nargs="*", metavar="DIR", help="folders of sweeps or of runs")
    parser.add_argument("--by", metavar="OPTIONS", help="options that make a group, with commas between them")
    parser.add_argument("--metric", metavar="NAME", help="the number to show; test/<first metric> by default")
    parser.add_argument("--mode", choices=("max", "min"), help="whether more or less is better; told by its name")
    parser.add_argument(
        "--where", nargs="+", action="extend", default=[], metavar="OPTION=VALUE", help="only these jobs"
    )
    parser.add_argument("--runs", action="store_true", help="every job alone")
    parser.add_argument("--curve", metavar="NAME", help="learning curves of a column of metrics.csv, as val/loss")
    parser.add_argument("--plot", metavar="FILE", help="draw a picture: .png, .pdf or .svg")
    parser.add_argument("--watch", action="store_true", help="until nothing runs or waits")
    kinds = parser.add_mutually_exclusive_group()
    for kind in ("json", "csv", "latex"):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=f"print {kind.upper()}")
    arguments, unknown = parser.parse_known_intermixed_args(list(argv))
    if unknown:
        flags = [flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")]
        raise WrongOption(f"results {unknown[0]}: there is no such flag.{nearest(unknown[0].partition('=')[0], flags)}")
    # `--where neuron=lif DIR`: what is no option is a folder.
    arguments.folders += [word for word in arguments.where if "=" not in word]
    arguments.where = [word for word in arguments.where if "=" in word]
    if not arguments.folders:
        raise WrongOption("results: no folder. It takes folders of sweeps or of runs, as in: snnlab results sweeps")
    if arguments.curve and arguments.runs:
        raise WrongOption("results --runs: --curve shows groups. Leave one of them out.")
    if arguments.kind == "latex" and (arguments.runs or arguments.curve):
        raise WrongOption("results --latex: it is for groups. With --runs or --curve use --csv or --json.")
    return arguments


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongOption(f"results: {message}.")


def _watch(arguments: Namespace, reader: Reader) -> None:
    """Show the table until nothing runs or waits; where no terminal is, say how far it is, on standard error."""
    from snnlab.sweeps.results.page import summary

    looks, folders = _Looks(), [*map(Path, arguments.folders)]
    if sys.stdout.isatty() and not arguments.kind:
        print(_ALTERNATE, end="")
        try:
            while looks.go_on(runs := reader.read(folders)):
                page = _output(arguments, reader, drawn=False) if runs else "no job yet"
                lines = page.splitlines()[: shutil.get_terminal_size().lines - 3]
                clock = f"{datetime.now():%H:%M:%S}  Ctrl-C ends this"
                print(_CLEARED + "\n".join([*lines, "", clock]), flush=True)
                time.sleep(EVERY)
        finally:
            print(_MAIN, end="", flush=True)
    else:
        said = ""
        while looks.go_on(runs := reader.read(folders)):
            if said != (said := summary(runs)):
                print(f"{datetime.now():%H:%M:%S}  {said}", file=sys.stderr, flush=True)
            time.sleep(EVERY)
    if left := sum(run.status == "waiting" for run in runs):
        print(f"{left} wait, and nobody trains them: nothing has happened for a while.", file=sys.stderr)


class _Looks:
    """Whether it is worth looking again."""

    def __init__(self) -> None:
        self._statuses: list[tuple[Path, str]] = []
        self._since = 0.0

    def go_on(self, runs: Sequence[Run]) -> bool:
        """Whether something runs, is in a queue, or has yet to be planned; or waits, and may still be begun."""
        from snnlab.training.attempts import EXPIRES_AFTER

        now = time.monotonic()
        statuses = [(run.folder, run.status) for run in runs]
        if statuses != self._statuses:
            self._statuses, self._since = statuses, now
        if not runs or any(run.status == "running" or run.queued for run in runs):
            self._since = now
            return True
        return any(run.status == "waiting" for run in runs) and now - self._since < EXPIRES_AFTER


def _output(arguments: Namespace, reader: Reader, *, drawn: bool = True) -> str:
    """What is printed, once."""
    from snnlab.sweeps.results import curves, formats, page

    selection = _selected(arguments, reader)
    found = curves.curves(selection.groups, arguments.curve) if arguments.curve else []
    if arguments.plot and drawn:
        _draw(arguments, selection, found)
    if arguments.kind == "latex":
        return formats.as_latex(selection)
    if arguments.kind:
        as_text = formats.as_json if arguments.kind == "json" else formats.as_csv
        if arguments.curve and arguments.kind == "csv":
            return as_text(curves.curve_rows(found, arguments.curve, selection.keys))
        if arguments.curve:
            return as_text(curves.curve_records(found, arguments.curve))
        return as_text(formats.run_records(selection) if arguments.runs else formats.group_records(selection))
    if arguments.curve:
        return curves.curve_page(selection, found, arguments.curve, width())
    return (page.runs_page if arguments.runs else page.groups_page)(selection, width())


def width() -> int:
    """Characters of a line of the terminal."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH


def _selected(arguments: Namespace, reader: Reader) -> Selection:
    """The runs and groups that are asked for.

    Raises: WrongOption, BadData.
    """
    from snnlab.sweeps.results.selection import selected

    found = reader.read(map(Path, arguments.folders))
    if not found:
        raise BadData(f"{', '.join(arguments.folders)}: no run lies there. `snnlab train -m` makes sweeps, in sweeps/.")
    by, metric, mode = arguments.by, arguments.metric, arguments.mode
    return selected(found, where=arguments.where, by=by, metric=metric, mode=mode)


def _draw(arguments: Namespace, selection: Selection, found: Sequence[Curve]) -> None:
    """Draw what was asked for, with matplotlib, which is imported for nothing else here."""
    from snnlab.sweeps.results import pictures
    from snnlab.sweeps.results.curve_plot import curves_figure
    from snnlab.sweeps.results.plot import groups_figure

    figure = curves_figure(selection, found, arguments.curve) if arguments.curve else groups_figure(selection)
    pictures.write(figure, Path(arguments.plot))
    print(f"plot: {arguments.plot}", file=sys.stderr)
