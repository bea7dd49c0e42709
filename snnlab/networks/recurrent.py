"""The network whose hidden layers have recurrent weights."""

from __future__ import annotations

from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.of_layers import of_layers
from snnlab.options import NonNegativeFloat, PositiveInt
from snnlab.registry import register


@register("network")
@of_layers
def recurrent(
    *,
    hidden: list[PositiveInt] = [256],
    noise: NonNegativeFloat = 0.0,
    readout_noise: NonNegativeFloat = 0.0,
) -> list[LayerPlan]:
    """Dense layers in a row, each hidden one with weights back to itself (`recurrent_synapse`).

    Args:
        hidden: number of units of each hidden layer.
        noise: standard deviation of the noise in the hidden layers' currents, which goes on through the recurrence.
        readout_noise: standard deviation of the noise in what is read out of the hidden layers, which does not.
    """
    return [LayerPlan(units=units, recurrent=True, noise=noise, readout_noise=readout_noise) for units in hidden]
