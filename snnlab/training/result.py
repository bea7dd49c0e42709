"""What result.json says of a run that is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from snnlab.training import identity
from snnlab.training.best_and_last import BestAndLast
from snnlab.training.module import Training


def result_of(
    module: Training,
    saved: BestAndLast,
    metrics: Mapping[str, float],
    folder: Path,
    overrides: Sequence[str],
    device: str,
) -> dict[str, Any]:
    """The result of a run, as plain data.

    Args:
        module: what was trained, with its facts.
        saved: which epoch was chosen.
        metrics: those of that epoch on val and test.
        folder: the run's folder.
        overrides: what the user changed.
        device: on what the first process computed.
    """
    facts = module.facts
    return {
        "status": "completed",
        "id": facts["id"],
        "metrics": dict(metrics),
        "best_checkpoint": str(saved.chosen.relative_to(folder)),
        "best_epoch": saved.epoch,
        "seconds": round(module.so_far.seconds, 3),
        "epochs": len(module.rows),
        "seed": module.seed,
        "versions": facts["versions"],
        "git": identity.git(),
        "device": device,
        "overrides": list(overrides),
        "monitor": saved.monitor,
        "mode": saved.mode,
        "plugins": [{key: part[key] for key in ("family", "name", "sha256")} for part in facts["plugins"]],
        "config": facts["config"],
    }
