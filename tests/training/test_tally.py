"""The sums of an epoch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from snnlab.data.base import Batch
from snnlab.errors import WrongOption
from snnlab.networks import Result
from snnlab.neurons import Sequence
from snnlab.training.outcome import Outcome
from snnlab.training.tally import Tally

STEPS, UNITS, CLASSES = 5, 4, 3


def outcome(spikes: Tensor, mask: Tensor | None = None) -> Outcome:
    """One batch of a network of one layer that fired `spikes` (T, B, units)."""
    samples = spikes.shape[1]
    batch = Batch(torch.zeros(samples, 2), torch.zeros(samples, dtype=torch.long), mask, samples, 0)
    layers = {"0": Sequence(spikes, (), {})}
    return Outcome(Result(spikes, layers, {}), batch, ("0",))


def drawn(samples: int, rng: torch.Generator) -> Tensor:
    return (torch.rand(STEPS, samples, UNITS, generator=rng) < 0.3).float()


def test_an_epoch_in_batches_of_unequal_size_equals_the_epoch_at_once(rng: torch.Generator) -> None:
    spikes = drawn(7, rng)
    scores, targets = torch.rand(7, CLASSES, generator=rng), torch.randint(CLASSES, (7,), generator=rng)
    losses = torch.rand(7, generator=rng)
    whole, parts = Tally(), Tally()
    whole.add(outcome(spikes), losses.mean(), scores, targets)
    for part in (slice(0, 4), slice(4, 7)):
        parts.add(outcome(spikes[:, part]), losses[part].mean(), scores[part], targets[part])
    metrics = {"accuracy": MulticlassAccuracy(CLASSES, average="micro")}
    one, other = whole.values(metrics), parts.values(metrics)
    assert list(one) == list(other) == ["loss", "accuracy", "rate/0", "silent/0"]
    for name in one:
        torch.testing.assert_close(one[name], other[name])
    assert float(one["loss"]) == pytest.approx(float(losses.mean()))
    assert float(one["accuracy"]) == pytest.approx(float((scores.argmax(1) == targets).float().mean()))
    assert float(one["rate/0"]) == pytest.approx(float(spikes.mean()))


def test_steps_that_the_mask_calls_invalid_do_not_count(rng: torch.Generator) -> None:
    spikes, lengths = drawn(3, rng), [5, 2, 1]
    mask = torch.tensor([[step < length for length in lengths] for step in range(STEPS)])
    tally = Tally()
    tally.add(outcome(torch.where(mask[:, :, None], spikes, 1.0), mask), torch.tensor(0.0), drawn(3, rng), mask)
    counted = sum(float(spikes[step, i, unit]) for i, n in enumerate(lengths) for step in range(n) for unit in [0])
    assert float(tally.rates()["0"][0]) == pytest.approx(counted / sum(lengths))


def test_silent_is_the_part_of_the_units_that_never_fired() -> None:
    spikes = torch.zeros(STEPS, 2, UNITS)
    spikes[3, 1, 0] = 1
    tally = Tally()
    tally.add(outcome(spikes), torch.tensor(0.0), torch.zeros(2, 1), torch.zeros(2))
    assert float(tally.values({})["silent/0"]) == 0.75
    tally.add(outcome(torch.ones(STEPS, 2, UNITS)), torch.tensor(0.0), torch.zeros(2, 1), torch.zeros(2))
    assert float(tally.values({})["silent/0"]) == 0


def test_a_new_epoch_begins_at_nothing() -> None:
    tally = Tally()
    tally.add(outcome(torch.ones(STEPS, 2, UNITS)), torch.tensor(9.0), torch.ones(2, 1), torch.zeros(2, 1))
    tally.reset()
    tally.add(outcome(torch.zeros(STEPS, 2, UNITS)), torch.tensor(1.0), torch.zeros(2, 1), torch.zeros(2, 1))
    assert [float(value) for value in tally.values({}).values()] == [1, 0, 1]
    assert len(tally.scored()[0]) == 2


def test_a_metric_that_is_asked_twice_does_not_add_up() -> None:
    class Count(SumMetric):
        def update(self, scores: Tensor, targets: Tensor) -> None:
            super().update(len(targets))

    tally, count = Tally(), Count()
    tally.add(outcome(torch.zeros(STEPS, 2, UNITS)), torch.tensor(1.0), torch.zeros(2, 1), torch.zeros(2, 1))
    assert [float(tally.values({"count": count})["count"]) for _ in range(2)] == [2, 2]


def test_the_sums_of_several_processes_become_those_of_all(rng: torch.Generator) -> None:
    spikes, losses = drawn(6, rng), torch.rand(6, generator=rng)
    whole, ranks = Tally(), [Tally(), Tally()]
    whole.add(outcome(spikes), losses.mean(), torch.zeros(6, 1), torch.zeros(6))
    for rank, tally in enumerate(ranks):
        mine = spikes[:, rank::2]
        tally.add(outcome(mine), losses[rank::2].mean(), torch.zeros(3, 1), torch.zeros(3))
    others = iter([torch.as_tensor(value) for value in (ranks[1].loss, 3, ranks[1].steps, ranks[1].spikes["0"])])
    ranks[0].gather(lambda tensor: tensor + next(others), torch.device("cpu"))
    for name, value in whole.values({}).items():
        torch.testing.assert_close(ranks[0].values({})[name], value)


def test_a_metric_that_cannot_compare_is_told_by_its_name() -> None:
    tally = Tally()
    tally.add(outcome(torch.zeros(STEPS, 2, UNITS)), torch.tensor(0.0), torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(WrongOption, match=r"metric=mse: it cannot compare scores \(2, 3\) with targets \(2,\)"):
        tally.values({"mse": MeanSquaredError()})


def test_scores_of_half_precision_are_compared_in_float32() -> None:
    tally = Tally()
    tally.add(outcome(torch.zeros(STEPS, 2, UNITS)), torch.tensor(0.0), torch.ones(2, 1).bfloat16(), torch.zeros(2))
    assert tally.scored()[0].dtype == torch.float32
