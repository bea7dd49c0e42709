"""Learning rates over a run, from torch: each a function of the optimizer. What the run knows is filled in."""

from __future__ import annotations

import math
from typing import Annotated, Any

from annotated_types import Gt, Lt
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau, StepLR

from snnlab.errors import WrongOption
from snnlab.options import Fraction, FromRun, NonNegativeFloat, PositiveInt
from snnlab.registry import register

Factor = Annotated[float, Gt(0), Lt(1)]


@register("scheduler")
def constant(optimizer: Optimizer) -> dict[str, Any] | None:
    """The optimizer's learning rate, all the way."""
    return None


@register("scheduler")
def linear(
    optimizer: Optimizer, *, total_steps: FromRun[int], end: Fraction = 0.0, warmup: Fraction = 0.0
) -> dict[str, Any]:
    """Rises over the warm-up, then falls in a straight line to its end with the run.

    Args:
        end: what is left one step after the last, as a part of the optimizer's lr.
        warmup: part of the run that the rise from 0 takes.
    """
    return _by_step(optimizer, total_steps, warmup, lambda progress: 1 - (1 - end) * progress)


@register("scheduler")
def cosine(
    optimizer: Optimizer, *, total_steps: FromRun[int], end: Fraction = 0.0, warmup: Fraction = 0.0
) -> dict[str, Any]:
    """Rises over the warm-up, then falls as half a cosine to its end with the run.

    Args:
        end: what is left one step after the last, as a part of the optimizer's lr.
        warmup: part of the run that the rise from 0 takes.
    Source: Loshchilov & Hutter 2017, without restarts.
    """
    return _by_step(
        optimizer, total_steps, warmup, lambda progress: end + (1 - end) * (1 + math.cos(math.pi * progress)) / 2
    )


@register("scheduler")
def step(optimizer: Optimizer, *, every: PositiveInt = 40, factor: Factor = 0.1) -> dict[str, Any]:
    """Falls by a factor every few epochs.

    Args:
        every: epochs between two falls.
        factor: what is left after a fall; the STBP authors use 0.1 every 40 epochs.
    Source: torch.optim.lr_scheduler.StepLR.
    """
    return {"scheduler": StepLR(optimizer, every, factor), "interval": "epoch"}


@register("scheduler")
def exponential(optimizer: Optimizer, *, factor: Factor = 0.95) -> dict[str, Any]:
    """Falls by a factor every epoch.

    Args:
        factor: what is left after an epoch.
    Source: torch.optim.lr_scheduler.ExponentialLR.
    """
    return {"scheduler": ExponentialLR(optimizer, factor), "interval": "epoch"}


@register("scheduler")
def plateau(
    optimizer: Optimizer,
    *,
    monitor: FromRun[str],
    mode: FromRun[str],
    factor: Factor = 0.1,
    patience: Annotated[int, Gt(0)] = 10,
    threshold: NonNegativeFloat = 1e-4,
) -> dict[str, Any]:
    """Falls by a factor when the run's monitored number has not become better for some epochs.

    Args:
        factor: what is left after a fall.
        patience: epochs without a better number before a fall.
        threshold: smallest relative change that counts as better.
    Source: torch.optim.lr_scheduler.ReduceLROnPlateau.
    """
    scheduler = ReduceLROnPlateau(optimizer, mode, factor, patience, threshold)  # type: ignore[arg-type]
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor}


def _by_step(optimizer: Optimizer, total_steps: int, warmup: float, fall: Any) -> dict[str, Any]:
    if total_steps < 1:
        raise WrongOption(
            f"scheduler: {total_steps} steps. It must know the last one: set trainer.max_epochs or trainer.max_steps."
        )
    rise = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        return float(fall(min(1.0, (step - rise) / max(total_steps - rise, 1))))

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
