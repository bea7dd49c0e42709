"""What a sweeper is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from snnlab.parts import Declared
from snnlab.sweeps.jobs import Ended, Job

if TYPE_CHECKING:
    from snnlab.composition import Composer
    from snnlab.sweeps.plan import Planner


class Sweeper(Declared):
    """Which jobs a sweep has.

    Its methods are called in this order: `open`, `jobs`, whose iterator is drawn on as launchers have room, and `tell`
    for every job that ended, between two of the iterator's jobs.
    """

    beforehand: ClassVar[bool] = True
    """Whether all jobs are known before one has ended; then all are checked and written down before one starts."""

    def open(self, composer: Composer, planner: Planner, overrides: Sequence[str], sweep: Path) -> None:
        """Take in what is swept.

        Args:
            composer: composes and checks configurations.
            planner: makes the job of its words.
            overrides: what was asked for, in Hydra's words, with sweeps.
            sweep: the sweep's folder.
        Raises: WrongOption, before anything runs.
        """
        raise NotImplementedError

    def jobs(self) -> Iterator[Job]:
        """The jobs."""
        raise NotImplementedError

    def examples(self) -> Iterator[Job]:
        """Jobs to look at before anything runs; a search that has not begun knows only what they may be like."""
        return self.jobs()

    def __len__(self) -> int:
        """How many jobs there are to be, done ones too."""
        raise NotImplementedError

    def tell(self, ended: Ended) -> None:
        """What became of a job."""

    def conclusion(self) -> str:
        """What the sweep has found, for its end; empty where the table says it all."""
        return ""
