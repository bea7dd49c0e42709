"""Backpropagation through time by automatic differentiation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from snnlab.draws import Draws
from snnlab.networks.network import Network, Record, Result
from snnlab.registry import register


@register("gradient")
def bptt(
    network: Network, x: Tensor, state: Mapping[str, Any] | None = None, record: Record = (), draws: Draws | None = None
) -> Result:
    """Backpropagation through time: autograd over the whole sequence, exact but for the spikes' surrogate derivative.

    Memory grows with T, as every step's state is kept for the way back.
    Source: Werbos 1990.
    """
    result: Result = network(x, state, record, draws)
    return result
