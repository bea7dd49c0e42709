"""What can go wrong through no fault of the code: told in one sentence, with an exit code."""

from __future__ import annotations


class SnnlabError(Exception):
    """A failure that a user can act on. The message names the part, what came, what it takes and what to do."""

    exit_code = 1


class WrongOption(SnnlabError, ValueError):
    """An option, a name, a type, a range or a shape is wrong: known before anything runs."""

    exit_code = 2


class BadData(SnnlabError):
    """A file of data or of a run is missing, truncated or not what it says it is."""


class FailedRun(SnnlabError):
    """A run went wrong while it ran: a loss that is not a number, a disk that is full."""
