"""The pictures that a run leaves: what some test samples did in every layer, how training went, what is taken for what.

Each takes plain arrays and returns a `matplotlib.figure.Figure`; `save` writes it as a PNG. Matplotlib is imported
when the first one is made, and `pyplot` never, so neither its windows nor its list of open figures is touched.
"""

from __future__ import annotations

from snnlab.training.plots.canvas import save
from snnlab.training.plots.confusion_matrix import confusion
from snnlab.training.plots.learning_curves import curves
from snnlab.training.plots.rasters import raster
from snnlab.training.plots.traces import potentials

__all__ = ["confusion", "curves", "potentials", "raster", "save"]
