"""The promises of neurons, as checks over a factory `make(**options) -> Neuron`: functools.partial of the class."""

from __future__ import annotations

from collections.abc import Callable

from snnlab.testing.neurons import constants, copies, effects, precision, sequences, time
from snnlab.testing.neurons.probe import Make, maker

__all__ = ["CHECKS", "Make", "maker"]

CHECKS: tuple[Callable[[Make], None], ...] = (
    *sequences.CHECKS,
    *time.CHECKS,
    *effects.CHECKS,
    *constants.CHECKS,
    *precision.CHECKS,
    *copies.CHECKS,
)
