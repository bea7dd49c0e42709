"""How the batteries compare numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def close(one: Tensor, other: Tensor, what: str, *, rtol: float = 1e-9, atol: float = 1e-12) -> None:
    """Hold two tensors against each other, by default in float64; `what` is the promise that is broken otherwise."""
    assert torch.allclose(one, other, rtol=rtol, atol=atol), what
