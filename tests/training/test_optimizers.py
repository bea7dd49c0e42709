"""Optimizers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.training.table import read

OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {"betas": [0.8, 0.9], "weight_decay": 0.1},
    "adamw": {"betas": [0.8, 0.9], "weight_decay": 0.1},
    "adamax": {"betas": [0.8, 0.9], "weight_decay": 0.1},
    "sgd": {"momentum": 0.9, "weight_decay": 0.1},
    "rmsprop": {"alpha": 0.9, "weight_decay": 0.1},
}
LR, EPS = 0.01, 1e-8


def by_hand(name: str, w: float, gradients: list[float]) -> float:
    """Three steps from the papers' equations."""
    m = v = u = 0.0
    for t, gradient in enumerate(gradients, 1):
        g = gradient if name == "adamw" else gradient + 0.1 * w
        w = w * (1 - LR * 0.1) if name == "adamw" else w
        m = 0.8 * m + 0.2 * g
        if name in ("adam", "adamw"):
            v = 0.9 * v + 0.1 * g * g
            w -= LR * (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)) ** 0.5 + EPS)
        elif name == "adamax":
            u = max(0.9 * u, abs(g) + EPS)
            w -= LR * m / (1 - 0.8**t) / u
        elif name == "sgd":
            v = 0.9 * v + g
            w -= LR * v
        else:
            v = 0.9 * v + 0.1 * g * g
            w -= LR * g / (v**0.5 + EPS)
    return w


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_trains(train: Callable[..., Path], name: str) -> None:
    lr = {"sgd": 0.1}.get(name, 0.01)
    rows = read(train(f"optimizer={name}", f"optimizer.lr={lr}", "trainer.max_epochs=2") / "metrics.csv")
    assert rows[1]["train/loss"] < 0.9 * rows[0]["train/loss"]


@pytest.mark.parametrize("name", OPTIONS)
def test_its_options_reach_the_equation(name: str) -> None:
    weight = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))
    optimizer = registry.build("optimizer", {"name": name, "lr": LR, **OPTIONS[name]})([weight])
    gradients = [0.3, -0.2, 0.7]
    for gradient in gradients:
        weight.grad = torch.tensor(gradient, dtype=torch.float64)
        optimizer.step()
    assert float(weight.detach()) == pytest.approx(by_hand(name, 0.5, gradients), rel=1e-9)


def test_nesterov_looks_ahead_and_needs_momentum() -> None:
    def stepped(**options: Any) -> Tensor:
        weight = torch.nn.Parameter(torch.tensor(0.5))
        optimizer = registry.build("optimizer", {"name": "sgd", "lr": 0.1, **options})([weight])
        weight.grad = torch.tensor(1.0)
        optimizer.step()
        return weight.detach()

    assert float(stepped(momentum=0.9)) == pytest.approx(0.4)
    assert float(stepped(momentum=0.9, nesterov=True)) == pytest.approx(0.31)
    with pytest.raises(WrongOption, match=r"optimizer\.nesterov: true, and momentum 0"):
        stepped(nesterov=True)


def test_nesterov_without_momentum_is_told_as_an_option(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("train", "optimizer=sgd", "optimizer.nesterov=true", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
