"""What runs the loop over time. The reference loop is the definition; every other backend gives the same numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from snnlab.neurons.base import Neuron, Recurrence, Sequence
from snnlab.registry import register


@register("backend")
def reference(
    neuron: Neuron,
    currents: Tensor,
    state: Any,
    constants: dict[str, Tensor],
    record: tuple[str, ...],
    recurrent: Recurrence | None,
) -> Sequence:
    """A plain loop over the steps in torch: the definition of what a neuron does.

    state[t] = step(currents[t] + recurrent(output(state[t-1])), state[t-1]),   outputs[t] = output(state[t])
    """
    output = None if recurrent is None else neuron.output(state)
    outputs: list[Tensor] = []
    records: dict[str, list[Tensor]] = {field: [] for field in record}
    for current in currents.unbind():
        if recurrent is not None and output is not None:
            current = current + recurrent(output)
        state = neuron.step(current, state, **constants)
        output = neuron.output(state)
        outputs.append(output)
        for field, values in records.items():
            values.append(getattr(state, field))
    return Sequence(torch.stack(outputs), state, {field: torch.stack(values) for field, values in records.items()})
