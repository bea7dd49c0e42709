"""What may differ between two runs of the same experiment: options without effect, and versions of the libraries."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import snnlab

WITHOUT_EFFECT = (
    "experiment",
    "logger",
    "callback.gradient_norms",
    "callback.pruning",
    "plots",
    "output_dir",
    "checkpoint_minutes",
    "workers",
    "dataset.folder",
    "trainer.accelerator",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.strategy",
    "trainer.enable_progress_bar",
    "trainer.enable_model_summary",
    "trainer.log_every_n_steps",
    "trainer.profiler",
)
"""Options that do not enter a run's identity, and may be others when it goes on."""

_PACKAGES = {"torch": "torch", "lightning": "pytorch-lightning", "numpy": "numpy"}


def versions() -> dict[str, str]:
    """The versions of what computes, by the names of result.json; a library that no package brought is left out.

    Read without importing the libraries. They may call themselves otherwise than their packages do, as torch in
    NVIDIA's containers: whoever compares versions takes both from here.
    """
    return dict(_installed())


def differences(then: object, now: Mapping[str, str]) -> tuple[str, ...]:
    """The libraries that had another version, as `torch 2.12.0`; () where all had the same.

    Args:
        then: the versions that a run wrote down; it may be a stranger's, and anything.
        now: those to compare them with.
    """
    known = then if isinstance(then, Mapping) else {}
    return tuple(f"{name} {known.get(name)}" for name, here in now.items() if known.get(name) != here)


@cache
def _installed() -> Mapping[str, str]:
    found = {"snnlab": snnlab.__version__, "python": platform.python_version()}
    for name, package in _PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            continue
    return found
