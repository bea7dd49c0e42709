"""The configuration of a run as plain data: what is refused, and what its completion holds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator

import pytest

from snnlab.errors import WrongOption
from snnlab.networks import Network
from snnlab.options import options, settings
from snnlab.registry import build, get
from snnlab.training.config import ROLES, SEVERAL, check_config, complete, complete_part, plain, plan, run

NAMES = {
    "task": "supervised",
    "dataset": "digits",
    "encoder": "constant",
    "network": "feedforward",
    "neuron": "lif",
    "synapse": "dense",
    "recurrent_synapse": "recurrent",
    "backend": "reference",
    "gradient": "bptt",
    "loss": "count_cross_entropy",
    "optimizer": "adam",
    "scheduler": "constant",
}


def config(**given) -> dict:
    return {**NAMES, "metric": {"accuracy": {}}, "time": {"steps": 5}, **given}


def test_names_alone_are_a_configuration():
    check_config(config())


def test_completion_fills_in_every_option_of_every_part():
    whole = complete(config())
    for role, family in ROLES.items():
        if whole[role] is not None:
            assert_whole(family, whole[role])
    assert whole["metric"] == {"accuracy": {"top_k": 1}}
    assert {name: whole[name] for name in options(run)} == {
        name: option.default for name, option in options(run).items()
    }
    assert whole["time"] == {"dt": 1.0, "steps": 5}
    assert (whole["layers"], whole["trainer"], whole["output_neuron"], whole["readout"]) == ({}, {}, None, None)


def assert_whole(family: str, part: dict) -> None:
    known = settings(get(family, part["name"]))
    assert set(part) == {"name", *known}
    for key, option in known.items():
        if option.is_part:
            assert part[key] == complete_part(key.rpartition("_")[2], option.default)
        else:
            assert part[key] == plain(option.default)


def test_completion_is_idempotent_and_keeps_what_was_given():
    given = config(
        neuron={"name": "lif", "tau": 3, "surrogate": {"name": "atan", "alpha": 3}, "learn": ["tau"]},
        metric={"mse": None, "accuracy": {"top_k": 2}},
        regularizer={"rate_lower": {"bound": 0.1}},
        trainer={"max_epochs": 3, "devices": [0, 1]},
        layers={0: {"neuron": {"tau": 5}}},
        output_dir="a/b",
    )
    before = copy.deepcopy(given)
    whole = complete(given)
    assert given == before
    assert complete(whole) == whole == json.loads(json.dumps(whole))
    assert whole["neuron"]["surrogate"] == {"name": "atan", "alpha": 3}
    assert list(whole["metric"].items()) == [("mse", {}), ("accuracy", {"top_k": 2})]
    assert whole["trainer"] == {"max_epochs": 3, "devices": [0, 1]}
    assert whole["layers"] == {"0": {"neuron": {"tau": 5}}}
    check_config(whole)


def test_what_lightning_does_by_itself_is_not_written_down():
    assert complete(config(trainer={"max_epochs": None, "accelerator": "auto", "precision": 64}))["trainer"] == {
        "precision": 64
    }


def test_a_plan_of_a_configuration_is_what_it_says():
    whole = complete(
        config(
            neuron={"name": "lif", "tau": 3.0},
            output_neuron="li",
            synapse={"name": "dense", "biased": False},
            network={"name": "recurrent", "hidden": [4], "noise": 0.5},
            layers={"1": {"neuron": {"tau": 7.0}}},
            time={"steps": 5, "dt": 0.5},
            seed=3,
        )
    )
    net: Network = build("network", whole["network"])(plan(whole, (2, 3), 6))
    first, last = net.layers
    assert (first.neuron.tau, last.neuron.tau, first.neuron.dt, last.neuron.dt) == (3.0, 7.0, 0.5, 0.5)
    assert (first.synapse.weight.shape, last.synapse.weight.shape, first.synapse.bias) == ((4, 6), (6, 4), None)
    assert (first.recurrent.weight.shape, last.recurrent, first.noise) == ((4, 4), None, 0.5)
    other: Network = build("network", whole["network"])(plan(whole | {"seed": 4}, (2, 3), 6))
    assert not first.synapse.weight.equal(other.layers[0].synapse.weight)


TYPO = "has no such option. Did you mean tau?"

WRONG = [
    ({"neuron": {"name": "lif", "tua": 3.0}}, f"neuron.tua: neuron lif {TYPO}"),
    (
        {"neuron": {"name": "lif", "surrogate": {"name": "atan", "tau": 3.0}}},
        "neuron.surrogate.tau: surrogate atan has no",
    ),
    ({"neuron": {"name": "lif", "surrogate": None}}, "neuron.surrogate: null. It takes the name of a surrogate."),
    ({"neuron": {"name": "lif", "tau": 0}}, "neuron.tau: 0. It takes a number in ms, > 0"),
    ({"neuron": {"name": "lif", "tau": None}}, "neuron.tau: None."),
    ({"neuron": {"name": "lif", "tau": []}}, "lif.tau: []."),
    ({"neuron": {"name": "lif", "tau": [1.0, 2.0]}}, "2 values for units of shape (256,)"),
    ({"neuron": {"tau": 3.0}}, "neuron: {'tau': 3.0}. It takes the name of a part"),
    ({"neuron": "lfi"}, "neuron=lfi: there is no neuron of that name. Did you mean lif?"),
    ({"neuron": None}, "neuron: null. It takes the name of a neuron."),
    ({"neuron": ["lif"]}, "neuron: ['lif']. It takes the name of a part"),
    ({"neuron": {"name": "lif", "learn": ["tua"]}}, "lif.learn: 'tua' is no constant of it. Did you mean tau?"),
    ({"neuron": "ctrnn", "output_neuron": "lif", "time": {"steps": 5, "dt": 200.0}}, "at least dt (200 ms)"),
    ({"synapse": "recurrent"}, "synapse=recurrent: its place"),
    ({"nuron": "lif"}, "nuron: a run has no such option. Did you mean neuron?"),
    ({"seed": 1.5}, "seed: 1.5. It takes a whole number >= 0."),
    ({"seed": True}, "seed: True."),
    ({"seed": "0"}, "seed: '0'."),
    ({"batch_size": 0}, "batch_size: 0. It takes a whole number > 0."),
    ({"plots": 1}, "plots: 1. It takes true or false."),
    ({"output_dir": 3}, "output_dir: 3. It takes text or null."),
    ({"time": {"steps": 5, "dt": 0}}, "time.dt: 0. It takes a number in ms, > 0."),
    ({"time": {"stps": 5}}, "time.stps: there is no such option. Did you mean steps?"),
    ({"time": {}}, "time.steps: null. Encoder constant needs it"),
    ({"time": None}, "time: None. It takes options: dt, steps."),
    ({"network": {"name": "feedforward", "hidden": 10}}, "network.hidden: 10. It takes a list of a whole number > 0."),
    ({"network": {"name": "feedforward", "hidden": [0]}}, "network.hidden: [0]."),
    ({"metric": ["accuracy"]}, "metric: ['accuracy']. It takes names with their options: metric=[a, b]"),
    ({"metric": {"acuracy": {}}}, "metric=acuracy: there is no metric of that name. Did you mean accuracy?"),
    ({"metric": {"accuracy": {"top_k": 0}}}, "metric.accuracy.top_k: 0. It takes a whole number > 0."),
    ({"metric": {"accuracy": 3}}, "metric.accuracy: 3. It takes options"),
    (
        {"callback": {"early_stopping": {"patince": 3}}},
        "callback.early_stopping.patince: callback early_stopping has no",
    ),
    ({"monitor": "val/acuracy"}, "monitor: val/acuracy. It takes a number of an epoch. Did you mean val/accuracy?"),
    ({"monitor": "test/accuracy"}, "monitor: test/accuracy."),
    ({"trainer": {"max_epchs": 3}}, "trainer.max_epchs: there is no such option. Did you mean max_epochs?"),
    ({"trainer": {"max_epochs": "3"}}, "trainer.max_epochs: '3'. It takes a whole number or null."),
    ({"trainer": {"logger": False}}, "trainer.logger: a run sets it itself: use logger=csv."),
    ({"trainer": None}, "trainer: None. It takes options: accelerator"),
    ({"layers": 5}, "layers: 5. It takes changes to layers by index"),
    ({"layers": {"0": 5}}, "layers: {'0': 5}."),
    ({"layers": {"2": {}}}, "layers.2: there is no such layer; the network has 0 to 1."),
    ({"layers": {"0": {"neuron": {"tua": 5}}}}, f"layers.0.neuron.tua: neuron lif {TYPO}"),
    ({"layers": {"1": {"synapse": {"biassed": True}}}}, "layers.1.synapse.biassed: synapse dense has no such option."),
    ({"layers": {0: {"noise": -1}}}, "layers.0.noise: -1. It takes a number >= 0."),
    (
        {"layers": {"1": {"neuron": "li"}}},
        "loss=count_cross_entropy: it needs the spikes of the last layer, and li has",
    ),
    ({"output_neuron": "li"}, "loss=count_cross_entropy: it needs the spikes of the last layer, and li has potential."),
    (
        {"readout": "max_over_time", "neuron": "cuba", "output_neuron": "linear"},
        "it needs the spikes of the last layer",
    ),
    (
        {"output_neuron": "li", "loss": "membrane_cross_entropy", "readout": "spike_count"},
        "readout=spike_count: it needs the spikes of the last layer, and li has potential. Choose another readout, or",
    ),
]


@pytest.mark.parametrize(("given", "text"), WRONG, ids=[str(given) for given, _ in WRONG])
def test_what_is_wrong_is_told_with_its_place(given, text):
    with pytest.raises(WrongOption) as error:
        check_config(config(**given))
    assert text in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {"monitor": "train/loss"},
        {"monitor": "val/rate/0"},
        {"metric": {}, "monitor": "val/loss"},
        {"encoder": "identity", "time": {"steps": None}},
        {"layers": {"1": {"neuron": "li"}}, "loss": "membrane_cross_entropy"},
        {"network": {"name": "feedforward", "hidden": []}, "layers": {"0": {"neuron": "cuba"}}},
        {
            "network": {"name": "feedforward", "hidden": [3]},
            "neuron": {"name": "lif", "tau": [1, 2, 3]},
            "output_neuron": "lif",
        },
        {"output_neuron": {"name": "lif", "tau": [1.0] * 10, "learn": ["tau"]}},
        {"neuron": {"name": "lif", "share": "unit", "learn": ["tau"], "initial": "learned"}},
        {"trainer": {"devices": "auto", "precision": "bf16-mixed", "gradient_clip_val": 1, "limit_train_batches": 0.5}},
    ],
    ids=str,
)
def test_what_is_right_passes(given):
    check_config(config(**given))


def places(node, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value in a configuration, inner nodes too."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))


def test_no_damage_to_a_saved_configuration_escapes_the_check():
    """A file that somebody edited may hold anything: it passes, or the error says where it is wrong."""
    whole = complete(config(output_neuron="lif", readout="spike_count", layers={"0": {"neuron": {"tau": 5.0}}}))
    for path in places(whole):
        for value in (None, 5, -1.5, "x", True, [], [1], ["x"], {}, {"x": 1}, {"name": 3}, {1: {2: 3}}):
            damaged = copy.deepcopy(whole)
            node = damaged
            for key in path[:-1]:
                node = node[key]
            node[path[-1]] = value
            try:
                check_config(damaged)
            except WrongOption:
                continue
            complete(damaged)


@pytest.mark.parametrize("role", [*ROLES, *SEVERAL, "time", "layers", "trainer", *options(run)])
def test_a_saved_configuration_without_one_of_its_parts_is_completed_or_refused(role):
    whole = complete(config(metric={}))
    without = {key: value for key, value in whole.items() if key != role}
    try:
        check_config(without)
    except WrongOption as error:
        assert role in str(error)
    else:
        assert complete(without) == whole
