"""The pictures of a run in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from snnlab.data.base import Data
from snnlab.training import plots
from snnlab.training.figures import NAMES, Figures
from snnlab.training.module import Training

FOLDER = "plots"


def draw(
    folder: Path, module: Training, data: Data, confusion: np.ndarray | None, monitor: str, mode: Any
) -> list[Path]:
    """Draw what there is to show into the run's plots/, and tell the files."""
    figures = Figures(module, data, module.rows, confusion, monitor, mode)
    made = [folder / FOLDER / f"{name}.png" for name in NAMES if not figures.missing(name)]
    for path in made:
        plots.save(figures.figure(path.stem), path)
    return made
