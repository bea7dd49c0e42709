"""One Composer for all tests, and a folder of a user's with experiments of his own."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path

import pytest

from snnlab.composition import Composer

EXPERIMENTS = {
    # A part chosen by `name` in the body; lif, which config.yaml chose, has other defaults under the same keys.
    "stbp_by_name": "neuron: {name: stbp, threshold: 0.4}",
    "ctrnn_by_name": "neuron: {name: ctrnn, activation: tanh}\noutput_neuron: {name: lif, threshold: 2.0}",
    "cuba_as_text": "neuron: cuba",
    "network_as_text": "network: recurrent",
    "sgd_by_name": "optimizer: {name: sgd}",
    "atan_by_name": "neuron: {tau: 7.0, surrogate: {name: atan, alpha: 3.0}}",
    "stbp_with_atan": "neuron: {name: stbp, surrogate: {name: atan, alpha: 3.0}}",
    "same_value_as_the_other_default": "neuron: {name: ctrnn, tau: 20.0}\noutput_neuron: lif",
    # A part chosen in the defaults list.
    "atan_by_group": "defaults: [override /neuron/surrogate: atan]\nneuron: {tau: 7.0, surrogate: {alpha: 3.0}}",
    "normal_by_group": "defaults: [override /synapse/init: normal]\nsynapse: {init: {gain: 3.0}}",
    "mse": "defaults: [override /metric: [mse], override /callback: [early_stopping]]\n"
    "callback: {early_stopping: {patience: 3}}",
    "layers": "layers: {0: {neuron: {name: cuba, tau_mem: 3.0, threshold: 2.0}, noise: 0.5}}",
    "layers_by_text": "layers: {'0': {neuron: {name: cuba, tau_mem: 3.0, threshold: 2.0}, noise: 0.5}}",
    "cuba_in_a_layer": "layers: {'0': {neuron: cuba}}",
    "interpolated": "neuron: {tau: '${time.dt}'}\nlayers: {0: {neuron: {tau: '${time.dt}'}}}",
    "li_on_top": "defaults: [override /output_neuron: li, override /loss: membrane_cross_entropy]\n"
    "neuron: {tau: 5.0}\noutput_neuron: {tau: 3.0}",
    "heir": "defaults: [li_on_top]\nneuron: {threshold: 0.5}",
    "heir_without_top": "defaults: [li_on_top, override /loss: count_cross_entropy]\noutput_neuron: null",
    # What is wrong.
    "typo": "neuron: {tua: 3.0}",
    "typo_in_trainer": "trainer: {max_epchs: 3}",
    "unknown_part": "defaults: [override /neuron: lfi]",
    "no_yaml": "neuron: [",
    "loose_interpolation": "neuron: {tau: '${time.dtt}'}",
    "no_name": "output_neuron: {tau: 3.0}",
}


@pytest.fixture(scope="session")
def composer() -> Composer:
    return Composer()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a conf/ of its own."""
    folder = tmp_path_factory.mktemp("user")
    (folder / "conf" / "experiment").mkdir(parents=True)
    for name, body in EXPERIMENTS.items():
        text = f"# @package _global_\n{body}\ntime: {{steps: 5}}\n"
        (folder / "conf" / "experiment" / f"{name}.yaml").write_text(text)
    (folder / "conf" / "experiment" / "no_package.yaml").write_text("neuron: {tau: 3.0}\n")
    return folder


@pytest.fixture(scope="session")
def composed(composer: Composer):
    return functools.cache(lambda line: composer.job(composer.translated(shlex.split(line))))


@pytest.fixture
def compose(composed, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """From a command line, as a shell would split it, to the configuration."""
    monkeypatch.chdir(folder)
    return composed
