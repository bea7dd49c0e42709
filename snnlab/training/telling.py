"""Loggers are told that a run begins and how it ended, whatever happens in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from snnlab.errors import Interrupted
from snnlab.training.loggers.base import RunLogger


@dataclass
class End:
    """What a run says when it has ended well."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    pictures: Sequence[Path] = ()


@contextmanager
def told(loggers: Iterable[Any], config: Mapping[str, Any], rows: Sequence[Mapping[str, float]]) -> Iterator[End]:
    """Tell `loggers` the beginning, and at the end of the block whether it was completed, interrupted or failed.

    Args:
        loggers: those of this process; Lightning's own have nothing to be told.
        config: the complete configuration.
        rows: those of the epochs before, of a run that goes on.
    """
    ours = [logger for logger in loggers if isinstance(logger, RunLogger)]
    end, status = End(), "failed"
    try:
        for logger in ours:
            logger.begin(config, rows)
        yield end
        status = "completed"
    except (Interrupted, KeyboardInterrupt):
        status = "interrupted"
        raise
    finally:
        completed = status == "completed"
        with ExitStack() as stack:  # each is told, whatever another one raises
            for logger in ours:
                stack.callback(logger.end, status, end.metrics if completed else {}, end.pictures if completed else ())
