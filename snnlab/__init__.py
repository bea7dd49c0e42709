"""snnlab: a plugin-based research framework for spiking and continuous-time recurrent networks."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("snnlab-lightning")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
