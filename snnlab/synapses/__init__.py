"""Synapses: the weights between layers, and those of a layer back to itself."""

from snnlab.synapses.base import Synapse
from snnlab.synapses.conv2d import Conv2d
from snnlab.synapses.dense import Dense
from snnlab.synapses.pictures import PictureSynapse
from snnlab.synapses.pool2d import Pool2d
from snnlab.synapses.recurrent import Recurrent

__all__ = ["Conv2d", "Dense", "PictureSynapse", "Pool2d", "Recurrent", "Synapse"]
