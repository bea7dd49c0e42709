"""The folder of a run: made, and what it says of how the run was started."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from snnlab import files
from snnlab.errors import WrongOption
from snnlab.training.plain import read_text, read_yaml
from snnlab.training.processes import place

RESULT, CONFIG, OVERRIDES = "result.json", "config.yaml", "overrides.txt"


def new_folder(config: Mapping[str, Any]) -> str:
    """Make runs/<experiment>/<date_time>, with a number behind it where two runs start in the same second.

    Under srun and torchrun the folder has the name of the start, as slurm_<job>.<step>: started again, as after a
    requeue, the run goes on there. The second run of one start has a number behind it.

    Raises: WrongOption, when it cannot be made, or the processes of a run would not find the same one.
    """
    runs = Path("runs") / (config["experiment"] or "run")
    here = place()
    if here.start:
        names = (here.start if number == 1 else f"{here.start}_{number}" for number in range(1, 10000))
        return str(next(runs / name for name in names if _may_hold(runs / name, config)))
    if here.launcher and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        raise WrongOption(
            "output_dir: null, and torchrun would start the run again in another folder. "
            "Give output_dir=FOLDER, or torchrun --rdzv-id=NAME."
        )
    if here.rank:  # of a command line only the first process is here
        raise WrongOption(
            f"output_dir: null, and in a script each process of {here.launcher} would take a folder of its own. "
            "Give output_dir=FOLDER, or torchrun --rdzv-id=NAME."
        )
    base = runs / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(1, 10000):
        folder = base if number == 1 else base.with_name(f"{base.name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise WrongOption(
                f"output_dir: {folder} cannot be made ({error.strerror}). Choose another with output_dir=FOLDER."
            ) from error
        return str(folder)
    raise WrongOption(f"output_dir: {base} and its neighbours exist. Choose another with output_dir=FOLDER.")


def _may_hold(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether a folder is free for a run, or that run's own: one start may be of a script that trains several."""
    try:
        said = read_yaml(folder / CONFIG)
    except FileNotFoundError:
        return True
    return isinstance(said, dict) and said | {"output_dir": None} == dict(config) | {"output_dir": None}


def words_of(folder: Path) -> list[str]:
    """What overrides.txt of a run's folder holds: the words that it was started with."""
    path = folder / OVERRIDES
    return read_text(path).splitlines() if path.is_file() else []


def write_beginning(folder: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Write config.yaml and overrides.txt: what runs in the folder, and with what words it was started."""
    files.write_text(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
    files.write_text(folder / OVERRIDES, "".join(f"{word}\n" for word in overrides))
