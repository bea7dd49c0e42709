"""snnlab: a plugin-based research framework for spiking and continuous-time recurrent networks.

run = snnlab.train("digits_lif", neuron="cuba", seed=1)
run.metrics, run.network, run.plot("raster")
run = snnlab.load("last")
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snnlab.notebook import Run, load, train

__all__ = ["Run", "__version__", "load", "train"]

try:
    __version__ = version("snnlab-lightning")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """What is for notebooks, imported when it is asked for."""
    if name not in ("Run", "load", "train"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("snnlab.notebook"), name)


def __dir__() -> list[str]:
    """What tab completion offers."""
    return sorted({*globals(), *__all__})
