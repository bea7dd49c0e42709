"""A study of Optuna in a sweep's folder: any number of processes ask it for trials, and any of them may be killed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages.journal import JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from snnlab.errors import WrongOption
from snnlab.sweeps.objectives import Objectives
from snnlab.sweeps.space import Space
from snnlab.training import attempts, journal

HELD_AT_MOST = 2.0
"""Seconds that a lock is held for: a record is written in some thousandths."""
DRIVERS = ".drivers"
"""Who draws trials: a folder each, with a lease like that of a run."""
DRIVER, ERROR = "driver", "error"
"""What is noted of a trial beside Optuna's own: who has it, and why it failed."""

SAMPLERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "tpe": lambda seed, startup: TPESampler(seed=seed, n_startup_trials=startup),
    "gp": lambda seed, startup: GPSampler(seed=seed, n_startup_trials=startup),
    "nsgaii": lambda seed, startup: NSGAIISampler(seed=seed),
    "random": lambda seed, startup: RandomSampler(seed=seed),
}
"""Each from a seed and the number of trials that are drawn at random first."""


class Study:
    """The trials of a study.

    Args:
        folder: where its journal lies; made where there is none.
        space: what is drawn.
        objectives: what is looked for.
        fixed: the words that all its trials share and that can change their numbers.
        sampler: makes what draws, from a seed.
        seed: of the study; a trial's follows from it and its number. So what a trial draws depends on the trials before
            it, and not on how often the study was started.
    Raises: WrongOption, when the folder holds a study that looks for something else; BadData, for a damaged journal.
    """

    def __init__(
        self,
        folder: Path,
        space: Space,
        objectives: Objectives,
        fixed: Sequence[str],
        sampler: Callable[[int], BaseSampler],
        seed: int,
    ) -> None:
        self.folder, self.space, self._sampler, self._seed = folder, space, sampler, seed
        self.cut = journal.repair(folder / journal.NAME)
        _free(folder)
        storage = journal.storage(folder)
        try:
            self._optuna = optuna.load_study(study_name=journal.STUDY, storage=storage)
        except KeyError:
            self._optuna = optuna.create_study(
                study_name=journal.STUDY,
                storage=storage,
                directions=[*objectives.directions],
                load_if_exists=True,  # by another process, just now
            )
        self._check(objectives, fixed)
        # Asking is one step for all: no two processes draw the last trial.
        self._lock = JournalFileOpenLock(str(folder / "ask"))
        self._driver = secrets.token_hex(4)
        self._presence = ExitStack()

    def _check(self, objectives: Objectives, fixed: Sequence[str]) -> None:
        advice = "Take another sweep_dir."
        for key, now in {"objectives": [*objectives.names], "options": sorted(fixed)}.items():
            then = self._optuna.user_attrs.get(key)
            if then is None:  # it is new, or whoever made it was killed
                self._optuna.set_user_attr(key, now)
            elif then != now:
                raise WrongOption(f"{self.folder}: its study has the {key} {' '.join(then) or '(none)'}. {advice}")
        directions = [direction.name.lower() for direction in self._optuna.directions]
        if directions != [*objectives.directions]:
            raise WrongOption(f"{self.folder}: its study is to {', '.join(directions)}. {advice}")
        for trial in self.trials():
            if unlike := self.space.unlike(trial):
                raise WrongOption(f"{self.folder}: its study is another one: {unlike}. {advice}")

    def trials(self) -> list[FrozenTrial]:
        """All trials, those of other processes too."""
        return self._optuna.get_trials(deepcopy=False)

    def begun(self) -> int:
        """How many trials were drawn; those that the user enqueued are yet to be."""
        return sum(trial.state != TrialState.WAITING for trial in self.trials())

    def best(self) -> list[FrozenTrial]:
        """The best trial, or those that no other one is better than in all objectives; none as long as none is done."""
        if not any(trial.state == TrialState.COMPLETE for trial in self.trials()):
            return []
        several = len(self._optuna.directions) > 1
        return self._optuna.best_trials if several else [self._optuna.best_trial]

    def join(self) -> None:
        """Let other processes see that this one draws trials, until `leave`."""
        self._presence.enter_context(attempts.lease(self._presence_of(self._driver), None))

    def leave(self) -> None:
        """This process draws no more."""
        self._presence.close()

    def forsaken(self) -> list[FrozenTrial]:
        """Trials that were not told and whose process draws no more, now this one's; drawn to the end where a kill came
        in between.
        """
        with self._alone():
            lost = [
                trial for trial in self.trials() if trial.state == TrialState.RUNNING and not self._has_driver(trial)
            ]
            return [self._drawn(optuna.Trial(self._seeded(trial.number), trial._trial_id)) for trial in lost]

    def ask(self, most: int) -> FrozenTrial | None:
        """A new trial, None where there are `most`."""
        with self._alone():
            begun = self.begun()
            return None if begun >= most else self._drawn(self._seeded(begun).ask())

    def tell(self, number: int, values: Sequence[float]) -> None:
        """A trial is done."""
        self._optuna.tell(number, [*values], skip_if_finished=True)

    def give_up(self, number: int, error: str | None = None) -> None:
        """A trial was pruned, or, with `error`, failed.

        Samplers know nothing of Optuna's FAIL, and draw from the same region for ever. So a failed trial is told as one
        that was given up before its first epoch, which TPE takes for the worst, with the reason beside.
        """
        trial = self.trials()[number]
        if trial.state.is_finished():
            return
        if error is not None:
            self._optuna._storage.set_trial_user_attr(trial._trial_id, ERROR, error[:500])
        self._optuna.tell(number, state=TrialState.PRUNED, skip_if_finished=True)

    def twin(self, trial: FrozenTrial) -> FrozenTrial | None:
        """A finished trial with the same params."""
        same = (t for t in self.trials() if t.state.is_finished() and t.params == trial.params)
        return next(same, None)

    def _drawn(self, trial: optuna.Trial) -> FrozenTrial:
        for name, distribution in self.space.distributions.items():
            trial._suggest(name, distribution)  # what is drawn already stays
        trial.set_user_attr(DRIVER, self._driver)
        return self.trials()[trial.number]

    def _seeded(self, number: int) -> optuna.Study:
        self._optuna.sampler = self._sampler(int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0]))
        return self._optuna

    def _has_driver(self, trial: FrozenTrial) -> bool:
        driver = str(trial.user_attrs.get(DRIVER, ""))
        return driver.isalnum() and attempts.status_of(self._presence_of(driver)) == "running"

    def _presence_of(self, driver: str) -> Path:
        return self.folder / DRIVERS / driver

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


def _free(folder: Path) -> None:
    """Remove locks that a kill has left, where no process draws trials: Optuna would wait for them for ten seconds."""
    drivers = folder / DRIVERS
    if drivers.is_dir() and any(attempts.status_of(driver) == "running" for driver in drivers.iterdir()):
        return
    for lock in folder.glob("*.lock"):
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime > HELD_AT_MOST:
                lock.unlink()


def shown(trial: FrozenTrial) -> str:
    """A trial's params as words."""
    return " ".join(f"{name}={value}" for name, value in trial.params.items())
