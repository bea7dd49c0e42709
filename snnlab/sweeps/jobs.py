"""A job of a sweep as plain data, which any process on any machine can perform, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from snnlab.errors import Busy, Interrupted, Pruned, SnnlabError

Status = Literal["completed", "failed", "interrupted", "pruned", "killed", "busy"]


@dataclass(frozen=True)
class Job:
    """A run to be trained. It can be pickled.

    Args:
        name: what it changes, as `neuron=lif,seed=0`.
        words: all that it was started with, in Hydra's words.
        folder: where it writes.
        id: the run's identity.
        config: its complete configuration, with `output_dir`.
        redo_stale: whether it begins anew where other versions of the libraries have done it.
    """

    name: str
    words: tuple[str, ...]
    folder: str
    id: str
    config: Mapping[str, Any] = field(repr=False)
    redo_stale: bool = False


@dataclass(frozen=True)
class Ended:
    """What became of a job.

    Args:
        job: the job.
        status: `busy`, when another process trains it just now; `killed`, when its process is gone without a word.
        error: why it did not end well, in a sentence.
        metrics: of a completed one, on val and test.
        seconds: how long it was trained for, by all attempts together.
    """

    job: Job
    status: Status
    error: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def log(self) -> Path:
        """Where the whole story is."""
        return Path(self.job.folder) / "log.txt"


def perform(job: Job) -> Ended:
    """Train, in this process, and tell what came out; all that is said goes to the log of the run's folder.

    Raises: Interrupted, when a signal stopped it, after its checkpoint; nothing else.
    """
    from snnlab.composition.job import run_job
    from snnlab.training.surroundings import surroundings_kept

    try:
        with surroundings_kept(), redirect_stdout(StringIO()):
            result = run_job(dict(job.config), job.words, redo_stale=job.redo_stale)
    except Busy as error:
        return Ended(job, "busy", str(error))
    except Pruned as error:
        return Ended(job, "pruned", str(error))
    except SnnlabError as error:
        return Ended(job, "failed", str(error))
    except Exception as error:  # in a part, perhaps of a plugin: the log has the place
        return Ended(job, "failed", f"{type(error).__name__}: {error}")
    # Of several processes that srun started, all but the first are told nothing where there was nothing to train.
    return Ended(job, "completed", metrics=result.get("metrics", {}), seconds=result.get("seconds", 0.0))


def outlived(job: Job) -> Ended:
    """As `perform`, in a process that has more to do: a signal or `sys.exit()` in a part ends the job, and no more."""
    try:
        return perform(job)
    except (Interrupted, KeyboardInterrupt) as interrupted:
        return Ended(job, "interrupted", str(interrupted))
    except BaseException as error:
        return Ended(job, "failed", f"{type(error).__name__}: {error}")
