"""Networks of plugins in a run: those made of layers that they say, and those that are any function of their plan."""

from __future__ import annotations

import inspect

import pytest

from snnlab import registry
from snnlab.networks import LayerPlan, conv, feedforward, of_layers, recurrent

FAST = ("batch_size=512", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "plots=false", "output_dir=run")


@pytest.fixture(autouse=True)
def outside(monkeypatch):
    """Two networks, gone after the test: each entry of `hidden` is two layers of so many units."""
    registry.names("network")
    monkeypatch.setitem(registry._parts, "network", dict(registry._parts["network"]))

    @registry.register("network")
    def twice(plan, *, hidden: list[int] = [4]):
        """Two layers an entry."""
        return plan.network([LayerPlan(units=units) for units in hidden for _ in range(2)])

    @registry.register("network")
    @of_layers
    def written(*, hidden: str = "4x2") -> list[LayerPlan]:
        """So many layers of so many units, in a notation of its own."""
        units, count = hidden.split("x")
        return [LayerPlan(units=int(units)) for _ in range(int(count))]


@pytest.mark.parametrize("name", ["twice", "written"])
def test_a_network_from_outside_trains_and_its_layers_can_be_changed(name, snnlab, monkeypatch):
    ran = snnlab("train", f"network={name}", "layers.2.neuron.tau=5.0", *FAST)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("name", ["twice", "written"])
def test_a_layer_that_it_does_not_have_is_refused(name, snnlab):
    ran = snnlab("train", f"network={name}", "layers.3.neuron.tau=5.0", *FAST)
    assert (ran.code, "layers.3: there is no such layer; the network has 0 to 2" in ran.err) == (2, True), ran.err


def test_a_network_that_says_its_layers_is_checked_before_the_data_are_read(snnlab, monkeypatch):
    monkeypatch.setattr("snnlab.data.Digits.load", lambda self: pytest.fail("the data were read"))
    ran = snnlab("train", "network=written", "layers.2.neuron.tua=5.0", *FAST)
    assert (ran.code, "layers.2.neuron.tua" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize("network", [feedforward, recurrent, conv])
def test_a_network_that_says_its_layers_is_a_function_of_a_plan_and_options(network):
    signature = inspect.signature(network)
    assert list(signature.parameters)[:2] == ["plan", "hidden"] and signature.return_annotation == "Network"
    assert all(not layer.output for layer in network.layers())
