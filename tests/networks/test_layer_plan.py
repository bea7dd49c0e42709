"""What a network says of a layer: what goes together, what its synapse takes of it, and what is refused."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch

from snnlab import registry
from snnlab.errors import WrongOption
from snnlab.networks import Layer, LayerPlan, Plan
from snnlab.neurons import LI, LIF
from snnlab.options import FromRun, PositiveInt
from snnlab.synapses import Conv2d, Dense, PictureSynapse, Recurrent, Synapse


def plan(**given) -> Plan:
    return Plan(**{"inputs": (8, 7), "outputs": 4, **given})


@pytest.fixture
def parts(monkeypatch):
    """Parts that are registered here are gone after the test."""
    for family in ("synapse", "network"):
        registry.names(family)
        monkeypatch.setitem(registry._parts, family, dict(registry._parts[family]))


def test_options_that_a_network_decides_of_a_dense_layer_lie_over_those_of_all():
    wanted = LayerPlan(units=5, synapse={"biased": False, "init": {"gain": 0.0}})
    first, last = plan(synapse={"name": "dense", "init": "normal"}).network([wanted]).layers
    assert first.synapse.bias is None and not first.synapse.weight.detach().any()
    assert last.synapse.bias is not None and last.synapse.weight.detach().any()


def test_a_network_may_name_the_synapse_of_a_dense_layer(parts):
    @registry.register("synapse")
    class Doubled(Dense):
        """Twice."""

    net = plan(synapse={"name": "dense", "biased": False}).network([LayerPlan(units=5, synapse={"name": "doubled"})])
    assert type(net.layers[0].synapse) is Doubled


def test_a_network_may_name_the_synapse_of_a_layer_over_pictures(parts):
    @registry.register("synapse")
    class Depthwise(PictureSynapse):
        """Scales."""

        gain: float = 1.0

        def initialize(self):
            self.weight = torch.nn.Parameter(torch.ones(()))

        def slide(self, pictures):
            return self.weight * torch.nn.functional.avg_pool2d(pictures, self.kernel, 1)

    given = {"name": "dense", "biased": True, "init": {"name": "normal"}}  # as a run has them: all defaults filled in
    wanted = [LayerPlan("convolution", units=1, kernel=3, synapse={"name": "depthwise", "gain": 2.0})]
    first = plan(synapse=given).network(wanted).layers[0].synapse
    assert (type(first), first.gain, first.units) == (Depthwise, 2.0, [1, 6, 5])


def test_a_name_that_a_network_decided_is_told_with_its_layer():
    with pytest.raises(WrongOption, match=r"^layers\.0\.synapse\.pooling: synapse dense has no such option"):
        plan().network([LayerPlan(units=5, synapse={"pooling": "max"})])


def test_the_output_layer_is_added_unless_it_is_there():
    added = plan(output_neuron="li").network([LayerPlan(units=5)])
    own = plan(output_neuron="li").network([LayerPlan(units=5), LayerPlan(output=True, readout_noise=0.5)])
    for net in (added, own):
        assert [layer.synapse.units for layer in net.layers] == [5, 4]
        assert [type(layer.neuron).__name__ for layer in net.layers] == ["LIF", "LI"]
    assert own.layers[1].readout_noise == 0.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kind": "convolutoin", "units": 3}, "kind 'convolutoin'. It takes .* Did you mean convolution"),
        ({"kind": "convolution", "units": 3}, "a convolution with kernel None. It takes a whole number > 0"),
        ({"kind": "pooling"}, "a pooling with kernel None"),
        ({"kind": "pooling", "kernel": 2.5}, "a pooling with kernel 2.5"),
        ({"kind": "convolution", "kernel": 3}, "a convolution with units None. It takes the number of its channels"),
        ({"kind": "convolution", "kernel": 3, "units": 0}, "a convolution with units 0"),
        ({"kind": "pooling", "kernel": 3, "units": 2}, "a pooling with units 2. It has as many channels as come in"),
        ({"kind": "convolution", "kernel": 3, "units": 2, "recurrent": True}, "recurrent weights of kind convolution"),
        ({"kind": "pooling", "kernel": 3, "output": True}, "the output layer of kind pooling"),
        ({"units": 3, "kernel": 3}, "a dense layer with kernel 3"),
        ({}, "a dense layer without units"),
    ],
)
def test_what_does_not_go_together_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        LayerPlan(**given)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([LayerPlan(units=3, output=True), LayerPlan(units=4)], "network: layer 0 is an output layer. It takes one"),
        ([LayerPlan(units=9, output=True)], "network: an output layer of 9 units. It takes 4"),
    ],
)
def test_an_output_layer_elsewhere_or_of_another_size_is_refused(wanted, message):
    with pytest.raises(WrongOption, match=message):
        plan().network(wanted)


PICTURES = Conv2d(inputs=[2, 5, 4], channels=3, kernel=3)


@pytest.mark.parametrize(
    ("synapse", "weights", "message"),
    [
        (PICTURES, Recurrent(inputs=18, units=18), "recurrent weights of a layer over pictures. It has none"),
        (Recurrent(inputs=3, units=3), None, "Recurrent as synapse. It acts once a step: give it as `recurrent`"),
    ],
    ids=["pictures", "recurrent"],
)
def test_weights_at_a_place_that_is_not_theirs_are_refused(synapse, weights, message):
    with pytest.raises(WrongOption, match=message):
        Layer(synapse, LI(), weights)


def test_what_takes_pictures_and_cannot_tell_its_units_is_refused(parts):
    @registry.register("synapse")
    class Odd(Synapse):
        """Takes pictures."""

        takes: ClassVar = "pictures"
        inputs: FromRun[list[PositiveInt]]
        units: FromRun[list[PositiveInt]]

    with pytest.raises(WrongOption, match=r"layers\.0\.synapse=odd: it takes pictures and is no PictureSynapse"):
        plan(layers={"0": {"synapse": "odd"}}).network([LayerPlan("convolution", units=3, kernel=3)])


def test_a_constant_of_every_place_of_a_convolution_is_taken_and_held_against_the_data():
    wanted, tau = [LayerPlan("convolution", units=3, kernel=3)], torch.full((3, 6, 5), 7.0)
    own = {"0": {"neuron": {"tau": tau}}}
    assert plan(layers=own).network(wanted).layers[0].neuron.tau.shape == (3, 6, 5)
    for channels, inputs in ((3, (9, 9)), (2, (8, 7))):
        with pytest.raises(WrongOption, match=r"layers\.0 \(.C3\): lif.tau: 90 values for units of shape"):
            plan(layers=own, inputs=inputs).network([LayerPlan("convolution", units=channels, kernel=3)])


def test_errors_of_a_neuron_name_its_layer():
    wanted = [LayerPlan("convolution", units=3, kernel=3), LayerPlan(units=6)]
    with pytest.raises(WrongOption, match=r"^layers\.1 \(6\): lif.tau: 3 values for units of shape \(6,\)"):
        plan(neuron={"name": "lif", "tau": [5.0, 6.0, 7.0]}, output_neuron="li").network(wanted)


@pytest.mark.parametrize("role", ["synapse", "recurrent_synapse", "neuron", "output_neuron"])
def test_a_built_part_or_a_function_for_all_layers_is_refused(role):
    part = LIF() if "neuron" in role else Dense(inputs=56, units=5)
    with pytest.raises(WrongOption, match=f"^{role}: .* It takes a name or a dict of name and options"):
        plan(**{role: part}).network([LayerPlan(units=5)])
    if role != "output_neuron":
        with pytest.raises(WrongOption, match=rf"^layers\.0\.{role}: .* It takes a name or a dict"):
            plan(layers={"0": {role: lambda **_: part}}).network([LayerPlan(units=5, recurrent=True)])


def test_one_layer_may_have_parts_already_built():
    mine, neuron = Dense(inputs=56, units=5), LIF(tau=3.0)
    net = plan(layers={"0": {"synapse": mine, "neuron": neuron}}).network([LayerPlan(units=5)])
    assert net.layers[0].synapse is mine and net.layers[0].neuron is neuron
    over = plan(layers={"0": {"synapse": Conv2d(inputs=[1, 8, 7], channels=3, kernel=3)}})
    assert over.network([LayerPlan("convolution", units=3, kernel=3)]).layers[0].synapse.units == [3, 6, 5]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"synapse": Dense(inputs=55, units=5)}, "a Dense of 55 inputs and 5 units. It takes 56 and 5"),
        ({"synapse": PICTURES}, "synapse=Conv2d: its place in a layer is another one"),
        ({"neuron": LIF(dt=0.5)}, "a LIF of dt 0.5. It takes the network's, 1.0"),
    ],
    ids=["size", "place", "dt"],
)
def test_parts_already_built_that_do_not_fit_are_refused(own, message):
    with pytest.raises(WrongOption, match=message):
        plan(layers={"0": own}).network([LayerPlan(units=5)])


def test_weights_that_do_not_fit_into_memory_name_their_layer(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(torch, "rand", full)
    with pytest.raises(WrongOption, match=r"layers\.0 \(999999\): its weights do not fit into memory"):
        plan().network([LayerPlan(units=999999)])
