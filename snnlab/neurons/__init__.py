"""Neurons: each declares its options and its state, and writes one step. To write one, import from here."""

from snnlab.neurons.backends import reference
from snnlab.neurons.base import Neuron, Sequence, SpikingNeuron
from snnlab.neurons.constants import AtLeast, Constant, Milliseconds, NonNegative, Positive, UnitInterval, decay
from snnlab.neurons.ctrnn import CTRNN
from snnlab.neurons.cuba import CUBA
from snnlab.neurons.li import LI
from snnlab.neurons.lif import LIF
from snnlab.neurons.linear import Linear
from snnlab.neurons.stbp import STBP

__all__ = [
    "CTRNN",
    "CUBA",
    "LI",
    "LIF",
    "STBP",
    "AtLeast",
    "Constant",
    "Linear",
    "Milliseconds",
    "Neuron",
    "NonNegative",
    "Positive",
    "Sequence",
    "SpikingNeuron",
    "UnitInterval",
    "decay",
    "reference",
]
