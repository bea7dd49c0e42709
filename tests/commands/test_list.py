"""`snnlab list`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry
from snnlab.options import settings


def test_every_family_and_part_is_shown_with_its_first_line(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("list")
    assert ran.code == 0
    lines = ran.out.splitlines()
    for family in registry.FAMILIES:
        assert family in lines
        for name in registry.names(family):
            (line,) = [line for line in lines[lines.index(family) :] if line.split()[:1] == [name]][:1]
            assert line.startswith("  ") and len(line.split()) > 2


def test_one_family_is_shown_alone(snnlab: Callable[..., Any]) -> None:
    assert snnlab("list", "neuron").out.splitlines()[0] == "neuron"
    assert len(snnlab("list", "neuron").out.splitlines()) == 1 + len(registry.names("neuron"))


def test_json_is_families_and_names(snnlab: Callable[..., Any]) -> None:
    everything = json.loads(snnlab("list", "--json").out)
    parts = {family: registry.names(family) for family in registry.FAMILIES}
    assert everything == parts | {"experiment": json.loads(snnlab("list", "experiment", "--json").out)["experiment"]}
    assert json.loads(snnlab("list", "neuron", "--json").out) == {"neuron": registry.names("neuron")}
    assert {"ctrnn", "cuba", "li", "lif", "linear", "stbp"} <= set(everything["neuron"])


def test_a_part_is_shown_with_its_docstring_and_all_its_options(snnlab: Callable[..., Any]) -> None:
    text = snnlab("list", "neuron", "cuba").out
    assert text.startswith("neuron cuba\n")
    for key, option in settings(registry.get("neuron", "cuba")).items():
        assert f"  {key}: " in text
        assert option.help in text


def test_the_json_of_a_part_has_name_type_default_and_help_of_each_option(snnlab: Callable[..., Any]) -> None:
    part = json.loads(snnlab("list", "neuron", "cuba", "--json").out)
    assert (part["family"], part["name"]) == ("neuron", "cuba")
    options = {option["name"]: option for option in part["options"]}
    assert list(options) == list(settings(registry.get("neuron", "cuba")))
    for option in options.values():
        assert {"name", "type", "default", "help"} <= set(option)
        assert option["type"] and option["help"]
    assert options["tau_mem"]["unit"] == "ms"
    assert options["surrogate"]["type"] == "surrogate"
    assert options["learn"]["default"] == []


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_every_part_can_be_shown(snnlab: Callable[..., Any], family: str) -> None:
    for name in registry.names(family):
        assert json.loads(snnlab("list", family, name, "--json").out)["name"] == name
        assert snnlab("list", family, name).code == 0


@pytest.mark.parametrize(
    ("words", "nearest"), [(("neurn",), "neuron"), (("neuron", "lfi"), "lif"), (("neurn", "lif", "--json"), "neuron")]
)
def test_what_is_unknown_is_told_with_the_nearest(
    snnlab: Callable[..., Any], words: tuple[str, ...], nearest: str
) -> None:
    ran = snnlab("list", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert f"Did you mean {nearest}?" in ran.err


def test_experiments_are_shown_with_their_first_sentence_those_of_the_working_folder_too(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\n# Mine. It is good.\nseed: 1\n")
    lines = snnlab("list", "experiment").out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == "mine"] == ["Mine."]
    assert any(line.split()[0] == "digits_lif" and "64-256-10" in line for line in lines)


def test_one_experiment_is_shown_by_another_command(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("list", "experiment", "digits_lif")
    assert (ran.code, "snnlab train experiment=digits_lif --cfg job" in ran.err) == (2, True)
