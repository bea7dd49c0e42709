"""Which part a run gets, and with which options: what files say, what the command line says, and what falls away."""

from __future__ import annotations

import pytest
from hydra.core.config_store import ConfigStore

from snnlab.composition import Composer
from snnlab.registry import family_of, names
from snnlab.training.config import ROLES, SEVERAL, complete_part


def test_a_part_and_the_part_inside_it_are_chosen_by_name(compose):
    config = compose("neuron=cuba neuron.tau_mem=5 neuron.surrogate=atan neuron.surrogate.alpha=3")
    assert config["neuron"] | {"tau_mem": 5, "surrogate": {"name": "atan", "alpha": 3}} == config["neuron"]
    assert config["neuron"]["tau_syn"] == 5.0


def test_the_order_of_words_makes_no_difference(compose):
    assert compose("neuron.tau_mem=3 neuron={threshold:2} neuron=cuba")["neuron"] == defaults("neuron", "cuba") | {
        "tau_mem": 3,
        "threshold": 2,
    }


def test_an_option_that_is_taken_back_has_its_default(compose):
    assert compose("experiment=li_on_top")["neuron"]["tau"] == 5.0
    assert compose("experiment=li_on_top ~neuron.tau")["neuron"]["tau"] == 20.0


# What files say falls away where the command line chooses another part …


def defaults(family: str, name: str) -> dict:
    """A part as it is when nobody says anything of it."""
    return complete_part(family, name)


@pytest.mark.parametrize(
    ("line", "role", "name"),
    [
        ("experiment=digits_stbp neuron=lif", "neuron", "lif"),
        ("experiment=li_on_top neuron=stbp", "neuron", "stbp"),
        ("experiment=li_on_top output_neuron=linear", "output_neuron", "linear"),
        ("experiment=stbp_by_name neuron=lif", "neuron", "lif"),
        ("experiment=atan_by_group neuron=cuba", "neuron", "cuba"),
    ],
)
def test_another_part_starts_from_its_own_defaults(line, role, name, compose):
    assert compose(line)[role] == defaults(ROLES[role], name)


def test_what_the_command_line_says_of_the_other_part_holds(compose):
    neuron = compose("experiment=digits_stbp neuron=lif neuron.tau=3 neuron.surrogate.slope=4")["neuron"]
    assert neuron == defaults("neuron", "lif") | {"tau": 3, "surrogate": {"name": "fast_sigmoid", "slope": 4}}


@pytest.mark.parametrize("experiment", ["atan_by_name", "atan_by_group"])
def test_a_part_inside_another_falls_away_by_itself(experiment, compose):
    neuron = compose(f"experiment={experiment} neuron.surrogate=fast_sigmoid")["neuron"]
    assert neuron["surrogate"] == defaults("surrogate", "fast_sigmoid")
    assert neuron["tau"] == 7.0


def test_initial_values_fall_away_inside_the_synapse(compose):
    assert compose("experiment=normal_by_group")["synapse"]["init"] == {"name": "normal", "gain": 3.0}
    assert compose("experiment=normal_by_group synapse.init=uniform")["synapse"]["init"]["gain"] == 1.0


def test_a_list_of_parts_is_replaced_as_a_whole(compose):
    config = compose("experiment=mse metric=[accuracy] callback=[]")
    assert (config["metric"], config["callback"]) == ({"accuracy": {"top_k": 1}}, {})


# … and stays where it chooses the same.


@pytest.mark.parametrize(
    ("experiment", "line"),
    [
        ("digits_stbp", "neuron.surrogate=rectangular"),
        ("li_on_top", "neuron=lif output_neuron=li loss=membrane_cross_entropy"),
        ("stbp_with_atan", "neuron=stbp neuron.surrogate=atan"),
        ("atan_by_name", "neuron.surrogate=atan"),
        ("atan_by_group", "neuron=lif neuron.surrogate=atan"),
        ("normal_by_group", "synapse=dense synapse.init=normal"),
        ("mse", "metric=[mse] callback=[early_stopping]"),
        ("layers", "layers.0.neuron=cuba"),
    ],
)
def test_to_choose_the_same_part_changes_nothing(experiment, line, compose):
    assert compose(f"experiment={experiment} {line}") == compose(f"experiment={experiment}")


# `name` in the body of a file.


@pytest.mark.parametrize(
    ("experiment", "role", "name", "said"),
    [
        ("stbp_by_name", "neuron", "stbp", {"threshold": 0.4}),
        ("ctrnn_by_name", "neuron", "ctrnn", {"activation": "tanh"}),
        ("ctrnn_by_name", "output_neuron", "lif", {"threshold": 2.0}),
        ("cuba_as_text", "neuron", "cuba", {}),
        ("network_as_text", "network", "recurrent", {}),
        ("sgd_by_name", "optimizer", "sgd", {}),
        ("atan_by_name", "neuron", "lif", {"tau": 7.0, "surrogate": {"name": "atan", "alpha": 3.0}}),
        ("stbp_with_atan", "neuron", "stbp", {"surrogate": {"name": "atan", "alpha": 3.0}}),
        ("same_value_as_the_other_default", "neuron", "ctrnn", {"tau": 20.0}),
    ],
)
def test_a_name_in_a_file_replaces_the_part_and_brings_its_own_defaults(experiment, role, name, said, compose):
    assert compose(f"experiment={experiment}")[role] == defaults(ROLES[role], name) | said


def test_the_command_line_sets_every_option_of_a_part_that_a_file_named(compose):
    neuron = compose("experiment=stbp_by_name neuron.tau=0.5 neuron.forget_gate=code neuron.surrogate.a=2")["neuron"]
    assert neuron == defaults("neuron", "stbp") | {
        "threshold": 0.4,
        "tau": 0.5,
        "forget_gate": "code",
        "surrogate": {"name": "rectangular", "a": 2},
    }


# Nothing in an optional place.


def test_the_output_neuron_is_that_of_the_hidden_layers_where_it_is_null(compose):
    assert compose("experiment=li_on_top")["output_neuron"] == defaults("neuron", "li") | {"tau": 3.0}
    for line in ("experiment=li_on_top output_neuron=null loss=count_cross_entropy", "experiment=heir_without_top"):
        assert compose(line)["output_neuron"] is None


def test_the_readout_is_the_losss_own_where_it_is_null(compose):
    assert compose("readout=spike_count")["readout"]["name"] == "spike_count"
    assert compose("readout=null")["readout"] is None


def test_a_run_may_have_no_experiment(compose):
    for line in ("experiment=null time.steps=4", "~experiment time.steps=4"):
        assert compose(line)["experiment"] is None


# Single layers.


def test_layers_take_parts_and_options_of_their_own(compose):
    line = "layers.0.neuron=cuba layers.0.neuron.tau_mem=4 layers.1.synapse.init=normal layers.1.noise=0.1"
    assert compose(line)["layers"] == {
        "0": {"neuron": {"name": "cuba", "tau_mem": 4}},
        "1": {"synapse": {"init": {"name": "normal"}}, "noise": 0.1},
    }


@pytest.mark.parametrize("experiment", ["layers", "layers_by_text"])
def test_a_layer_of_a_file_starts_anew_where_the_command_line_chooses_another_part(experiment, compose):
    assert compose(f"experiment={experiment}")["layers"]["0"]["neuron"]["tau_mem"] == 3.0
    line = f"experiment={experiment} layers.0.neuron.tau=4 layers.0.neuron=lif"
    assert compose(line)["layers"] == {"0": {"neuron": {"name": "lif", "tau": 4}, "noise": 0.5}}


@pytest.mark.parametrize("line", ["layers.0.neuron.threshold=4", "layers.0.neuron={threshold:4}"])
def test_an_option_of_a_layer_does_not_undo_the_choice_of_a_file(line, compose):
    expected = {"name": "cuba", "threshold": 4}
    assert compose(f"experiment=cuba_in_a_layer {line}")["layers"]["0"]["neuron"] == expected
    assert compose(f"experiment=layers {line}")["layers"]["0"]["neuron"] == expected | {"tau_mem": 3.0}


def test_what_files_say_of_layers_can_be_taken_back(compose):
    assert compose("experiment=layers_by_text ~layers.0.neuron layers.1.noise=0.25")["layers"] == {
        "0": {"noise": 0.5},
        "1": {"noise": 0.25},
    }


def test_files_may_refer_to_other_options(compose):
    config = compose("experiment=interpolated time.dt=2.5 layers.0.noise=0.1")
    assert config["neuron"]["tau"] == 2.5
    assert config["layers"] == {"0": {"neuron": {"tau": 2.5}, "noise": 0.1}}


def test_an_experiment_may_build_on_another(compose):
    config = compose("experiment=heir")
    assert config["neuron"] == defaults("neuron", "lif") | {"tau": 5.0, "threshold": 0.5}
    assert (config["experiment"], config["output_neuron"]["name"]) == ("heir", "li")


# Lists of parts, the Trainer.


def test_several_parts_are_chosen_as_a_list_and_in_its_order(compose):
    assert list(compose("metric=[mse,accuracy]")["metric"]) == ["mse", "accuracy"]
    assert compose("metric=mse")["metric"] == {"mse": {}}
    assert compose("metric=[]")["metric"] == {}
    assert compose("metric=[accuracy] metric.accuracy.top_k=2")["metric"] == {"accuracy": {"top_k": 2}}
    assert compose("callback=[early_stopping] callback.early_stopping.patience=3")["callback"] == {
        "early_stopping": {"patience": 3, "min_delta": 0.0}
    }


def test_a_file_of_trainer_arguments_is_chosen_by_name(compose):
    assert compose("trainer=ddp_cpu trainer.max_epochs=3")["trainer"] == {
        "accelerator": "cpu",
        "strategy": "ddp",
        "devices": 2,
        "max_epochs": 3,
    }


# Text.


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("output_dir=\"'a,b'\"", "a,b"),
        ("output_dir='\"a, b=c\"'", "a, b=c"),
        ("output_dir=\"'it\\'s'\"", "it's"),
        ("output_dir='\"a [b] {c}\"'", "a [b] {c}"),
        ("output_dir='${seed}/x'", "0/x"),
    ],
)
def test_values_with_commas_and_quotes_arrive_as_they_are(word, value, compose):
    assert compose(word)["output_dir"] == value


def test_every_part_of_a_family_is_a_choice():
    groups = Composer().groups - {*SEVERAL}  # made now: another test may have registered a part
    assert {ROLES[group] for group in groups if group in ROLES} == {*ROLES.values()}
    for group in groups:
        family = ROLES.get(group, family_of(group.rpartition("/")[2]))
        assert {f"{name}.yaml" for name in names(family)} <= {*ConfigStore.instance().list(group)}


def test_parts_inside_parts_are_groups_too(composer):
    nested = {f"{role}/{key}" for role in ROLES for key in ("surrogate", "init", "bias_init")} & composer.groups
    assert nested == {
        "neuron/surrogate",
        "output_neuron/surrogate",
        *(f"{role}/{key}" for role in ("synapse", "recurrent_synapse") for key in ("init", "bias_init")),
    }
