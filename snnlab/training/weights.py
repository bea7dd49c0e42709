"""Weights from another run, and weights that stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from snnlab.errors import WrongOption
from snnlab.options import nearest
from snnlab.training import checkpoint as checkpoints
from snnlab.training.console import log


def take_weights(network: nn.Module, path: Path) -> None:
    """Put the weights of a checkpoint into a network where name and shape fit, and say what did not.

    Args:
        network: the new run's network.
        path: a checkpoint.
    Raises: BadData, when it cannot be read; WrongOption, when nothing fits.
    """
    prefix = "network."
    theirs = {
        name.removeprefix(prefix): value
        for name, value in checkpoints.load(path)["state_dict"].items()
        if name.startswith(prefix) and isinstance(value, Tensor)  # a part's own state is no weight
    }
    mine = network.state_dict()
    fit = {name: value for name, value in theirs.items() if name in mine and mine[name].shape == value.shape}
    if not fit:
        raise WrongOption(
            f"weights: nothing in {path} fits this network. It has {', '.join(theirs) or 'no weights'}; "
            f"the network has {', '.join(mine)}."
        )
    network.load_state_dict(fit, strict=False)
    log.info("weights of %s: %d of %d taken.", path, len(fit), len(mine))
    for name in mine:
        if name not in theirs:
            log.warning("weights: %s is not in it and begins anew.", name)
        elif name not in fit:
            shapes = f"{tuple(theirs[name].shape)} there, {tuple(mine[name].shape)} here"
            log.warning("weights: %s has another shape (%s) and begins anew.", name, shapes)
    if unused := [name for name in theirs if name not in mine]:
        log.warning("weights: this network has no %s; left out.", ", ".join(unused))


def freeze(network: nn.Module, frozen: Sequence[str]) -> None:
    """Keep parameters as they are.

    Args:
        network: the run's network.
        frozen: names, or their beginnings up to a dot: `layers.0` is all of the lowest layer.
    Raises: WrongOption, for a name without a parameter, and when nothing is left to train.
    """
    named = dict(network.named_parameters())
    for beginning in frozen:
        meant = [name for name in named if name == beginning or name.startswith(f"{beginning}.")]
        if not meant:
            known = {name.rsplit(".", depth)[0] for name in named for depth in range(name.count("."))} - {"layers"}
            raise WrongOption(
                f"freeze: {beginning} is no part of the network with weights.{nearest(beginning, sorted(known))}"
            )
        for name in meant:
            named[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise WrongOption(f"freeze: [{', '.join(frozen)}] leaves nothing to train.")
