"""Sweepers: which jobs a sweep has. Chosen by hydra/sweeper=NAME, set by sweeper.OPTION=VALUE."""

from __future__ import annotations

import importlib
import pkgutil

from snnlab.sweeps.sweepers.base import Sweeper

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Sweeper"]
