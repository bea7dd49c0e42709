"""Launchers: where the jobs of a sweep are trained. Chosen by hydra/launcher=NAME, set by launcher.OPTION=VALUE."""

from __future__ import annotations

import importlib
import pkgutil

from snnlab.sweeps.launchers.base import Launcher

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Launcher"]
