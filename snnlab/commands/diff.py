"""Show in what two runs differ: options, versions, commit and device, and what came out.

snnlab diff RUN1 RUN2            a run's folder, a checkpoint, `last`, or the beginning of a run's id
snnlab diff RUN1 RUN2 --json     the same for programs

--json prints an object: runs (folder, id, status), options and made_with (name: [first, second]), metrics (name:
[first, second, second - first]), best_epoch, epochs and seconds alike; null where there is no number.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from snnlab.errors import BadData, WrongOption
from snnlab.options import nearest


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = _Parser(
        "snnlab diff", description=__doc__, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="a folder, a checkpoint, `last`, or an id's beginning")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments, unknown = parser.parse_known_intermixed_args(list(argv))
    if unknown:
        raise WrongOption(f"diff {unknown[0]}: there is no such flag.{nearest(unknown[0], ['--json', '--help'])}")
    if len(arguments.runs) != 2:
        raise WrongOption(f"diff: {len(arguments.runs)} runs. It takes two, as in: snnlab diff RUN1 RUN2")

    from snnlab.commands.results import width
    from snnlab.sweeps.results.comparison import compared, comparison_page, comparison_record
    from snnlab.sweeps.results.runs import read_run

    found = compared(*(read_run(_folder(run)) for run in arguments.runs))
    print(json.dumps(comparison_record(found), indent=2) if arguments.json else comparison_page(found, width()))
    return 0


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise WrongOption(f"diff: {message}.")


def _folder(run: str) -> Path:
    """The folder of a run, whatever it is called.

    Raises: BadData, when there is none; WrongOption, when several ids begin so.
    """
    from snnlab.sweeps.results.folders import is_run

    path = Path(run)
    if path.is_file():  # a checkpoint, or another file of the run
        path = next((above for above in path.parents[:2] if is_run({*_names(above)})), path.parent)
    elif not path.is_dir():
        # By other words: torch is imported, since checkpoints may have to be asked for their ids.
        from snnlab.training.stored import find, folder_to_go_on_in

        return find(run).parents[1] if run == "last" else folder_to_go_on_in(run)
    if not is_run({*_names(path)}):
        raise BadData(f"{run}: it is no run's folder. `snnlab results {run}` shows what lies in it.")
    return path


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]
