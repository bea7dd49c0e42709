"""Networks: layers of a synapse and a neuron, built by hand or from a plan."""

from snnlab.networks.feedforward import feedforward
from snnlab.networks.layer import Layer
from snnlab.networks.network import Network, Result
from snnlab.networks.plan import Plan
from snnlab.networks.recurrent import recurrent

__all__ = ["Layer", "Network", "Plan", "Result", "feedforward", "recurrent"]
