"""The state of a network over continuing streams, handed from batch to batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from snnlab.data.base import Batch
from snnlab.networks import Network


class Carry:
    """What the layers hold after a batch, for the next batch to go on from; no gradient passes.

    state[b] before a batch = the neuron's own first state where begins[b], else the state of place b after the batch
    before. A network without carried streams never sees it.
    """

    def __init__(self) -> None:
        self._layers: dict[str, dict[str, Tensor]] = {}  # fields (B, *units) of each layer's state

    def reset(self) -> None:
        """Forget everything: an epoch begins."""
        self._layers = {}

    def first(self, network: Network, batch: Batch) -> dict[str, Any] | None:
        """The state that the network begins a batch with; None where each neuron makes its own.

        A learned first state, and a learned constant that a state at rest depends on, get the gradient of the streams
        that begin.
        """
        if batch.begins is None or not self._layers:
            return None
        return {
            name: _mixed(layer.neuron, self._layers[name], batch.begins)
            for name, layer in zip(network.names, network.layers, strict=True)
        }

    def keep(self, state: Mapping[str, Any], batch: Batch) -> None:
        """Take the state that the network ended a batch with."""
        if batch.begins is not None:
            self._layers = {
                name: {field: value.detach() for field, value in layer._asdict().items()}
                for name, layer in state.items()
            }

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """The states by layer and field, for a checkpoint within an epoch; {} where there are none."""
        return {name: {field: value.clone() for field, value in kept.items()} for name, kept in self._layers.items()}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]], device: torch.device | str = "cpu") -> None:
        """Go on where `state_dict` was taken."""
        self._layers = {
            name: {field: value.to(device) for field, value in kept.items()} for name, kept in state.items()
        }


def _mixed(neuron: Any, kept: Mapping[str, Tensor], begins: Tensor) -> Any:
    """The neuron's first state where a stream begins, what was kept elsewhere; lanes that have ended fall away."""
    kept = {field: value[: len(begins)] for field, value in kept.items()}
    one = next(iter(kept.values()))
    constants = neuron.step_constants(one.shape[1:], one.device, one.dtype)
    first = neuron.first_state(constants, one.shape, one.dtype, one.device)._asdict()
    rows = begins.reshape(-1, *[1] * (one.dim() - 1))  # (B, 1, …)
    return neuron.State(**{field: torch.where(rows, first[field], value) for field, value in kept.items()})
