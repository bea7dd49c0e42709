"""Hidden layers as papers write them: 15C5-P2-40C5-P2-300."""

from __future__ import annotations

import re

from snnlab.errors import WrongOption
from snnlab.networks.layer_plan import LayerPlan

TAKES = (
    "It takes 15C5 (a convolution: 15 channels, kernel 5 x 5), P2 (pooling over 2 x 2) and 300 (a dense layer of 300 "
    "units), with - between them; the input and the output layer are not written."
)

_NUMBER = "([1-9][0-9]{0,5})"
_CONVOLUTION, _POOLING, _DENSE = re.compile(f"{_NUMBER}C{_NUMBER}"), re.compile(f"P{_NUMBER}"), re.compile(_NUMBER)
_LONG = re.compile("[1-9][0-9]*(C[1-9][0-9]*)?|P[1-9][0-9]*")
"""What would be a piece if its numbers were shorter."""


def hidden_layers(hidden: str) -> list[LayerPlan]:
    """The hidden layers of a network from its option `hidden`, in the notation of papers.

    Raises: WrongOption, for a piece of the notation that is none, or at the wrong place.
    """
    layers: list[LayerPlan] = []
    for piece in hidden.split("-"):
        layer = _layer(piece)
        if layer is None:
            takes = "A number has at most six digits." if _LONG.fullmatch(piece) else TAKES
            raise WrongOption(f"network.hidden: {piece!r} in {hidden!r}. {takes}")
        if layer.kind != "dense" and layers and layers[-1].kind == "dense":
            raise WrongOption(
                f"network.hidden: {piece} after {layers[-1].text} in {hidden!r}. A {layer.kind} takes pictures: "
                "it stands before the dense layers."
            )
        layers.append(layer)
    return layers


def _layer(piece: str) -> LayerPlan | None:
    if found := _CONVOLUTION.fullmatch(piece):
        return LayerPlan("convolution", units=int(found[1]), kernel=int(found[2]))
    if found := _POOLING.fullmatch(piece):
        return LayerPlan("pooling", kernel=int(found[1]))
    if found := _DENSE.fullmatch(piece):
        return LayerPlan(units=int(found[1]))
    return None
