"""The norms of gradients, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.optim import Optimizer


class GradientNorms(pl.Callback):
    """Adds up the gradients' norms of each layer over an epoch, and hands mean and max to its row.

    The sums, (steps, sum, max) of each layer that is trained, stay on the device: reading them would make it wait at
    each step. They begin anew when an epoch ends, not when one begins, so that a run that goes on within an epoch keeps
    them.
    """

    def __init__(self) -> None:
        self.sums: Tensor | None = None  # (3, layers)

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: Any, optimizer: Optimizer) -> None:
        """Take in a step: here gradients are unscaled, those of all processes, and not yet clipped."""
        layers = _trained(pl_module)
        if not layers:
            return
        norms = torch.stack([_norm(layer) for layer in layers.values()]).detach()
        if norms.device.type != "mps":  # it has no float64
            norms = norms.double()
        sums = norms.new_zeros(3, len(layers)) if self.sums is None else self.sums.to(norms.device)
        counted = norms.isfinite()
        norms = norms.where(counted, 0.0)
        self.sums = torch.stack([sums[0] + counted, sums[1] + norms, sums[2].maximum(norms)])

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Hand over, and begin anew."""
        each = [] if self.sums is None else self.sums.T.tolist()
        for name, (steps, total, largest) in zip(_trained(pl_module), each, strict=False):
            pl_module.row_extras[f"grad_norm/{name}"] = total / steps if steps else math.nan
            pl_module.row_extras[f"grad_norm_max/{name}"] = largest if steps else math.nan
        self.sums = None

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint within an epoch."""
        return {"sums": self.sums}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.sums = state_dict["sums"]


def _trained(module: Any) -> dict[str, nn.Module]:
    """The layers with something to train, by name."""
    layers = zip(module.network.names, module.network.layers, strict=True)
    return {name: layer for name, layer in layers if any(p.requires_grad for p in layer.parameters())}


def _norm(layer: nn.Module) -> Tensor:
    """The L2 norm over all gradients of a layer; NaN where it has none in this step."""
    gradients = [p.grad for p in layer.parameters() if p.grad is not None]
    if not gradients:
        return torch.full((), math.nan, device=next(layer.parameters()).device)
    # In half precision the norm itself could overflow.
    norms = [vector_norm(g, dtype=torch.promote_types(g.dtype, torch.float32)) for g in gradients]
    whole: Tensor = norms[0] if len(norms) == 1 else vector_norm(torch.stack(norms))
    return whole
