"""One job: composed whatever else Hydra does in this process, and run here or, with several processes, apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from snnlab.errors import FailedRun, Interrupted

RANK_VARIABLES = (
    "LOCAL_RANK",
    "NODE_RANK",
    "RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)


@contextmanager
def hydra_aside() -> Iterator[None]:
    """While it lasts, Hydra is as in a new process: a notebook may have its own configurations open in it."""
    store, outer = ConfigStore.instance(), GlobalHydra.instance().hydra
    repo = store.repo
    store.repo = {key: node for key, node in repo.items() if key == "hydra" or key.startswith("_")}
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        store.repo = repo
        GlobalHydra.instance().hydra = outer


def run_job(
    config: dict[str, Any], words: Sequence[str], *, longer: bool = False, redo_stale: bool = False
) -> dict[str, Any]:
    """Run a job that is not this process's only one, on one device unless it asks for more.

    Args:
        config: a complete configuration with an `output_dir`.
        words: what the user changed, for the record.
        longer: whether its folder may hold a shorter run of the same options; it goes on.
        redo_stale: whether a run that other versions of the libraries have done begins anew.
    Returns: what result.json holds.
    """
    trainer = config["trainer"]
    if "devices" not in trainer and "strategy" not in trainer:
        config = config | {"trainer": trainer | {"devices": 1}}
    run = _apart if _is_several(config["trainer"]) else _here
    return run(config, words, longer, redo_stale)


def _here(config: Mapping[str, Any], words: Sequence[str], longer: bool, redo_stale: bool) -> dict[str, Any]:
    from snnlab.training.run import train

    return train(config, words, longer=longer, redo_stale=redo_stale)


def _apart(config: Mapping[str, Any], words: Sequence[str], longer: bool, redo_stale: bool) -> dict[str, Any]:
    """A job of several processes is a run of its own: Lightning starts its ranks by repeating the command line."""
    from snnlab.training.attempts import refuse_if_live
    from snnlab.training.folder import CONFIG, write_beginning
    from snnlab.training.resume import checkpoint_to_go_on_from, identity_in
    from snnlab.training.run import finished
    from snnlab.training.stored import stored_result

    folder = Path(config["output_dir"])
    refuse_if_live(folder)
    if not redo_stale and (done := finished(folder, identity_in(folder, config), longer=longer)) is not None:
        return done
    checkpoint_to_go_on_from(folder, config, longer=longer)  # before anything of another run is overwritten
    write_beginning(folder, config, words)
    environment = {key: value for key, value in os.environ.items() if key not in RANK_VARIABLES}
    command = [sys.executable, "-m", "snnlab", "train", "--resolved", str(folder / CONFIG)]
    code = _obedient(command + (["--redo-stale"] if redo_stale else []), environment)
    if code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
        raise Interrupted(code - 128)
    if code:
        raise FailedRun(f"it ended with exit code {code}; see {folder / 'log.txt'}.")
    return stored_result(folder)


def _obedient(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit code of a command. A signal to this process is passed on, once, and the command may save what it has.

    It runs in a session of its own: Ctrl-C on a terminal would reach it a second time, and end it at once.
    """
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    while True:
        try:
            return process.wait()
        except Interrupted as interrupted:
            process.send_signal(interrupted.number)
        except KeyboardInterrupt:  # in a notebook
            process.send_signal(signal.SIGINT)


def _is_several(trainer: Mapping[str, Any]) -> bool:
    one = trainer.get("devices", "auto") in (1, "1", [0]) and trainer.get("num_nodes", 1) == 1
    return not one or trainer.get("strategy", "auto") not in ("auto", "single_device")
