"""The network without recurrent weights."""

from __future__ import annotations

from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.of_layers import of_layers
from snnlab.options import NonNegativeFloat, PositiveInt
from snnlab.registry import register


@register("network")
@of_layers
def feedforward(
    *,
    hidden: list[PositiveInt] = [256],
    noise: NonNegativeFloat = 0.0,
    readout_noise: NonNegativeFloat = 0.0,
) -> list[LayerPlan]:
    """Dense layers in a row, of any depth.

    Args:
        hidden: number of units of each hidden layer; [] for none.
        noise: standard deviation of the noise in the hidden layers' currents.
        readout_noise: standard deviation of the noise in what is read out of the hidden layers.
    """
    return [LayerPlan(units=units, noise=noise, readout_noise=readout_noise) for units in hidden]
