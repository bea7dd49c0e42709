"""weights=RUN and freeze=: what is taken, what is told, what is not trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.training import checkpoint

Train = Callable[..., Path]


def weights_of(folder: Path, which: str = "last") -> dict[str, torch.Tensor]:
    """The state_dict of a run's checkpoint."""
    found: dict[str, torch.Tensor] = checkpoint.load(folder / "checkpoints" / f"{which}.ckpt")["state_dict"]
    return found


def test_a_run_begins_with_the_best_weights_of_another(train: Train, finished: Path) -> None:
    folder = train(f"weights={finished}", "optimizer=sgd", "optimizer.lr=1e-12", "trainer.max_epochs=1")
    for name, value in weights_of(finished, "best").items():
        torch.testing.assert_close(weights_of(folder)[name], value, rtol=0, atol=1e-6)


def test_what_does_not_fit_is_told_and_begins_anew(snnlab: Callable[..., Any], finished: Path) -> None:
    words = ["trainer.max_epochs=1", "network.hidden=[32,8]", "plots=false", "output_dir=run"]
    ran = snnlab("train", f"weights={finished}", *words)
    assert ran.code == 0, ran.err
    assert "best.ckpt: 2 of 6 taken." in ran.out
    assert "layers.1.synapse.weight has another shape ((10, 32) there, (8, 32) here) and begins anew" in ran.out
    assert "layers.2.synapse.weight is not in it and begins anew" in ran.out


def test_weights_of_which_none_fits_are_refused(snnlab: Callable[..., Any], finished: Path) -> None:
    words = [
        "neuron.learn=[tau]",
        "network.hidden=[7]",
        "dataset=digits_rows",
        "encoder=identity",
        "synapse.biased=false",
    ]
    ran = snnlab("train", f"weights={finished}", *words, "output_dir=run")
    assert (ran.code, "nothing in" in ran.err) == (2, True)


def test_the_weights_a_run_began_with_are_part_of_its_id(
    train: Train, finished: Path, result: Callable[[Path], dict[str, Any]]
) -> None:
    one = train(f"weights={finished}", "trainer.max_epochs=1", name="one")
    other = train(f"weights={finished / 'checkpoints' / 'best.ckpt'}", "trainer.max_epochs=1", name="other")
    without = train("trainer.max_epochs=1", name="without")
    assert result(one)["id"] == result(other)["id"] != result(without)["id"]


@pytest.mark.parametrize("frozen", ["layers.0", "layers.0.synapse", "layers.0.synapse.weight"])
def test_what_is_frozen_stays_as_it_was_and_the_rest_is_trained(train: Train, finished: Path, frozen: str) -> None:
    folder = train(f"weights={finished}", f"freeze=[{frozen}]", "trainer.max_epochs=1")
    before, after = weights_of(finished, "best"), weights_of(folder)
    same = {name.removeprefix("network.") for name in before if torch.equal(before[name], after[name])}
    assert same == {name for name in ("layers.0.synapse.weight", "layers.0.synapse.bias") if name.startswith(frozen)}


@pytest.mark.parametrize(
    ("frozen", "told"),
    [
        ("layers.7", "freeze: layers.7 is no part of the network with weights. Did you mean layers"),
        ("layers.0,layers.1", "leaves nothing to train"),
        ("layer", "freeze: layer is no part"),
    ],
)
def test_what_cannot_be_frozen_is_refused(snnlab: Callable[..., Any], frozen: str, told: str) -> None:
    ran = snnlab("train", f"freeze=[{frozen}]", "output_dir=run")
    assert (ran.code, told in ran.err) == (2, True)
