"""The command `snnlab`. Each file of this folder is a subcommand: its docstring is the help, its `main` runs it.

Nothing heavy is imported before a subcommand needs it: `snnlab --help` answers at once.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType

from snnlab import __version__
from snnlab.errors import Interrupted, SnnlabError, WrongOption
from snnlab.options import nearest


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and give the exit code.

    0 success, 1 a run that failed, 2 a wrong option, 128 + n when stopped by signal n. With HYDRA_FULL_ERROR=1 an error
    is raised instead, with its traceback.

    Args:
        argv: the words after `snnlab`; those of the process by default.
    """
    words = [*(sys.argv[1:] if argv is None else argv)]  # `list` is a module of this folder, once it was imported
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    # torch's threads wait for each other in a busy loop: on a machine with other work on it a small network then trains
    # seven times slower. Asleep they wait as well. It must be said before torch is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        if name in ("-h", "--help", "--version"):
            print(__version__ if name == "--version" else _help(), flush=True)
            return 0
        if name not in _subcommands():
            raise WrongOption(f"{name}: there is no such command.{nearest(name, _subcommands())}")
        with _ended_by_signals(), _requeued(name):
            code: int = importlib.import_module(f"snnlab.commands.{name}").main(rest)
        return code
    except SnnlabError as error:
        if os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0"):
            raise
        print(f"snnlab: {error}", file=sys.stderr)
        return error.exit_code
    except Interrupted as interrupted:
        if os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one speaks
            print(f"snnlab: {interrupted}", file=sys.stderr)
        return 128 + interrupted.number
    except (MemoryError, RuntimeError) as error:
        # torch raises RuntimeError for it; other errors that speak of memory keep their traceback.
        said = re.search(r"can't allocate|not enough memory|out of memory", str(error))
        if not isinstance(error, MemoryError) and said is None:
            raise
        print(f"snnlab: there is not enough memory ({' '.join(str(error).split())[:200]}).", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `snnlab list | head`
        sys.stderr.close()
        return 128 + signal.SIGPIPE


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """While it lasts, Ctrl-C and SIGTERM raise Interrupted, unless they are ignored, as Ctrl-C is in the background."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = [number for number, handler in before.items() if handler != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():  # where Python takes no handlers
        heard = []
    for number in heard:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


def _requeued(name: str) -> AbstractContextManager[None]:
    """What Slurm stops goes back into its queue, also before it is known what it trains."""
    if name != "train" or "SLURM_JOB_ID" not in os.environ:
        return nullcontext()

    from snnlab.training.processes import is_main_process
    from snnlab.training.requeue import requeued

    return requeued(None, main=is_main_process())


def _stop(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


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
