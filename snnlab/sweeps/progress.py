"""What a sweep says while it runs: a line for each job that ended, and on a terminal one that tells how far it is."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from snnlab.sweeps.jobs import Ended


class Progress:
    """Counts and tells.

    Args:
        jobs: how many there are in all.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs, self.counts = jobs, Counter[str]()
        self._began, self._running = time.monotonic(), dict[str, str]()
        self._elsewhere = 0
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        # The line is drawn anew by a thread: training in this process does not come by.
        live = Live(console=self._console, get_renderable=self._line, refresh_per_second=2, transient=True)
        self._live = live if self._console.is_terminal else None

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def skip(self, *, stale: bool) -> None:
        """A job was done before, perhaps by other versions of the libraries."""
        self.counts["stale" if stale else "before"] += 1

    def begin(self, folder: str, name: str) -> None:
        """A job was handed to the launcher."""
        self._running[folder] = name

    def end(self, ended: Ended) -> None:
        """A job ended."""
        self._running.pop(ended.job.folder, None)
        if ended.status == "busy":
            return
        self.counts[ended.status] += 1
        self.say(f"{ended.job.name or ended.job.folder}: {_outcome(ended)}")

    def wait(self, jobs: int) -> None:
        """Some jobs are trained by other drivers."""
        self._elsewhere = jobs

    def say(self, text: str) -> None:
        """Print a line, above the live one."""
        self._console.print(Text("".join(c if c.isprintable() else " " for c in text)))

    def _line(self) -> Text:
        counts = self.counts
        here = counts["completed"] + counts["failed"] + counts["killed"] + counts["pruned"]
        said = counts["completed"] + counts["before"] + counts["stale"]
        parts = [f"{said} of {self.jobs} done", f"{len(self._running)} running"]
        parts += [f"{counts[status]} {status}" for status in ("failed", "killed", "pruned") if counts[status]]
        parts += [f"{self._elsewhere} elsewhere"] if self._elsewhere else []
        left = self.jobs - here - counts["before"] - counts["stale"] - self._elsewhere
        if here and left > 0:
            parts.append(f"{_duration((time.monotonic() - self._began) / here * left)} left")
        line = Text(", ".join(parts), no_wrap=True, overflow="ellipsis")
        if len(self._running) == 1:
            line.append(f" - {next(iter(self._running.values()))}")
        return line


def _outcome(ended: Ended) -> str:
    if ended.status != "completed":
        return f"{ended.status}. {ended.error}".strip()
    shown = [f"{key} {value:.4f}" for key, value in ended.metrics.items() if key.count("/") == 1 and "loss" not in key]
    shown = shown or [f"{key} {value:.4f}" for key, value in ended.metrics.items() if key.endswith("/loss")]
    return f"{', '.join(shown)} ({ended.seconds:.1f} s)"


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
