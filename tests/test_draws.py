"""Random numbers that depend on their key alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from snnlab.draws import Draws, derived_seed
from snnlab.errors import WrongOption

LIKE = torch.zeros(())
KINDS = ["uniform", "normal"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_key_and_name_give_the_same_numbers(kind):
    one, other = (getattr(Draws(1, "train", 2, 3), kind)("noise", (4, 5), LIKE) for _ in range(2))
    assert torch.equal(one, other)
    draws = Draws(1, "train", 2, 3)
    assert torch.equal(getattr(draws, kind)("noise", (4, 5), LIKE), getattr(draws, kind)("noise", (4, 5), LIKE))


@pytest.mark.parametrize(
    "key", [(2, "train", 2, 3), (1, "val", 2, 3), (1, "train", 3, 3), (1, "train", 2, 4), ("1", "train", 2, 3)]
)
def test_another_key_gives_other_numbers(key):
    one, other = (Draws(*k).uniform("noise", (50,), LIKE, batch=0) for k in ((1, "train", 2, 3), key))
    assert not (one == other).any()


def test_another_name_gives_other_numbers_and_draws_do_not_disturb_each_other():
    draws = Draws(1)
    alone = draws.normal("b", (50,), LIKE, batch=0)
    draws.normal("a", (1000,), LIKE, batch=0)
    assert torch.equal(draws.normal("b", (50,), LIKE, batch=0), alone)
    assert not (draws.normal("a", (50,), LIKE, batch=0) == alone).any()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "world"), [(8, 2), (7, 2), (7, 3), (3, 4)])
def test_the_ranks_together_draw_what_one_process_draws(kind, size, world):
    whole = getattr(Draws(0, size=size), kind)("noise", (5, size, 2), LIKE)
    for rank in range(world):
        mine = len(range(rank, size, world))
        part = getattr(Draws(0, rank=rank, world=world, size=size), kind)("noise", (5, mine, 2), LIKE)
        assert torch.equal(part, whole[:, rank::world])


def test_the_axis_of_samples_may_be_the_first():
    whole = Draws(0, size=6).uniform("x", (6, 3), LIKE, batch=0)
    part = Draws(0, rank=1, world=2, size=6).uniform("x", (3, 3), LIKE, batch=0)
    assert torch.equal(part, whole[1::2])


def test_several_processes_without_a_size_are_refused():
    with pytest.raises(WrongOption, match="draws: 2 processes and no size"):
        Draws(0, rank=0, world=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_are_of_the_type_asked_for(dtype):
    draws, like = Draws(0), torch.zeros((), dtype=dtype)
    assert draws.uniform("x", (3, 2), like).dtype == dtype
    assert draws.normal("x", (3, 2), like).dtype == dtype


def test_the_distributions_are_the_named_ones():
    uniform, normal = Draws(0).uniform("u", (1000, 100), LIKE), Draws(0).normal("n", (1000, 100), LIKE)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    # 100,000 numbers: standard errors of 0.001 and 0.003
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.005)
    assert normal.mean().item() == pytest.approx(0.0, abs=0.015)
    assert normal.std().item() == pytest.approx(1.0, abs=0.015)


def test_neighbouring_keys_give_independent_numbers():
    rows = torch.stack([Draws(0, "train", 0, batch).normal("noise", (500,), LIKE, batch=0) for batch in range(100)])
    correlations = torch.corrcoef(rows) - torch.eye(100)
    assert correlations.abs().max() < 6 / 500**0.5  # of 4950 pairs none beyond six standard errors


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    Draws(0).normal("x", (5, 5), LIKE)
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_is_the_same_in_every_process():
    program = "from snnlab.draws import derived_seed; print(derived_seed(7, 'train', 3))"
    root = Path(__file__).parent.parent
    run = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert int(run.stdout) == derived_seed(7, "train", 3)


def test_seeds_do_not_collide_over_a_training():
    seeds = {derived_seed(0, "train", epoch, batch, "noise") for epoch in range(20) for batch in range(500)}
    assert len(seeds) == 10_000
