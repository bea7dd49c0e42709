"""A study's journal: what Optuna knows of its trials, one file beside the runs, written to by every process of a sweep.

A process that is killed while it writes leaves half a line. Optuna would not read on from there, so such a line is cut:
whoever wrote it was gone before anybody could have acted on it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from snnlab import files
from snnlab.errors import BadData

FOLDER, NAME = "study", "journal.log"
"""Where the journal lies in a sweep's folder."""
STUDY = "sweep"
"""What Optuna calls the one study of a journal."""
_BEGINS = b'{"op_code"'


class Journal(JournalFileBackend):
    """Optuna's journal in a file, which cuts half a line before it writes the next one.

    Its lock is a file that is there or not: a link to the journal, Optuna's default, hangs where the path is relative.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _lock(path))
        self._path = path

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write records."""
        if _torn(self._path):  # mostly by somebody who writes just now: with the lock it is known
            repair(self._path)
        super().append_logs(logs)


def storage(folder: Path) -> JournalStorage:
    """The journal of a study's folder, which is made where there is none.

    Raises: BadData, when it is damaged by more than a kill.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for each trial is the sweep's affair
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    repair(path)
    try:
        return JournalStorage(Journal(path))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise BadData(f"{path}: it is no journal of Optuna ({type(error).__name__}: {error}).{_ADVICE}") from error


def repair(path: Path) -> int:
    """Cut what kills left half written, under Optuna's own lock.

    Returns: how many records were lost.
    Raises: BadData, when a line is damaged in another way: what follows may build on it.
    """
    if not path.is_file() or not _whole(path)[1]:
        return 0
    lock = _lock(path)
    lock.acquire()
    try:
        data, lost = _whole(path)  # again: it may have been a record that was being written
        if lost:
            files.write_bytes(path, data)
    finally:
        lock.release()
    return lost


_ADVICE = " The runs are not harmed. Move it away and start the same command: a run that is done is not trained again."


def _lock(path: Path) -> JournalFileOpenLock:
    """Optuna's lock; that of a process that was killed while it wrote is broken after ten seconds."""
    return JournalFileOpenLock(str(path), grace_period=10)


def _whole(path: Path) -> tuple[bytes, int]:
    """The lines of a journal that are whole, and the number of those that were not."""
    lines = path.read_bytes().split(b"\n")
    *ended, rest = lines
    kept, lost = list[bytes](), int(bool(rest))
    for number, line in enumerate(ended, start=1):
        if _is_record(line):
            kept.append(line)
            continue
        lost += 1
        # Somebody wrote on behind half a record without our care; or it is the last line, on which nothing builds.
        after = next((line[at:] for at in _beginnings(line) if _is_record(line[at:])), None)
        if after is not None:
            kept.append(after)
        elif number < len(ended):
            raise BadData(f"{path}: line {number} is damaged.{_ADVICE}")
    return b"".join(line + b"\n" for line in kept), lost


def _beginnings(line: bytes) -> Iterator[int]:
    """Where in a line a record may begin, behind its own beginning."""
    at = line.find(_BEGINS, 1)
    while at >= 0:
        yield at
        at = line.find(_BEGINS, at + 1)


def _is_record(line: bytes) -> bool:
    try:
        said = json.loads(line)
    except ValueError:
        return False
    return isinstance(said, dict) and "op_code" in said


def _torn(path: Path) -> bool:
    with open(path, "rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
