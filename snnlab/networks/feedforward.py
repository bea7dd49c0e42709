"""The network without recurrent weights."""

from __future__ import annotations

from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.network import Network
from snnlab.networks.plan import Plan
from snnlab.options import NonNegativeFloat, PositiveInt
from snnlab.registry import register


@register("network")
def feedforward(
    plan: Plan,
    *,
    hidden: list[PositiveInt] = [256],
    noise: NonNegativeFloat = 0.0,
    readout_noise: NonNegativeFloat = 0.0,
) -> Network:
    """Dense layers in a row, of any depth.

    Args:
        hidden: number of units of each hidden layer; [] for none.
        noise: standard deviation of the noise in the hidden layers' currents.
        readout_noise: standard deviation of the noise in what is read out of the hidden layers.
    """
    return in_a_row(plan, hidden, recurrent=False, noise=noise, readout_noise=readout_noise)


def in_a_row(plan: Plan, hidden: list[int], *, recurrent: bool, noise: float, readout_noise: float) -> Network:
    """Hidden layers and an output layer; the output layer has neither recurrent weights nor noise."""
    layers = [LayerPlan(units=units, recurrent=recurrent, noise=noise, readout_noise=readout_noise) for units in hidden]
    return plan.network([*layers, LayerPlan(units=plan.outputs, output=True)])
