"""The folder of a run: made, and what it says of how the run was started."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from snnlab import files
from snnlab.errors import WrongOption
from snnlab.training.plain import read_text

RESULT, CONFIG, OVERRIDES = "result.json", "config.yaml", "overrides.txt"


def new_folder(config: Mapping[str, Any]) -> str:
    """Make runs/<experiment>/<date_time>, with a number behind it where two runs start in the same second.

    Raises: WrongOption, when it cannot be made.
    """
    base = Path("runs") / (config["experiment"] or "run") / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
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


def words_of(folder: Path) -> list[str]:
    """What overrides.txt of a run's folder holds: the words that it was started with."""
    path = folder / OVERRIDES
    return read_text(path).splitlines() if path.is_file() else []


def write_beginning(folder: Path, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Write config.yaml and overrides.txt: what runs in the folder, and with what words it was started."""
    files.write_text(folder / CONFIG, yaml.safe_dump(dict(config), sort_keys=False))
    files.write_text(folder / OVERRIDES, "".join(f"{word}\n" for word in overrides))
