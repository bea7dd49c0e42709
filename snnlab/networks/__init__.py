"""Networks: layers of a synapse and a neuron, built by hand or from a plan."""

from snnlab.networks.conv import conv
from snnlab.networks.feedforward import feedforward
from snnlab.networks.layer import Layer
from snnlab.networks.layer_plan import LayerPlan
from snnlab.networks.network import Network, Result
from snnlab.networks.notation import hidden_layers
from snnlab.networks.of_layers import of_layers
from snnlab.networks.plan import Plan
from snnlab.networks.recurrent import recurrent

__all__ = [
    "Layer",
    "LayerPlan",
    "Network",
    "Plan",
    "Result",
    "conv",
    "feedforward",
    "hidden_layers",
    "of_layers",
    "recurrent",
]
