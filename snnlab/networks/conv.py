"""The network of convolutions, poolings and dense layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.notation import hidden_layers
from snnlab.networks.of_layers import of_layers
from snnlab.options import NonNegativeFloat
from snnlab.registry import register


@register("network")
@of_layers
def conv(
    *,
    hidden: str = "15C5-P2-40C5-P2-300",
    padding: Literal["valid", "same"] = "valid",
    pooling: Literal["average", "max"] = "average",
    noise: NonNegativeFloat = 0.0,
    readout_noise: NonNegativeFloat = 0.0,
) -> list[LayerPlan]:
    """Convolutions, poolings and dense layers in a row, written as papers write them.

    15C5 is a convolution of 15 channels with a kernel of 5 x 5, P2 a pooling over windows of 2 x 2 that do not overlap,
    300 a dense layer of 300 units. The input comes from the data, pictures (height, width) or (channels, height,
    width); the output layer is added. Each of them is a layer, so that the first pooling of 15C5-P2 is layers.1.

    Biases and initial values of `synapse` hold for convolutions as well; what else their synapses take is set for one
    layer, as layers.0.synapse.stride=2. A pooling has no neuron: its `linear` hands on what it gets, which is how Wu et
    al.'s code does it; layers.1.neuron=lif makes it one that fires.

    Args:
        hidden: the hidden layers, from the input up.
        padding: whether convolutions stay inside of the pictures (valid), or keep their size by zeros around them
            (same).
        pooling: what poolings make of a window.
        noise: standard deviation of the noise in the currents of the hidden layers, poolings excepted.
        readout_noise: standard deviation of the noise in what is read out of the hidden layers, poolings excepted.
    Source: Wu et al. 2018: the notation, and 15C5-P2-40C5-P2-300-10 on MNIST. It says nothing of padding; LeNet, which
        it continues, has none. Their published code, 32C3-P2-32C3-P2-128, pads (same) and averages.
    """
    chosen: dict[str, dict[str, Any]] = {
        "convolution": {"synapse": {"padding": padding}, "noise": noise, "readout_noise": readout_noise},
        "pooling": {"synapse": {"pooling": pooling}},
        "dense": {"noise": noise, "readout_noise": readout_noise},
    }
    return [replace(layer, **chosen[layer.kind]) for layer in hidden_layers(hidden)]
