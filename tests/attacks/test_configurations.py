"""Hostile configurations, in a checkpoint and in config.yaml: names are looked up, and that is all."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

Config = dict[str, Any]
Change = Callable[[Config], object]


def in_the_checkpoint(run: Path, change: Change) -> None:
    """Change the configuration in both checkpoints."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        loaded = torch.load(path, weights_only=True)
        change(loaded["snnlab"]["config"])
        torch.save(loaded, path)


def in_the_file(run: Path, change: Change) -> None:
    """Change the configuration in config.yaml, of a run that has nothing else."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    change(config)
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    shutil.rmtree(run / "checkpoints")
    (run / "result.json").unlink()


def something_to_instantiate(config: Config) -> None:
    config["neuron"] |= {"_target_": "os.system", "command": "touch canary.txt"}


def something_to_instantiate_at_the_top(config: Config) -> None:
    config |= {"_target_": "os.system", "_args_": ["touch canary.txt"]}


def settings_of_hydra(config: Config) -> None:
    config["hydra"] = {"callbacks": {"evil": {"_target_": "canary.Evil"}}, "run": {"dir": "/"}}


def defaults_of_hydra(config: Config) -> None:
    config["defaults"] = [{"/hydra/launcher": "evil"}]


def a_module_as_a_name(config: Config) -> None:
    config["neuron"] = {"name": "canary:Evil"}


def a_path_as_a_name(config: Config) -> None:
    config["neuron"] = {"name": "../../canary.py"}


def a_path_as_the_name_of_a_layer(config: Config) -> None:
    config["layers"] = {"../../x": {"neuron": {"name": "lif"}}}


def a_path_as_the_name_of_a_logger(config: Config) -> None:
    config["logger"] = {"../../x": {}}


def another_folder_of_the_trainer(config: Config) -> None:
    config["trainer"]["default_root_dir"] = "/tmp"


def a_callback_of_the_trainer(config: Config) -> None:
    config["trainer"]["callbacks"] = ["canary.Evil"]


def a_plugin_of_the_trainer(config: Config) -> None:
    config["trainer"]["plugins"] = ["canary"]


def a_place_to_send_the_weights_to(config: Config) -> None:
    config["trainer"]["model_registry"] = "evil/weights"


def a_number_that_is_none(config: Config) -> None:
    config["time"]["dt"] = math.nan


def a_number_of_a_thousand_digits(config: Config) -> None:
    config["seed"] = 10**900


def no_neuron(config: Config) -> None:
    config["neuron"] = None


def lists_in_place_of_parts(config: Config) -> None:
    config |= {"neuron": ["lif"], "trainer": [], "layers": [[]]}


def an_escape_sequence_in_a_name(config: Config) -> None:
    config["neuron"] = {"name": "lif\x1b[2J\x1b]0;evil\x07"}


def a_second_line_in_a_name(config: Config) -> None:
    config["neuron"] = {"name": "lif\nsnnlab: all is well."}


def text_that_runs_backwards(config: Config) -> None:
    config["experiment"] = "digits\u202efil"


def data_from_a_device(config: Config) -> None:
    config["dataset"] = {"name": "mnist", "folder": "/dev", "val": 10000, "split_seed": 0}


REFUSED = [
    something_to_instantiate,
    something_to_instantiate_at_the_top,
    settings_of_hydra,
    defaults_of_hydra,
    a_module_as_a_name,
    a_path_as_a_name,
    a_path_as_the_name_of_a_layer,
    a_path_as_the_name_of_a_logger,
    another_folder_of_the_trainer,
    a_callback_of_the_trainer,
    a_plugin_of_the_trainer,
    a_place_to_send_the_weights_to,
    a_number_that_is_none,
    a_number_of_a_thousand_digits,
    no_neuron,
    lists_in_place_of_parts,
    an_escape_sequence_in_a_name,
    a_second_line_in_a_name,
    text_that_runs_backwards,
    data_from_a_device,
]


@pytest.mark.parametrize("change", REFUSED)
def test_a_hostile_configuration_of_a_checkpoint_is_refused(change: Change, refused: Any) -> None:
    def forge(run: Path) -> None:
        in_the_checkpoint(run, change)

    refused(forge, ["evaluate", "load"] if change is not data_from_a_device else ["evaluate"])


@pytest.mark.parametrize("change", REFUSED)
def test_a_hostile_configuration_in_a_file_is_refused(change: Change, refused: Any) -> None:
    def forge(run: Path) -> None:
        in_the_file(run, change)

    refused(forge, ["resume", "resolved"])


def test_an_interpolation_stays_what_it_is(attacked: Any, tmp_path: Path) -> None:
    def change(config: Config) -> None:
        config["experiment"] = "${oc.env:SECRET}"

    attacked(lambda run: in_the_checkpoint(run, change), ["evaluate", "load"])
    for folder in ("forged", "outside"):
        shutil.rmtree(tmp_path / folder)
    opened = attacked(lambda run: in_the_file(run, change), ["resolved"])["resolved"]
    assert opened.code == 0, opened.err
    assert "${oc.env:SECRET}" in opened.out
    assert "swordfish" not in (tmp_path / "resolved" / "run" / "config.yaml").read_text()


@pytest.mark.parametrize("option", ["output_dir", "experiment"])
def test_a_run_is_written_where_it_lies_whatever_its_configuration_says(
    option: str, attacked: Any, tmp_path: Path
) -> None:
    def change(config: Config) -> None:
        config[option] = str(tmp_path / "outside") if option == "output_dir" else "../../../outside/x"

    opened = attacked(lambda run: in_the_file(run, change), ["resolved"])["resolved"]
    assert opened.code == 0, opened.err  # `attacked` looks into outside/, and counts writes elsewhere
    for folder in ("forged", "outside"):
        shutil.rmtree(tmp_path / folder)
    for opened in attacked(lambda run: in_the_checkpoint(run, change), ["evaluate", "resume", "load"]).values():
        assert opened.code == 0, opened.err


def test_an_evaluation_writes_nothing_even_where_a_profiler_was_asked_for(attacked: Any) -> None:
    def change(config: Config) -> None:
        config["trainer"]["profiler"] = "pytorch"

    assert attacked(lambda run: in_the_checkpoint(run, change), ["evaluate"])["evaluate"].code == 0


@pytest.mark.parametrize("units", [1 << 45, 1 << 62])
def test_a_network_of_terabytes_is_told(units: int, watched: Any, twin: Path) -> None:
    def change(config: Config) -> None:
        config["network"]["hidden"] = [units]

    in_the_checkpoint(twin, change)
    evaluated = watched.open("command", ["evaluate", str(twin)], like="evaluate")
    in_the_file(twin, change)
    resumed = watched.open("command", ["train", f"resume={twin}"], mine=(twin,), like="resume")
    for opened in (evaluated, resumed):
        assert (opened.code, opened.counted, opened.err.count("\n")) == (2, [], 1)
        assert "memory" in opened.err  # who sees it first words it
        assert opened.memory < 200 << 20


PLUGIN = "class Evil: pass\nopen('canary.txt', 'w')\n"


def named(run: Path, **part: str) -> None:
    """A checkpoint that needs a neuron `evil`, whose file lies in the run's folder and in the working folder."""
    for path in (run / "checkpoints").glob("*.ckpt"):
        loaded = torch.load(path, weights_only=True)
        loaded["snnlab"]["config"]["neuron"] = {"name": "evil"}
        loaded["snnlab"]["plugins"] = [{"family": "neuron", "name": "evil", "sha256": "0" * 64} | part]
        loaded["snnlab"]["SNNLAB_PLUGINS"] = str(run / "evil.py")
        torch.save(loaded, path)
    for folder in (run, Path.cwd()):
        (folder / "evil.py").write_text(PLUGIN)


PARTS = [
    ({"plugin": "evil.py"}, "of the plugin file evil.py"),
    ({"plugin": "../../evil.py"}, "of the plugin file evil.py"),
    ({"plugin": "evil.py", "package": "evil", "version": "1.0"}, "pip install evil==1.0"),
    ({"plugin": "evil.py", "package": "evil; touch canary.txt", "version": "1.0"}, "of the plugin file evil.py"),
    ({"plugin": "evil.py", "package": "evil", "version": "1.0 --index-url x"}, "of the plugin file evil.py"),
    ({"plugin": "x\nsnnlab: run evil.py"}, "of the plugin file x snnlab"),
]


@pytest.mark.parametrize(("part", "told"), PARTS)
def test_a_plugin_that_a_checkpoint_names_is_told_and_not_imported(
    part: dict[str, str], told: str, refused: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for opened in refused(lambda run: named(run, **part), ["evaluate", "load"]).values():
        assert told in opened.err
        assert "touch" not in opened.err


@pytest.mark.parametrize("plugins", [3, "x", [3], [{}], [{"family": "x", "name": "y"}], [{"family": [], "name": {}}]])
def test_plugins_that_are_none_are_told(plugins: Any, refused: Any) -> None:
    def forge(run: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            loaded = torch.load(path, weights_only=True)
            loaded["snnlab"]["plugins"] = plugins
            torch.save(loaded, path)

    refused(forge, ["evaluate"])
