"""Every experiment that snnlab ships composes, is checked and complete, and survives being saved."""

from __future__ import annotations

import pytest
import yaml

from snnlab.composition.groups import conf_folder
from snnlab.training.config import ROLES, SEVERAL, check_config, complete

EXPERIMENTS = sorted(path.stem for path in (conf_folder() / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_composes_to_a_complete_configuration_that_checks_again(name, compose):
    config = compose(f"experiment={name}")
    assert config["experiment"] == name
    assert complete(config) == config
    assert set(config) == {*ROLES, *SEVERAL, "time", "layers", "trainer"} | {
        "experiment",
        "seed",
        "batch_size",
        "state",
        "workers",
        "weights",
        "freeze",
        "monitor",
        "checkpoint_minutes",
        "plots",
        "output_dir",
    }
    saved = yaml.safe_load(yaml.safe_dump(config, sort_keys=False))
    check_config(saved)
    assert saved == config


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_how_it_is_run(name):
    head = (conf_folder() / "experiment" / f"{name}.yaml").read_text().splitlines()[:2]
    assert head[0] == "# @package _global_"
    assert head[1].endswith(f"snnlab train experiment={name}")


def test_the_default_run_is_the_experiment_that_config_yaml_names(compose):
    assert compose("") == compose("experiment=digits_lif")
