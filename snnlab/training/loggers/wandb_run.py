"""The logger of Weights & Biases."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

from snnlab import files
from snnlab.training.console import log
from snnlab.training.loggers.base import Guest, reason

NAME = "wandb.json"

# How wandb works where no environment variable says otherwise. In seconds: how long the server may let a run wait, when
# it begins and, for what is still on its way, when it ends; by itself wandb waits for minutes, and without end.
_SETTINGS: dict[str, Any] = {"init_timeout": 20.0, "finish_timeout": 30.0, "console": "off", "silent": True}


class WandbRun(Guest):
    """A run at Weights & Biases, under an id that wandb.json in our run's folder keeps, so that it goes on with ours.

    A kill takes from an offline file the rows that wandb had not yet written to disk. So a run that goes on begins a
    file of its own with all rows so far. To a server it sends those that are missing there: what is there cannot be
    taken back, so of an epoch that a killed process had sent already, its numbers stay.

    Args:
        folder: the run's folder.
        mode: auto, online, offline or disabled.
        options: what the run is called, for `wandb.init`.
    """

    def __init__(self, folder: str | Path, *, mode: str, **options: Any) -> None:
        super().__init__(folder, "wandb")
        self._mode, self._options = mode, options
        self._run: Any = None
        self._step = 0  # the next that wandb takes: its steps only grow
        self._there = -1  # the last epoch that the server has

    def _open(self, rows: Sequence[Mapping[str, float]]) -> None:
        mode = os.environ.get("WANDB_MODE") or self._mode
        if mode == "disabled":
            return
        self._run = self._start_offline() if mode in ("offline", "dryrun") else self._connect()
        self._step = self._run.starting_step
        self._there = int(self._run.summary.get("epoch", -1))  # of a run that goes on, the server's summary
        for row in rows:
            self._write(row)

    def _write(self, row: Mapping[str, float]) -> None:
        epoch = int(row["epoch"])
        if self._run is None or epoch <= self._there:
            return
        step = max(epoch, self._step)  # the step after the last epoch of a run that ended has its pictures
        self._run.log(dict(row), step=step, commit=True)
        self._step = step + 1

    def _close(self, status: str, metrics: Mapping[str, float], pictures: Sequence[Path]) -> None:
        if self._run is None:
            return
        import wandb

        run, self._run = self._run, None
        with ExitStack() as last:
            if wandb.run is None:  # unless a notebook has a run of its own open
                last.callback(wandb.teardown)  # waits for the file, which is still being written after `finish`
            last.callback(run.finish, exit_code=0 if status == "completed" else 1)
            if pictures:
                run.log({f"plots/{picture.stem}": wandb.Image(str(picture)) for picture in pictures})
            run.summary.update(dict(metrics))

    def _connect(self) -> Any:
        """A run online, or offline where that fails, with a line that says why."""
        import wandb

        if wandb.run is None:
            wandb.setup(wandb.Settings(silent=True))  # then nobody is asked for a key
        try:
            run = self._start("online")
            log.info("wandb: %s", run.url)
            return run
        except wandb.errors.UsageError:
            why, level = "there is no key; `wandb login` stores one", logging.INFO
        except Exception as error:
            why, level = reason(error), logging.WARNING
        if wandb.run is None:
            wandb.teardown()  # lets go of the id
        log.log(level, "wandb: %s", why)
        return self._start_offline()

    def _start_offline(self) -> Any:
        run = self._start("offline")
        log.info("wandb: offline. To send it later: wandb sync %s", Path(run.dir).parent)
        return run

    def _start(self, mode: Literal["online", "offline"]) -> Any:
        import wandb  # about a second

        known = wandb.Settings.model_fields  # older versions lack some
        settings = {
            name: value
            for name, value in _SETTINGS.items()
            if name in known and f"WANDB_{name.upper()}" not in os.environ
        }
        return wandb.init(
            id=_run_id(self.folder / NAME),
            resume="allow"
            if mode == "online"
            else None,  # or `wandb sync` would give an offline file's rows later steps
            mode=mode,
            dir=str(self.folder),
            config=self._config,
            allow_val_change=True,  # of what a run that goes on may change
            reinit="create_new",  # never the run of the job before, nor one that a notebook has open
            settings=wandb.Settings(**settings),
            **self._options | {"name": self._options["name"] or "/".join(self.folder.resolve().parts[-2:])},
        )


def _run_id(path: Path) -> str:
    """The id in `path`; a new one, kept there, where there is none or none that could be one."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))["id"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if isinstance(known, str) and re.fullmatch(r"[0-9a-f]{8}", known):
        return known
    made = secrets.token_hex(4)
    files.write_json(path, {"id": made})
    return made
