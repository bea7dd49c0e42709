"""What can go wrong through no fault of the code: told in one sentence, with an exit code."""

from __future__ import annotations

import signal


class SnnlabError(Exception):
    """A failure that a user can act on. The message names the part, what came, what it takes and what to do."""

    exit_code = 1

    def __str__(self) -> str:
        """In one line, and without what a terminal obeys: it may quote a stranger's file."""
        return "".join(c if c.isprintable() else " " if c in "\n\t" else ascii(c)[1:-1] for c in super().__str__())


class WrongOption(SnnlabError, ValueError):
    """An option, a name, a type, a range or a shape is wrong: known before anything runs."""

    exit_code = 2


class BadData(SnnlabError):
    """A file of data or of a run is missing, truncated or not what it says it is."""


class FailedRun(SnnlabError):
    """A run went wrong while it ran: a loss that is not a number, a disk that is full."""


class Busy(SnnlabError):
    """Another process trains this run just now."""


class Pruned(SnnlabError):
    """A run of a study was given up early: it had fallen behind the others."""


class Interrupted(SystemExit):
    """The process was told to end by a signal. Its exit code is 128 + n.

    Not: a KeyboardInterrupt, which Lightning turns into exit code 1, nor an Exception, which a sweep would count as one
        failed job and go on.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(128 + number)
        self.number, self.message = number, message or f"ended by {signal.Signals(number).name}."
        self.answered = False  # whether Slurm was asked to start the job again

    def __str__(self) -> str:
        return self.message
