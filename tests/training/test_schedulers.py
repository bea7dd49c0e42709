"""Schedulers: the learning rate that the optimizer had at the end of each epoch, from metrics.csv."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.training.schedulers import cosine, linear
from snnlab.training.table import read

LR = 0.01


def rates(train: Callable[..., Path], *words: str, epochs: int = 3) -> list[float]:
    folder = train(f"optimizer.lr={LR}", f"trainer.max_epochs={epochs}", "trainer.limit_train_batches=4", *words)
    return [row["lr"] for row in read(folder / "metrics.csv")]


def steps_of(make: Callable[..., dict[str, object]], steps: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer, total_steps=steps, **options)["scheduler"]
    found = []
    for _ in range(steps):
        optimizer.step()
        found.append(optimizer.param_groups[0]["lr"])
        scheduler.step()  # type: ignore[attr-defined]
    return [*found, optimizer.param_groups[0]["lr"]]


def test_every_scheduler_has_a_run_in_these_tests() -> None:
    assert set(registry.names("scheduler")) == {"constant", "cosine", "exponential", "linear", "plateau", "step"}


def test_a_constant_one_keeps_the_rate(train: Callable[..., Path]) -> None:
    assert rates(train) == pytest.approx([LR] * 3)


@pytest.mark.parametrize(
    ("words", "steps"),
    [((), 12), (("trainer.accumulate_grad_batches=2",), 6), (("trainer.max_steps=9",), 9), (("batch_size=5000",), 3)],
)
def test_a_schedule_over_the_run_knows_its_last_step(
    train: Callable[..., Path], words: tuple[str, ...], steps: int
) -> None:
    found = rates(train, "scheduler=linear", "scheduler.end=0.25", *words)
    assert found[-1] == pytest.approx(LR * (1 - 0.75 * (steps - 1) / steps))  # one step later it is at its end


@pytest.mark.parametrize("make", [linear, cosine])
def test_a_schedule_over_the_run_ends_at_its_end(make: Callable[..., dict[str, object]]) -> None:
    assert steps_of(make, 7, end=0.25)[-1] == pytest.approx(0.25)
    assert steps_of(make, 7, end=0.25, warmup=0.5)[-1] == pytest.approx(0.25)


def test_a_cosine_one_falls_in_a_run(train: Callable[..., Path]) -> None:
    found = rates(train, "scheduler=cosine", "scheduler.warmup=0.25")
    assert found[0] > found[1] > found[2] > 0


def test_a_linear_one_falls_by_the_same_amount_each_step_after_its_warm_up() -> None:
    found = steps_of(linear, 10, end=0.2, warmup=0.2)
    assert found == pytest.approx([1 / 3, 2 / 3, *(1 - 0.8 * i / 8 for i in range(9))])


def test_a_cosine_one_is_half_way_in_the_middle() -> None:
    found = steps_of(cosine, 8, end=0.1)
    assert found == pytest.approx([0.1 + 0.9 * (1 + math.cos(math.pi * i / 8)) / 2 for i in range(9)])
    assert found[4] == pytest.approx(0.55)


@pytest.mark.parametrize("make", [linear, cosine])
def test_a_run_without_an_end_is_refused(make: Callable[..., object]) -> None:
    with pytest.raises(WrongOption, match=r"set trainer\.max_epochs or trainer\.max_steps"):
        make(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), total_steps=0)


def test_a_run_that_only_time_ends_is_told(snnlab: Callable[..., object]) -> None:
    words = ("scheduler=linear", "trainer.max_epochs=-1", "trainer.max_time=00:00:10:00", "output_dir=run")
    ran = snnlab("train", *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)  # type: ignore[attr-defined]


def test_a_step_one_falls_every_few_epochs(train: Callable[..., Path]) -> None:
    found = rates(train, "scheduler=step", "scheduler.every=2", "scheduler.factor=0.5", epochs=5)
    assert found == pytest.approx([LR, LR, LR / 2, LR / 2, LR / 4])


def test_an_exponential_one_falls_every_epoch(train: Callable[..., Path]) -> None:
    assert rates(train, "scheduler=exponential", "scheduler.factor=0.5") == pytest.approx([LR, LR / 2, LR / 4])


def test_a_plateau_lowers_the_rate_where_nothing_becomes_better(train: Callable[..., Path]) -> None:
    words = ("scheduler=plateau", "scheduler.patience=1", "scheduler.factor=0.5", "neuron.threshold=1000.0")
    assert rates(train, *words, epochs=5) == pytest.approx([LR, LR, LR, LR / 2, LR / 2])


def test_a_plateau_counts_only_epochs_with_a_validation(train: Callable[..., Path]) -> None:
    words = ("scheduler=plateau", "scheduler.patience=1", "scheduler.factor=0.5", "neuron.threshold=1000.0")
    found = rates(train, *words, "trainer.check_val_every_n_epoch=2", epochs=7)
    assert found == pytest.approx([LR] * 6 + [LR / 2])


def test_a_plateau_without_validation_is_told(snnlab: Callable[..., object]) -> None:
    ran = snnlab("train", "scheduler=plateau", "trainer.limit_val_batches=0", "output_dir=run")
    assert ran.code == 2  # type: ignore[attr-defined]
    assert "scheduler=plateau: it looks at val/accuracy" in ran.err  # type: ignore[attr-defined]
