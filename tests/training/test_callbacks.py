"""Callbacks that a run may have beside its own."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from snnlab.registry import build
from snnlab.training.table import read

STILL = ("callback=[early_stopping]", "callback.early_stopping.patience=2", "neuron.threshold=1000.0")


def epochs(folder: Path) -> int:
    return len(read(folder / "metrics.csv"))


def test_a_run_that_does_not_become_better_ends_after_its_patience(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.max_epochs=9")) == 3


def test_a_run_that_becomes_better_goes_on(train: Callable[..., Path]) -> None:
    words = ("callback=[early_stopping]", "callback.early_stopping.patience=1")
    assert epochs(train(*words, "trainer.max_epochs=4", "monitor=val/loss")) == 4


def test_a_change_below_min_delta_does_not_count(train: Callable[..., Path]) -> None:
    words = ("callback=[early_stopping]", "callback.early_stopping.patience=1", "monitor=train/loss")
    assert epochs(train(*words, "callback.early_stopping.min_delta=100.0", "trainer.max_epochs=4")) == 2


def test_patience_counts_only_epochs_with_a_validation(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.check_val_every_n_epoch=2", "trainer.max_epochs=9")) == 6


def test_a_run_too_short_for_a_validation_ends_well(train: Callable[..., Path]) -> None:
    assert epochs(train(*STILL, "trainer.max_steps=5")) == 1


def test_early_stopping_without_validation_is_told(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("train", "callback=[early_stopping]", "trainer.limit_val_batches=0", "output_dir=run")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "callback=early_stopping: it looks at val/accuracy" in ran.err


class Net(torch.nn.Module):
    """What the callback looks at: layers with names."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList([torch.nn.Linear(3, 4), torch.nn.Linear(4, 2), torch.nn.Linear(2, 2)])
        self.layers[2].requires_grad_(False)
        self.names = ["0", "1", "2"]


def module() -> Any:
    return SimpleNamespace(network=Net(), row_extras={})


def step(callback: Any, owner: Any, rng: torch.Generator, scale: float = 1.0) -> dict[str, float]:
    """Give all trained parameters new gradients, and the norms of the layers by hand."""
    norms = {}
    for name, layer in zip(owner.network.names, owner.network.layers, strict=True):
        squares = 0.0
        for parameter in layer.parameters():
            if parameter.requires_grad:
                parameter.grad = scale * torch.randn(parameter.shape, generator=rng)
                squares += sum(float(value) ** 2 for value in parameter.grad.flatten())
                norms[name] = math.sqrt(squares)
    callback.on_before_optimizer_step(None, owner, None)
    return norms


def row_of(callback: Any, owner: Any) -> dict[str, float]:
    owner.row_extras = {}
    callback.on_train_epoch_end(None, owner)
    row: dict[str, float] = owner.row_extras
    return row


def test_gradient_norms_are_mean_and_max_over_the_steps_of_an_epoch(rng: torch.Generator) -> None:
    callback, owner = build("callback", "gradient_norms")(), module()
    for _ in range(2):  # epochs: nothing of the first is in the second
        norms = [step(callback, owner, rng) for _ in range(5)]
        row = row_of(callback, owner)
        assert sorted(row) == ["grad_norm/0", "grad_norm/1", "grad_norm_max/0", "grad_norm_max/1"]
        for name in ("0", "1"):
            each = [norm[name] for norm in norms]
            assert row[f"grad_norm/{name}"] == pytest.approx(sum(each) / 5, rel=1e-6)  # norms are float32
            assert row[f"grad_norm_max/{name}"] == pytest.approx(max(each), rel=1e-6)


def test_steps_whose_gradients_are_not_finite_do_not_count(rng: torch.Generator) -> None:
    callback, owner = build("callback", "gradient_norms")(), module()
    one = step(callback, owner, rng)
    step(callback, owner, rng, scale=math.inf)
    assert row_of(callback, owner)["grad_norm/0"] == pytest.approx(one["0"], rel=1e-6)
    step(callback, owner, rng, scale=math.nan)
    assert all(math.isnan(value) for value in row_of(callback, owner).values())


def test_gradient_norms_of_half_precision_do_not_overflow() -> None:
    callback, owner = build("callback", "gradient_norms")(), module()
    owner.network.half()
    owner.network.layers[0].weight.grad = torch.full((4, 3), 6e4, dtype=torch.float16)
    callback.on_before_optimizer_step(None, owner, None)
    row = row_of(callback, owner)
    assert row["grad_norm/0"] == pytest.approx(math.sqrt(12) * 6e4, rel=1e-3)
    assert math.isnan(row["grad_norm/1"])  # it had no gradient in any step


def test_gradient_norms_go_on_within_an_epoch_to_the_last_bit(rng: torch.Generator) -> None:
    whole, before, after = (build("callback", "gradient_norms")() for _ in range(3))
    owner = module()
    for callbacks in ([whole, before], [whole, before], [whole, after]):
        if after in callbacks:
            saved = io.BytesIO()
            torch.save(before.state_dict(), saved)
            saved.seek(0)
            after.load_state_dict(torch.load(saved, weights_only=True))
        step(whole, owner, rng)
        callbacks[1].on_before_optimizer_step(None, owner, None)
    assert row_of(after, owner) == row_of(whole, owner)


def test_gradient_norms_are_those_before_clipping_and_change_nothing(train: Callable[..., Path]) -> None:
    one_step = ("trainer.max_epochs=1", "trainer.limit_train_batches=1")
    clipped = (*one_step, "trainer.gradient_clip_val=0.001")
    (free,) = read(train(*one_step, "callback=[gradient_norms]", name="free") / "metrics.csv")
    (row,) = read(train(*clipped, "callback=[gradient_norms]", name="clipped") / "metrics.csv")
    (without,) = read(train(*clipped, name="without") / "metrics.csv")
    norms = {name: value for name, value in row.items() if name.startswith("grad_norm")}
    assert len(norms) == 4
    assert all(value > 0.001 for value in norms.values())
    assert norms == {name: free[name] for name in norms}
    assert {name: value for name, value in row.items() if name not in norms} == without
