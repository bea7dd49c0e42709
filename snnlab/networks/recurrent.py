"""The network whose hidden layers have recurrent weights."""

from __future__ import annotations

from snnlab.networks.feedforward import in_a_row
from snnlab.networks.network import Network
from snnlab.networks.plan import Plan
from snnlab.options import NonNegativeFloat, PositiveInt
from snnlab.registry import register


@register("network")
def recurrent(
    plan: Plan,
    *,
    hidden: list[PositiveInt] = [256],
    noise: NonNegativeFloat = 0.0,
    readout_noise: NonNegativeFloat = 0.0,
) -> Network:
    """Dense layers in a row, each hidden one with weights back to itself (`recurrent_synapse`).

    Args:
        hidden: number of units of each hidden layer.
        noise: standard deviation of the noise in the hidden layers' currents, which goes on through the recurrence.
        readout_noise: standard deviation of the noise in what is read out of the hidden layers, which does not.
    """
    return in_a_row(plan, hidden, recurrent=True, noise=noise, readout_noise=readout_noise)
