"""What is done of a sweep, read from the folders of its runs without what a run needs to be built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from snnlab.errors import BadData
from snnlab.sweeps.jobs import Job
from snnlab.training.comparable import differences, versions
from snnlab.training.stored import stored_result


@dataclass(frozen=True)
class Done:
    """The result of a job.

    Args:
        metrics: on val and test.
        seconds: how long it was trained for.
        stale: the versions of what computed it that are others now, as `torch 2.6.0`; empty where all are the same.
    """

    metrics: dict[str, float]
    seconds: float
    stale: tuple[str, ...]


def done(job: Job) -> Done | None:
    """The result of a job, None where there is none, or none that can be read: it is then for the run to say so."""
    try:
        result = stored_result(Path(job.folder))
    except (OSError, BadData):
        return None
    if result["id"] != job.id:
        return None
    return Done(result["metrics"], result["seconds"], differences(result.get("versions"), versions()))
