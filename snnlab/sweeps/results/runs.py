"""A run as its folder tells of it, whatever state it is in."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from snnlab.errors import BadData
from snnlab.sweeps.results.folders import Planned, look
from snnlab.sweeps.results.queued import Place, Queue
from snnlab.sweeps.results.values import flat, of_words
from snnlab.training.attempts import latest, status_of
from snnlab.training.folder import CONFIG, OVERRIDES, RESULT
from snnlab.training.plain import DEEPEST, LARGEST, Unfit, hold, read_json, read_text, read_yaml

COMPLETED, RUNNING, WAITING, INTERRUPTED, PRUNED = "completed", "running", "waiting", "interrupted", "pruned"
FAILED = ("failed", "killed", "damaged")
"""What ended badly: by an error, without a word, or with files that cannot be read."""
STATUSES = (COMPLETED, RUNNING, WAITING, INTERRUPTED, PRUNED, *FAILED)


@dataclass(frozen=True)
class Run:
    """What is known of a run.

    Args:
        folder: where it lies.
        status: completed, running, waiting, interrupted, pruned, failed, killed or damaged.
        options: by their names with dots; {} where they are not known.
        words: what it was started with.
        metrics: those of its best epoch; {} before the end.
        facts: the rest of its result.json.
        error: why it failed.
        known: whether the options are all that it has, and not only those of its words.
        queued: whether it waits in Slurm's queue, or may do so as far as can be told.
    """

    folder: Path
    status: str
    options: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    known: bool = True
    queued: bool = False

    @property
    def id(self) -> str:
        """Its identity, "" before the end."""
        return str(self.facts.get("id", ""))

    @property
    def seconds(self) -> float | None:
        """How long it took; None before the end."""
        return self.facts.get("seconds")

    @property
    def name(self) -> str:
        """Its folder's name."""
        return self.folder.name


class Reader:
    """Reads runs, and remembers those that are done, for who looks again and again.

    Args:
        certain_after: seconds that a job must be gone from Slurm's queue before it counts as killed.
    """

    def __init__(self, certain_after: float = 0.0) -> None:
        self._queue = Queue(certain_after)
        self._done: dict[Path, tuple[tuple[int, int], Run]] = {}

    def read(self, tops: Iterable[Path]) -> list[Run]:
        """All runs and planned jobs of some folders, each once, in the order of their names.

        Raises: BadData, where there is no such folder.
        """
        found: dict[str, Path] = {}
        planned: dict[str, Planned] = {}
        for top in tops:
            folders, jobs = look(top)
            found |= {os.path.realpath(folder): folder for folder in folders}
            planned |= {os.path.realpath(job.folder): job for job in jobs}
        runs = [self._run(folder, planned.get(real)) for real, folder in found.items()]
        runs = [run for run in runs if run.status != WAITING or run.folder.is_dir()]  # not removed since it was found
        runs += [Run(job.folder, WAITING, *_planned(job)) for real, job in planned.items() if real not in found]
        return sorted(map(_with_words, self._placed(runs)), key=lambda run: str(run.folder))

    def _placed(self, runs: list[Run]) -> list[Run]:
        """Runs as the queue knows them, of those that nobody trains."""
        places = self._queue.places(run.folder for run in runs if run.status in (WAITING, INTERRUPTED, "killed"))
        return [_placed(run, places[run.folder]) if run.folder in places else run for run in runs]

    def _run(self, folder: Path, job: Planned | None) -> Run:
        signature = _signature(folder / RESULT)
        known = self._done.get(folder)
        if signature and known and known[0] == signature:
            return known[1]
        run = read_run(folder, job)
        if signature and run.status == COMPLETED:
            self._done[folder] = signature, run
        return run


def read_run(folder: Path, job: Planned | None = None) -> Run:
    """What the folder of a run says. One that is damaged, or going away, is a run as well.

    Args:
        folder: the run's.
        job: what a plan says of it.
    """
    for _ in range(2):  # a run may end between the two looks
        try:
            return _done(folder, read_json(folder / RESULT))
        except OSError:
            pass
        except BadData as error:
            return Run(folder, "damaged", *_beginning(folder, job), error=str(error).removeprefix(f"{folder}{os.sep}"))
        if (status := status_of(folder)) != COMPLETED:
            break
    return Run(folder, status, *_beginning(folder, job), error=_why(folder, status))


def _placed(run: Run, place: Place) -> Run:
    if run.status != WAITING:  # it was stopped, and goes on by itself where Slurm has put it back
        return replace(run, status=WAITING, error="", queued=True) if place.queued else run
    if place.queued is not False:
        return replace(run, queued=True)
    if status_of(run.folder) != WAITING:  # it began after the first look, and is over
        return read_run(run.folder)
    return replace(run, status="killed", error=place.error)


def _why(folder: Path, status: str) -> str:
    """Why a run failed, or was given up."""
    attempt = latest(folder) if status in (*FAILED, PRUNED) else None
    if status == "killed" and not (attempt and attempt.error):
        return "its process ended without a word: killed, out of memory, or its machine went away"
    return attempt.error if attempt else ""


def _done(folder: Path, result: Any) -> Run:
    """A run from its result.

    Raises: BadData, when it is none.
    """
    metrics = result.get("metrics") if isinstance(result, dict) else None
    if not isinstance(metrics, dict) or not isinstance(result.get("id"), str):
        raise BadData(f"{folder / RESULT}: it is no result of a run.")
    numbers = [*metrics.values(), result.get("seconds"), result.get("epochs")]
    if not all(value is None or isinstance(value, int | float) for value in numbers):
        raise BadData(f"{folder / RESULT}: it is no result of a run.")
    config, words = result.get("config"), result.get("overrides")
    options = dict(flat(config)) if isinstance(config, dict) else _options(folder)
    told = tuple(map(str, words)) if isinstance(words, list) else ()
    facts = {key: value for key, value in result.items() if key not in ("config", "metrics", "overrides")}
    return Run(folder, COMPLETED, options, told, metrics, facts)


def _beginning(folder: Path, job: Planned | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Options and words of a run without a result; a plan is in JSON, which is read ten times as fast as YAML."""
    options, words = ({}, ()) if job is None else _planned(job)
    if options:
        return options, words
    with suppress(OSError, BadData):
        words = tuple(read_text(folder / OVERRIDES).splitlines()) or words
    return _options(folder), words


def _with_words(run: Run) -> Run:
    """A job of which only the words are known has these as options."""
    return run if run.options or not run.words else replace(run, options=of_words(run.words), known=False)


def _options(folder: Path) -> dict[str, Any]:
    try:
        config = quick_yaml(folder / CONFIG)
    except (OSError, BadData):
        return {}
    return dict(flat(config)) if isinstance(config, dict) else {}


def quick_yaml(path: Path) -> Any:
    """As `read_yaml`, by the parser in C where it is there, which takes a fifth of the time.

    That one follows aliases, which multiply, and nests as deep as it is told to until its stack is full: so both are
    looked for before it makes anything.

    Raises: OSError, when there is none; BadData, when it is damaged.
    """
    loader = getattr(yaml, "CSafeLoader", None)
    if loader is None:
        return read_yaml(path)
    text, depth = read_text(path, LARGEST), 0
    try:
        for event in yaml.parse(text, loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST:
                raise Unfit("it has aliases, or is nested too deeply")
        value = yaml.load(text, loader)
        hold(value, 1_000_000 + LARGEST)
    except (Unfit, ValueError, TypeError, OverflowError, RecursionError, yaml.YAMLError) as error:
        raise BadData(f"{path}: it is damaged, or holds more than plain data.") from error
    return value


def _planned(job: Planned) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Options and words of a job, as its plan says."""
    try:
        hold([job.config, *job.words], LARGEST)
    except Unfit:
        return {}, ()
    return dict(flat(job.config)) if isinstance(job.config, dict) else {}, job.words


def _signature(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino
