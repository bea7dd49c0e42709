"""The command `snnlab`. Each file of this folder is a subcommand: its docstring is the help, its `main` runs it.

Nothing heavy is imported before a subcommand needs it: `snnlab --help` answers at once.
"""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from snnlab import __version__
from snnlab.errors import SnnlabError, WrongOption
from snnlab.options import nearest


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and give the exit code.

    0 success, 1 a run that failed, 2 a wrong option, 128 + n when stopped by signal n.

    Args:
        argv: the words after `snnlab`; those of the process by default.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in ("-h", "--help"):
        print(_help())
        return 0
    if name == "--version":
        print(__version__)
        return 0
    try:
        if name not in _subcommands():
            raise WrongOption(f"{name}: there is no such command.{nearest(name, _subcommands())}")
        code: int = importlib.import_module(f"snnlab.commands.{name}").main(rest)
        return code
    except SnnlabError as error:
        print(f"snnlab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("snnlab: interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # `snnlab list | head`
        sys.stderr.close()
        return 128 + signal.SIGPIPE


def _subcommands() -> list[str]:
    return sorted(
        module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if not module.name.startswith("_")
    )


def _help() -> str:
    lines = [
        "snnlab: spiking and continuous-time recurrent networks, composed by name.",
        "",
        "usage: snnlab COMMAND …",
        "",
    ]
    for name in _subcommands():
        summary = (importlib.import_module(f"snnlab.commands.{name}").__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:<10} {summary}")
    return "\n".join(
        [*lines, "", "snnlab COMMAND --help tells more. Exit codes: 0 success, 1 a run failed, 2 a wrong option."]
    )
