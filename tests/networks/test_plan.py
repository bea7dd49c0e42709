"""Networks from a plan: the parts for all layers, those of one over them, and what is refused at once."""

from __future__ import annotations

import pytest
import torch

from snnlab.errors import WrongOption
from snnlab.networks import LayerPlan, Plan, feedforward, recurrent
from snnlab.networks.plan import merged


def plan(**given) -> Plan:
    return Plan(**{"inputs": (3,), "outputs": 2, **given})


def test_a_plan_gives_layers_of_the_sizes_asked_for():
    net = feedforward(plan(inputs=(2, 3)), hidden=[5, 4])
    assert [tuple(layer.synapse.weight.shape) for layer in net.layers] == [(5, 6), (4, 5), (2, 4)]
    assert all(layer.recurrent is None for layer in net.layers)
    assert net(torch.zeros(7, 1, 2, 3)).outputs.shape == (7, 1, 2)


def test_hidden_layers_of_a_recurrent_network_have_recurrent_weights_and_the_last_has_none():
    net = recurrent(plan(), hidden=[5, 4])
    sizes = [layer.recurrent and tuple(layer.recurrent.weight.shape) for layer in net.layers]
    assert sizes == [(5, 5), (4, 4), None]


def test_noise_is_for_hidden_layers():
    net = feedforward(plan(), hidden=[5, 4], noise=0.1, readout_noise=0.2)
    assert [(layer.noise, layer.readout_noise) for layer in net.layers] == [(0.1, 0.2), (0.1, 0.2), (0.0, 0.0)]


def test_a_network_without_hidden_layers_is_the_output_layer():
    net = feedforward(plan(output_neuron="li", neuron="lif"), hidden=[])
    assert [type(layer.neuron).__name__ for layer in net.layers] == ["LI"]


def test_the_last_layer_has_the_output_neuron_or_that_of_the_others():
    same = feedforward(plan(neuron={"name": "cuba", "tau_mem": 7.0}), hidden=[4])
    assert [layer.neuron.tau_mem for layer in same.layers] == [7.0, 7.0]
    own = feedforward(plan(neuron="cuba", output_neuron={"name": "li", "tau": 3.0}), hidden=[4])
    assert [type(layer.neuron).__name__ for layer in own.layers] == ["CUBA", "LI"]
    assert own.layers[1].neuron.tau == 3.0


def test_dt_and_backend_reach_every_neuron():
    calls = []

    def backend(neuron, currents, state, constants, record, recurrent):
        from snnlab.neurons import reference

        calls.append(neuron.dt)
        return reference(neuron, currents, state, constants, record, recurrent)

    feedforward(plan(dt=0.25, backend=backend), hidden=[4])(torch.zeros(2, 1, 3))
    assert calls == [0.25, 0.25]


@pytest.mark.parametrize("index", ["0", 0])
def test_a_layers_own_options_are_merged_over_those_of_all(index):
    net = feedforward(
        plan(
            neuron={"name": "lif", "tau": 9.0, "threshold": 2.0, "surrogate": {"name": "atan", "alpha": 3.0}},
            synapse={"name": "dense", "biased": False, "init": {"name": "normal", "gain": 2.0}},
            layers={
                index: {
                    "neuron": {"tau": 5.0, "surrogate": {"alpha": 4.0}},
                    "synapse": {"init": {"gain": 0.0}},
                    "noise": 0.5,
                    "readout_noise": 0.25,
                }
            },
        ),
        hidden=[4],
    )
    first, last = net.layers
    assert (first.neuron.tau, first.neuron.threshold, last.neuron.tau) == (5.0, 2.0, 9.0)
    assert first.neuron.surrogate.keywords == {"alpha": 4.0} and last.neuron.surrogate.keywords == {"alpha": 3.0}
    assert first.synapse.bias is None and float(first.synapse.weight.detach().abs().max()) == 0.0
    assert float(last.synapse.weight.detach().std()) > 0
    assert (first.noise, first.readout_noise, last.noise, last.readout_noise) == (0.5, 0.25, 0.0, 0.0)


def test_another_name_in_a_layer_starts_anew():
    given = {"name": "stbp", "tau": 0.9, "threshold": 3.0, "surrogate": {"name": "rectangular", "a": 2.0}}
    net = feedforward(plan(neuron=given, layers={"0": {"neuron": "lif"}}), hidden=[4])
    assert (net.layers[0].neuron.tau, net.layers[0].neuron.threshold) == (20.0, 1.0)  # the defaults of lif, in ms
    assert net.layers[1].neuron.tau == 0.9


def test_a_layer_may_have_a_surrogate_of_its_own():
    given = {"name": "lif", "tau": 9.0, "surrogate": {"name": "atan", "alpha": 3.0}}
    own = {"neuron": {"surrogate": {"name": "rectangular"}}}
    first = feedforward(plan(neuron=given, layers={"0": own}), hidden=[4]).layers[0].neuron
    assert first.surrogate.func.__name__ == "rectangular" and first.surrogate.keywords == {}
    assert first.tau == 9.0


@pytest.mark.parametrize(
    ("spec", "changes", "result"),
    [
        ("lif", {"tau": 5.0}, {"name": "lif", "tau": 5.0}),
        ("lif", "cuba", {"name": "cuba"}),
        ("lif", "lif", {"name": "lif"}),
        ({"name": "lif", "tau": 5.0}, "lif", {"name": "lif", "tau": 5.0}),
        ({"name": "lif", "tau": 5.0}, {"name": "li"}, {"name": "li"}),
        ({"name": "lif", "tau": 5.0}, {"name": "lif", "threshold": 2.0}, {"name": "lif", "tau": 5.0, "threshold": 2.0}),
        (
            {"name": "lif", "surrogate": "atan"},
            {"surrogate": {"alpha": 2.0}},
            {"surrogate": {"name": "atan", "alpha": 2.0}},
        ),
        (
            {"name": "lif", "surrogate": {"name": "atan", "alpha": 2.0}},
            {"surrogate": "boxcar"},
            {"surrogate": "boxcar"},
        ),
        ({"name": "lif", "learn": ["tau"]}, {"learn": []}, {"learn": []}),
    ],
)
def test_changes_lie_over_a_part(spec, changes, result):
    found = merged(spec, changes)
    assert found == ({"name": "lif"} | result)


def test_merging_leaves_what_it_is_given_alone():
    spec = {"name": "lif", "surrogate": {"name": "atan", "alpha": 2.0}}
    merged(spec, {"tau": 5.0, "surrogate": {"alpha": 3.0}})
    assert spec == {"name": "lif", "surrogate": {"name": "atan", "alpha": 2.0}}


def test_initial_weights_follow_the_seed_and_nothing_else():
    torch.manual_seed(0)
    one = recurrent(plan(seed=3), hidden=[4])
    torch.manual_seed(1)
    same, other = recurrent(plan(seed=3), hidden=[4]), recurrent(plan(seed=4), hidden=[4])
    for name, values in one.state_dict().items():
        assert torch.equal(values, same.state_dict()[name])
        assert not torch.equal(values, other.state_dict()[name])


def test_no_two_parameters_of_a_network_start_alike():
    net = recurrent(plan(inputs=(4,), outputs=4), hidden=[4, 4])
    matrices = [parameter for parameter in net.parameters() if parameter.dim() == 2]
    vectors = [parameter for parameter in net.parameters() if parameter.dim() == 1]
    for alike in (matrices, vectors):
        assert len({tuple(values.flatten().tolist()) for values in alike}) == len(alike) > 2


@pytest.mark.parametrize(
    "changed",
    [
        {"layers": {"1": {"synapse": {"init": "zeros"}}}},
        {"layers": {"1": {"recurrent_synapse": {"init": "zeros"}, "neuron": "cuba"}}},
        {"layers": {"1": {"synapse": {"biased": False}}}},
    ],
)
def test_a_change_to_one_layer_leaves_the_weights_of_the_others(changed):
    given = {
        "synapse": {"name": "dense", "init": "normal"},
        "recurrent_synapse": {"name": "recurrent", "init": "normal"},
    }
    before = recurrent(plan(**given), hidden=[4, 4]).state_dict()
    after = recurrent(plan(**given, **changed), hidden=[4, 4]).state_dict()
    for name in before:
        if not name.startswith("layers.1."):
            assert torch.equal(before[name], after[name])


def test_more_layers_leave_the_weights_of_those_below():
    short, deep = feedforward(plan(), hidden=[4]).state_dict(), feedforward(plan(), hidden=[4, 5]).state_dict()
    assert torch.equal(short["layers.0.synapse.weight"], deep["layers.0.synapse.weight"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"layers": {"2": {}}}, r"layers\.2: there is no such layer; the network has 0 to 1"),
        ({"layers": {"-1": {}}}, r"layers\.-1: there is no such layer"),
        ({"layers": {"0": {"neurn": "lif"}}}, r"layers\.0\.neurn: a layer has no such option. Did you mean neuron\?"),
        ({"layers": {"0": {"neuron": {"tua": 5.0}}}}, r"layers\.0\.neuron\.tua: .* Did you mean tau\?"),
        ({"layers": {"0": {"neuron": None}}}, r"layers\.0\.neuron: None"),
        ({"layers": {"0": {"noise": -1}}}, r"layers\.0\.noise: -1. It takes a number >= 0"),
        ({"layers": {"0": {"noise": True}}}, r"layers\.0\.noise: True"),
        ({"layers": {"1": {"readout_noise": float("nan")}}}, r"layers\.1\.readout_noise: nan"),
        ({"neuron": {"name": "lif", "learn": ["tua"]}}, "'tua' is no constant of it. Did you mean tau"),
        ({"neuron": {"name": "ctrnn", "tau": 5.0}, "dt": 10.0}, "at least dt"),
        ({"neuron": {"name": "lif", "tau": [1.0, 2.0]}}, "2 values for units of shape \\(4,\\)"),
        ({"recurrent_synapse": "dense"}, "recurrent_synapse=dense: its place .* It takes recurrent"),
        ({"layers": {"0": {"synapse": "recurrent"}}}, r"layers\.0\.synapse=recurrent: its place .* It takes dense"),
        ({"outputs": 0}, "dense.units: 0"),
    ],
)
def test_what_cannot_be_built_is_refused(given, message):
    with pytest.raises(WrongOption, match=message):
        recurrent(plan(**given), hidden=[4])


def test_a_plan_is_refused_before_a_weight_is_made(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda *_, **__: pytest.fail("a weight was drawn"))
    with pytest.raises(WrongOption, match="'tua' is no constant"):
        feedforward(plan(layers={"1": {"neuron": {"learn": ["tua"]}}}), hidden=[4])


def test_constants_of_an_output_layer_whose_size_is_not_known_yet_may_be_one_per_unit():
    layers = [LayerPlan(units=4), LayerPlan(output=True)]
    plan(output_neuron={"name": "lif", "tau": [1.0, 2.0, 3.0], "learn": ["tau", "threshold"]}).check(layers)
    with pytest.raises(WrongOption, match="2 values for units of shape \\(3,\\)"):
        plan(output_neuron={"name": "lif", "tau": [1.0, 2.0, 3.0], "threshold": [1.0, 2.0]}).check(layers)


def test_recurrent_weights_of_a_layer_that_has_none_are_refused() -> None:
    changes = {"0": {"recurrent_synapse": {"self_connections": False}}}
    with pytest.raises(WrongOption, match=r"layers\.0\.recurrent_synapse: this layer has no recurrent weights"):
        feedforward(Plan((4,), 2, layers=changes), hidden=[3])
    assert recurrent(Plan((4,), 2, layers=changes), hidden=[3]).layers[0].recurrent is not None
    with pytest.raises(WrongOption, match=r"layers\.1\.recurrent_synapse"):  # the output layer
        recurrent(Plan((4,), 2, layers={"1": {"recurrent_synapse": "recurrent"}}), hidden=[3])
