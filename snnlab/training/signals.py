"""Signals while a run trains: noted at once, obeyed where a checkpoint is exact."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from snnlab.errors import Interrupted

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
"""What asks a run to save and to end. Clusters send the last two some time before they end a job."""


class Signals:
    """While the block lasts and after `listen`, a signal is noted in `received`; a second Ctrl-C ends at once.

    Lightning sets a handler of its own when it starts: under it SIGTERM saves nothing and ends with exit code 0. So the
    handlers are set when training starts, after Lightning's, and what was there before the block is put back.
    """

    def __init__(self) -> None:
        self.received = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        if threading.current_thread() is threading.main_thread():  # Python takes handlers nowhere else
            self._before = {number: signal.getsignal(number) for number in HEARD}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Set the handlers. A signal that is ignored, as Ctrl-C is for a command in the background, stays so."""
        for number, handler in self._before.items():
            if handler != signal.SIG_IGN:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.received == number:
            raise Interrupted(number)
        self.received = number
