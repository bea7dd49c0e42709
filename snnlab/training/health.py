"""What looks wrong in a network that trains: layers that are silent or fire at every step, classes that are lost."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from torch import Tensor

log = logging.getLogger("snnlab")

_SILENT = (
    "No gradient may reach it. What usually helps: a larger gain of its weights (synapse.init.gain), "
    "a lower neuron.threshold, or a surrogate with tails (fast_sigmoid, atan)."
)
_ALWAYS = (
    "It carries no information. What usually helps: a smaller gain of its weights (synapse.init.gain) "
    "or a higher neuron.threshold."
)
_LOST = (
    "If it stays so the class is lost: a unit that never comes near its threshold gets no gradient, above all with a "
    "rectangular surrogate. What usually helps: more epochs, another synapse.init.gain, a smaller optimizer.lr, or a "
    "wider surrogate (neuron.surrogate.a=2, atan, fast_sigmoid)."
)


class Health:
    """Looks at the rates of each unit over a whole epoch, and says each thing once.

    Args:
        output: the layer whose units stand for classes, None where its spikes are not read.
        classes: their names.
    """

    def __init__(self, output: str | None, classes: tuple[str, ...]) -> None:
        self.output, self.classes, self.told = output, classes, set[str]()
        self.quiet: set[int] = set()  # the output units that did not fire in the epoch before
        self.lost: set[int] = set()  # those that were told

    def examine(self, rates: Mapping[str, Tensor], epoch: int) -> None:
        """Tell what is wrong with the rates (units,) of each layer, spikes per step.

        An output unit may take an epoch to fire for the first time: its class counts as lost after the second.
        """
        for name, values in rates.items():
            if bool((values == 0).all()):
                self._tell(
                    f"layer {name} was silent over the whole epoch {epoch}: no unit of {len(values)} fired. {_SILENT}",
                    f"{name} silent",
                )
            elif bool((values == 1).all()):
                self._tell(f"layer {name} fired at every step of the whole epoch {epoch}. {_ALWAYS}", f"{name} always")
            elif name == self.output:
                quiet = {int(i) for i in (values == 0).nonzero()}
                self._tell_lost(sorted((quiet & self.quiet) - self.lost))
                self.lost |= quiet & self.quiet
                self.quiet = quiet

    def state_dict(self) -> dict[str, list[Any]]:
        """What a resumed run must know, to say nothing twice."""
        return {name: sorted(getattr(self, name)) for name in ("told", "quiet", "lost")}

    def load_state_dict(self, state: Mapping[str, list[Any]]) -> None:
        """Take up what `state_dict` gave."""
        self.told, self.quiet, self.lost = (set(state[name]) for name in ("told", "quiet", "lost"))

    def _tell_lost(self, units: list[int]) -> None:
        if units:
            classes = ", ".join(self.classes[i] if i < len(self.classes) else str(i) for i in units)
            which = "unit of class" if len(units) == 1 else "units of classes"
            log.warning("the output %s %s never fired in two epochs. %s", which, classes, _LOST)

    def _tell(self, text: str, key: str) -> None:
        if key not in self.told:
            self.told.add(key)
            log.warning(text)
