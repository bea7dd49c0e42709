"""A layer: synapse, neuron, recurrent weights, noise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from snnlab.draws import Draws
from snnlab.errors import WrongOption
from snnlab.neurons.base import Neuron, Sequence
from snnlab.neurons.constants import as_tensor
from snnlab.synapses import Recurrent, Synapse


class Layer(nn.Module):
    """Currents from below, the loop over time, and what is read out.

    I[t] = synapse(x[t]) + recurrent(r[t-1]) + gain noise N(0, 1)
    r[t] = neuron(I)[t],   y[t] = r[t] + readout_noise N(0, 1)

    Args:
        synapse: from (T, B, *inputs) to currents (T, B, *units).
        neuron: its dynamics.
        recurrent: from the layer's outputs before a step to currents, or None.
        noise: standard deviation of the noise in the current, which goes on to the next step; the neuron's gain
            scales it.
        readout_noise: standard deviation of the noise in what is read out, which the recurrent weights do not see.
    """

    def __init__(
        self,
        synapse: Synapse,
        neuron: Neuron,
        recurrent: Recurrent | None = None,
        *,
        noise: float = 0.0,
        readout_noise: float = 0.0,
    ) -> None:
        super().__init__()
        if noise < 0 or readout_noise < 0:
            raise WrongOption(f"layer: noise {noise}, readout_noise {readout_noise}. A standard deviation is >= 0.")
        self.synapse, self.neuron, self.recurrent = synapse, neuron, recurrent
        self.noise, self.readout_noise = noise, readout_noise

    def forward(
        self, x: Tensor, state: Any = None, record: Iterable[str] = (), draws: Draws | None = None, name: str = "layer"
    ) -> Sequence:
        """Run over a sequence x (T, B, *inputs).

        Args:
            x: what comes from below.
            state: the neuron's State to go on from.
            record: fields of the State to return for every step.
            draws: source of noise; needed where there is noise.
            name: what the draws of this layer are called.
        Raises: WrongOption, for shapes that do not fit, and for noise without draws.
        """
        # A constant input is a view of one step (stride 0): its product is the same at every step, and is made once.
        still = x.stride(0) == 0 and x.shape[0] > 1
        currents = (
            self.synapse(x[:1]).expand(x.shape[0], *[-1] * (x.dim() - 1)) if still and x.dim() == 3 else self.synapse(x)
        )
        if self.noise:
            sample = _source(draws, name).normal(f"{name}.noise", currents.shape, currents)
            currents = currents + self.noise * as_tensor(self.neuron.noise_gain()).to(currents) * sample
        sequence: Sequence = self.neuron(currents, state, record, self.recurrent)
        if not self.readout_noise:
            return sequence
        outputs = sequence.outputs
        sample = _source(draws, name).normal(f"{name}.readout_noise", outputs.shape, outputs)
        return sequence._replace(outputs=outputs + self.readout_noise * sample)


def _source(draws: Draws | None, name: str) -> Draws:
    if draws is None:
        raise WrongOption(
            f"{name}: it has noise, and no draws to make it from. Call the network with draws=Draws(seed)."
        )
    return draws
