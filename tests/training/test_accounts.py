"""What is counted, what is decayed, and what is refused: numbers that would be wrong without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab.composition import Composer
from snnlab.errors import WrongOption
from snnlab.training.assemble import build_module, load_data
from snnlab.training.module import Training
from snnlab.training.stored import changed
from snnlab.training.table import read


def module_of(*words: str) -> Training:
    composer = Composer()
    config = composer.job(composer.translated([*words, "network.hidden=[16]"]))
    data = load_data(config)
    return build_module(config, data.units, data.outputs, data.classes)


def test_weight_decay_leaves_learned_constants_and_first_states_alone() -> None:
    module = module_of("neuron.learn=[tau]", "neuron.initial=learned", "optimizer=adamw", "optimizer.weight_decay=0.5")
    weights, constants = module.parts.optimizer(module._groups()).param_groups
    learned = {id(p) for name, p in module.named_parameters() if name.endswith("_raw") or "initial_" in name}
    assert {id(p) for p in constants["params"]} == learned and len(learned) == 4
    assert constants["weight_decay"] == 0.0 and weights["weight_decay"] == 0.5


def test_rates_are_of_spikes_without_what_noise_adds_to_the_readout(train: Callable[..., Path]) -> None:
    words = ("trainer.max_epochs=1", "network.hidden=[16]", "plots=false")
    rows = read(
        train(*words, "network.readout_noise=0.5", "optimizer.lr=1e-9", "synapse.init=zeros", "synapse.bias_init=zeros")
        / "metrics.csv"
    )
    assert rows[0]["train/rate/0"] == 0.0 and rows[0]["train/silent/0"] == 1.0


def test_a_regularizer_needs_a_hidden_layer_that_fires() -> None:
    with pytest.raises(WrongOption, match="no hidden layer fires"):
        module_of("experiment=digits_ctrnn", "regularizer=[rate_upper]")


def test_penalties_are_logged_beside_the_loss(train: Callable[..., Path]) -> None:
    words = ("trainer.max_epochs=1", "network.hidden=[16]", "plots=false")
    plain = read(train(*words) / "metrics.csv")
    with_penalty = read(
        train(*words, "regularizer=[rate_l2]", "regularizer.rate_l2.weight=0.0", name="other") / "metrics.csv"
    )
    assert with_penalty[0]["train/penalty/rate_l2"] == 0.0
    assert with_penalty[0]["train/loss"] == plain[0]["train/loss"]


@pytest.mark.parametrize("key", ["dataset.split_seed", "dataset.val", "dataset.name"])
def test_an_evaluation_refuses_another_split(key: str) -> None:
    composer = Composer()
    config: dict[str, Any] = composer.job(composer.translated([]))
    with pytest.raises(WrongOption, match="another split"):
        changed(config, {key: 5})


def test_a_loss_that_cannot_take_the_targets_is_told_with_the_dataset() -> None:
    with pytest.raises(WrongOption, match="trace_mse: it takes values as targets, and digits gives classes"):
        module_of("loss=trace_mse", "output_neuron=li")
