"""What a run changes in its process, put back when it is over: a notebook goes on in the same one."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from io import StringIO
from typing import Any

_LOGGERS = ("snnlab", "pytorch_lightning", "lightning_fabric")
_ONE = threading.RLock()


@contextmanager
def surroundings_kept() -> Iterator[None]:
    """While it lasts, this thread alone runs something of snnlab's; afterwards the process is as it was.

    Put back: warnings, levels of loggers, signal handlers, environment, torch's global generators and its switches for
    exact results. Lightning's `sys.exit` at Ctrl-C, and a run that a Ctrl-C stopped, become KeyboardInterrupt again.
    """
    with _ONE, ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        for kept in (_environment, _signals, _levels, _torch):
            stack.enter_context(kept())
        try:
            yield
        except SystemExit as ended:
            if _by_ctrl_c(ended):
                raise KeyboardInterrupt(str(ended)) from None
            raise


@contextmanager
def silence() -> Iterator[None]:
    """Hold back what is printed, but for warnings, which come at the end."""
    said = StringIO()
    try:
        with redirect_stdout(said):
            yield
    finally:
        for line in said.getvalue().splitlines():
            if line.startswith("Warning: "):
                print(line)


def import_torch() -> None:
    """Import torch so that its threads sleep while they wait, where nobody said otherwise.

    In a busy loop they take the time of others, and a small network trains several times slower. The variable is read
    when torch is loaded, and is of no more use afterwards.
    """
    if "torch" in sys.modules or "OMP_WAIT_POLICY" in os.environ:
        return
    os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        import torch  # noqa: F401
    finally:
        del os.environ["OMP_WAIT_POLICY"]


def _by_ctrl_c(ended: SystemExit) -> bool:
    return getattr(ended, "number", None) == signal.SIGINT or isinstance(ended.__context__, KeyboardInterrupt)


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


@contextmanager
def _signals() -> Iterator[None]:
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # Python takes handlers nowhere else
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None and signal.getsignal(number) != handler:  # None: not set by Python
                signal.signal(number, handler)


@contextmanager
def _levels() -> Iterator[None]:
    before = {name: logging.getLogger(name).level for name in _LOGGERS}
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


@contextmanager
def _torch() -> Iterator[None]:
    import torch

    exact = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn: Any = torch.backends.cudnn
    cuda: Any = torch.cuda
    switches = cudnn.benchmark, cudnn.deterministic
    devices = range(cuda.device_count()) if cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        torch.use_deterministic_algorithms(exact[0], warn_only=exact[1])
        cudnn.benchmark, cudnn.deterministic = switches
