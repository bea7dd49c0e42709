"""Options without a default: told where they are missing, taken where they are given."""

from __future__ import annotations

import copy
from typing import NamedTuple

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from torch import Tensor

from snnlab import registry
from snnlab.composition import Composer
from snnlab.errors import WrongOption
from snnlab.neurons import Positive, SpikingNeuron
from snnlab.options import PositiveInt


class Needy(SpikingNeuron):
    """Fires above a threshold that must be given."""

    threshold: Positive

    class State(NamedTuple):
        spikes: Tensor

    def constants(self):
        return {"theta": self.threshold}

    def step(self, current, state, theta):
        return self.State(self.spike(current - theta))


def needy(*, width: PositiveInt) -> None:
    """A metric with a width that must be given."""


@pytest.fixture
def composer(monkeypatch: pytest.MonkeyPatch) -> Composer:
    """One that knows two more parts, and leaves no trace of them."""
    Plugins.instance()  # Hydra stores its launchers when it first looks for plugins: not into the copy
    monkeypatch.setattr(ConfigStore.instance(), "repo", copy.deepcopy(ConfigStore.instance().repo))
    for family, part in (("neuron", Needy), ("metric", needy)):
        registry.names(family)  # or the family's own modules would come behind
        monkeypatch.setitem(registry._parts[family], "needy", part)
    return Composer()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["neuron=needy"], "neuron.threshold: neuron needy needs it: a number > 0"),
        (["metric=[needy]"], "metric.needy.width: metric needy needs it: a whole number > 0"),
        (["layers.0.neuron=needy"], "layers.0.neuron.threshold: neuron needy needs it"),
        (["neuron=needy", "neuron.threshold=-1"], "neuron.threshold: -1. It takes a number > 0"),
    ],
)
def test_an_option_that_is_missing_is_told(words, text, composer):
    with pytest.raises(WrongOption) as error:
        composer.job(composer.translated(words))
    assert text in str(error.value)


def test_an_option_that_is_given_is_taken(composer):
    words = ["neuron=needy", "neuron.threshold=2", "metric=[needy]", "metric.needy.width=3"]
    config = composer.job(composer.translated(words))
    assert config["neuron"]["threshold"] == 2
    assert config["metric"] == {"needy": {"width": 3}}
