"""One job: composed whatever else Hydra does in this process, and run here or, with several processes, apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

from snnlab.errors import FailedRun, Interrupted, Pruned, WrongOption
from snnlab.training.processes import place, without_ranks
from snnlab.training.signals import HEARD


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
    if place().launcher:  # srun or torchrun started several processes, and this is one of them
        return _among(config, words, longer, redo_stale)
    run = _apart if _is_several(config["trainer"]) else _here
    return run(config, words, longer, redo_stale)


def _here(config: Mapping[str, Any], words: Sequence[str], longer: bool, redo_stale: bool) -> dict[str, Any]:
    from snnlab.training.run import train

    return train(config, words, longer=longer, redo_stale=redo_stale)


def _among(config: Mapping[str, Any], words: Sequence[str], longer: bool, redo_stale: bool) -> dict[str, Any]:
    """One of the processes of a run: the first does the job, the others what the first one trains."""
    from snnlab.training.ranks import leading
    from snnlab.training.run import follow
    from snnlab.training.stored import stored_result

    if place().rank:
        return follow() or stored_result(Path(config["output_dir"]))  # the first one had nothing to train
    with leading():
        return _here(config, words, longer, redo_stale)


def _apart(config: Mapping[str, Any], words: Sequence[str], longer: bool, redo_stale: bool) -> dict[str, Any]:
    """A job of several processes is a run of its own, that nothing of this process reaches, and the other way round."""
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
    command = [sys.executable, "-m", "snnlab", "train", "--resolved", str(folder / CONFIG)]
    with (folder / "log.txt").open("ab") as log:
        before = log.tell()
        code = _obedient(command + (["--redo-stale"] if redo_stale else []), log)
    if code:
        attempt = refuse_if_live(folder)  # another process was faster
        if attempt is not None and attempt.status == "pruned":
            raise Pruned(attempt.error)
        raise _ended(code, folder / "log.txt", before)
    return stored_result(folder)


def _obedient(command: Sequence[str], errors: IO[bytes]) -> int:
    """The exit code of a command, whose output this process says. A signal to this process is passed on.

    The command may save what it has. It runs in a session of its own: Ctrl-C on a terminal would reach it a second
    time, and end it at once. It ends with this process, however that ends.
    """
    with subprocess.Popen(
        command,
        env=without_ranks(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            while True:
                try:
                    for line in process.stdout or ():
                        print(line, end="", flush=True)
                    return process.wait()
                except Interrupted as interrupted:
                    process.send_signal(interrupted.number)
                except KeyboardInterrupt:  # in a notebook
                    process.send_signal(signal.SIGINT)
        except BaseException:
            process.terminate()  # and `with` waits for it
            raise


def _ended(code: int, log: Path, before: int) -> BaseException:
    """What is to be raised for a command that ended with an exit code, from what it added to the log."""
    number = -code if code < 0 else code - 128
    if number in HEARD:
        return Interrupted(number)
    with log.open("rb") as stream:
        stream.seek(before)
        lines = stream.read().decode("utf-8", "replace").splitlines()
    said = [line.removeprefix("snnlab: ") for line in lines if line.startswith("snnlab: ")]
    if said:  # its own sentence
        return WrongOption(said[-1]) if code == WrongOption.exit_code else FailedRun(said[-1])
    how = f"it was ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
    end = [line.strip() for line in lines if line.strip()][-3:]
    return FailedRun(f"{how}. {log} ends: {' / '.join(end)}")


def _is_several(trainer: Mapping[str, Any]) -> bool:
    one = trainer.get("devices", "auto") in (1, "1", [0]) and trainer.get("num_nodes", 1) == 1
    return not one or trainer.get("strategy", "auto") not in ("auto", "single_device")
