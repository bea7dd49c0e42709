"""Runs read from folders, and taken together: every state a run can be in, and statistics against numpy."""

from __future__ import annotations

import copy
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from snnlab.errors import BadData, WrongOption
from snnlab.sweeps.done import done
from snnlab.sweeps.jobs import Job
from snnlab.sweeps.results import (
    axes,
    comparison,
    curves,
    folders,
    formats,
    groups,
    page,
    runs,
    selection,
    values,
    versions,
)
from snnlab.sweeps.results.filters import filtered
from snnlab.training import comparable, identity

CONFIG: dict[str, Any] = {
    "experiment": "digits_lif",
    "seed": 0,
    "plots": False,
    "output_dir": None,
    "monitor": None,
    "neuron": {"name": "lif", "tau": 10.0, "surrogate": {"name": "atan", "alpha": 2.0}},
    "output_neuron": None,
    "network": {"name": "feedforward", "hidden": [32, 64]},
    "optimizer": {"name": "adam", "lr": 0.002},
    "regularizer": {},
    "metric": {"accuracy": {"top_k": 1}},
    "logger": {"csv": {}},
    "layers": {},
    "trainer": {"max_epochs": 4},
}


def with_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with options set by their names with dots."""
    config = copy.deepcopy(CONFIG)
    for name, value in options.items():
        *parents, last = name.split(".")
        node = config
        for parent in parents:
            node = node.setdefault(parent, {})
        if isinstance(node.get(last), dict) and not isinstance(value, dict):
            node, last = node[last], "name"
        node[last] = value
    return config


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Makes the folder of a run."""

    def make_(
        name: str, options: Mapping[str, Any], accuracy: float | None = 0.5, *, folder: str = "sweep", **more: Any
    ) -> Path:
        run = tmp_path / folder / name
        run.mkdir(parents=True)
        config = with_options(options)
        words = [f"{key}={values.shown(value)}" for key, value in options.items()]
        (run / "config.yaml").write_text(yaml.safe_dump(config) if more.pop("yaml", True) else "")
        (run / "overrides.txt").write_text("".join(f"{word}\n" for word in words))
        status = more.pop("status", "completed")
        if status != "completed":
            attempt = {"owner": {"host": "elsewhere", "pid": 1}, "status": status, "error": more.pop("error", "")}
            (run / "attempts").mkdir()
            (run / "attempts" / "1.json").write_text(json.dumps(attempt))
            return run
        metrics = {"test/accuracy": accuracy, "val/accuracy": accuracy, "test/loss": 1.0, "val/loss": 1.0}
        result = {"status": "completed", "id": name, "metrics": metrics, "seconds": 2.0, "epochs": 4, "best_epoch": 3}
        result |= {"versions": comparable.versions(), "overrides": words, "config": config} | more
        (run / "result.json").write_text(json.dumps(result))
        return run

    return make_


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[runs.Run]]:
    """Reads all runs of the sweep."""
    return lambda *names: runs.Reader().read([tmp_path / name for name in names or ("sweep",)])


def plan(sweep: Path, *jobs: tuple[Any, list[str]], config: bool = True) -> None:
    """Writes a plan of jobs down: their folders, their words, and their configurations."""
    (sweep / "plans").mkdir(parents=True, exist_ok=True)
    lines = []
    for name, words in jobs:
        job = {"name": "", "words": words, "folder": name, "id": "0" * 64}
        job |= {"config": with_options(values.of_words(tuple(words)))} if config else {}
        lines.append(json.dumps(job))
    (sweep / "plans" / "01234567.jsonl").write_text("\n".join(lines) + "\n")


def grouped(found: list[runs.Run], **options: Any) -> list[groups.Group]:
    return groups.grouped(found, axes.differing(found), groups.measure(found, **options))


def test_mean_and_sd_are_those_of_numpy(make: Any, read: Any) -> None:
    numbers = np.random.default_rng(0).random(7)
    for seed, number in enumerate(numbers):
        make(f"r{seed}", {"seed": seed}, number)
    (group,) = grouped(read())
    assert group.n == 7
    assert group.mean == pytest.approx(np.mean(numbers), abs=1e-15)
    assert group.sd == pytest.approx(np.std(numbers, ddof=1), abs=1e-15)


def test_one_run_has_no_standard_deviation(make: Any, read: Any) -> None:
    make("r", {"seed": 0}, 0.7)
    (group,) = grouped(read())
    assert (group.mean, group.sd, group.n) == (0.7, None, 1)


def test_groups_are_made_by_what_differs_but_the_seed(make: Any, read: Any) -> None:
    for lr in (0.01, 0.001):
        for seed in (0, 1):
            make(f"{lr},{seed}", {"optimizer.lr": lr, "seed": seed, "output_dir": f"x{lr}{seed}"})
    found = grouped(read())
    assert [group.options for group in found] == [{"optimizer.lr": 0.001}, {"optimizer.lr": 0.01}]
    assert [group.n for group in found] == [2, 2]


def test_what_cannot_change_the_numbers_is_no_column(make: Any, read: Any) -> None:
    names = [name for name in comparable.WITHOUT_EFFECT if name != "experiment"]
    for seed in (0, 1):
        make(f"{seed}", {"seed": seed} | {name: seed for name in names})
    (group,) = grouped(read())
    assert (group.n, list(group.options)) == (2, [])


def test_the_trials_of_a_pruned_study_are_one_group_for_each_of_its_options(make: Any, read: Any) -> None:
    for trial in range(4):
        given = {"callback.pruning.study": "study.db", "callback.pruning.trial": trial}
        make(f"{trial}", {"seed": trial % 2, "neuron.tau": trial // 2} | given)
    assert [(group.options, group.n) for group in grouped(read())] == [({"neuron.tau": tau}, 2) for tau in (0, 1)]


def test_what_follows_from_a_part_is_no_column(make: Any, read: Any) -> None:
    make("a", {"neuron": "lif", "neuron.tau": 10.0})
    make("b", {"neuron": {"name": "cuba", "tau_mem": 5.0, "surrogate": {"name": "boxcar"}}}, overrides=["neuron=cuba"])
    assert axes.differing(read()) == ["neuron"]


def test_options_that_somebody_paired_are_both_columns(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 5.0, "optimizer.lr": 0.1})
    make("b", {"neuron.tau": 9.0, "optimizer.lr": 0.2})
    assert axes.differing(read()) == ["neuron.tau", "optimizer.lr"]


def test_what_nobody_typed_is_found_in_the_configuration(make: Any, read: Any) -> None:
    for number, lr in enumerate((0.1, 0.1, 0.2)):
        make(f"r{number}", {"optimizer.lr": lr, "seed": number}, overrides=[])
    assert axes.differing(read()) == ["optimizer.lr"]


@pytest.mark.parametrize("name", ["neuron", "neuron.name", "neuron/name", "+neuron"])
def test_options_are_named_as_users_write_them(make: Any, read: Any, name: str) -> None:
    make("a", {"neuron": "lif"})
    assert axes.named(f"{name},network.hidden", read()) == ["neuron", "network.hidden"]


def test_an_option_that_no_run_has_is_refused_with_the_nearest(make: Any, read: Any) -> None:
    make("a", {"neuron": "lif"})
    with pytest.raises(WrongOption, match=r"--by nuron: none .* Did you mean neuron\?"):
        axes.named("nuron", read())
    with pytest.raises(WrongOption, match=r"--by tau: none .* Did you mean neuron\.tau\?"):
        axes.named("tau", read())


def test_equal_numbers_are_one_group_however_they_are_written(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 10, "seed": 0})
    make("b", {"neuron.tau": 10.0, "seed": 1})
    (group,) = grouped(read())
    assert group.n == 2


def test_the_best_group_is_chosen_by_val_and_not_by_test(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 1}, metrics={"test/accuracy": 0.9, "val/accuracy": 0.5})
    make("b", {"neuron.tau": 2}, metrics={"test/accuracy": 0.1, "val/accuracy": 0.6})
    assert [group.best for group in grouped(read())] == [False, True]


def test_a_loss_is_best_when_it_is_low_unless_the_user_says_otherwise(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 1}, metrics={"test/loss": 0.9, "val/loss": 0.5})
    make("b", {"neuron.tau": 2}, metrics={"test/loss": 0.1, "val/loss": 0.6})
    assert [group.best for group in grouped(read(), metric="test/loss")] == [True, False]
    assert [group.best for group in grouped(read(), metric="test/loss", mode="max")] == [False, True]


def test_the_runs_say_which_direction_of_their_monitor_is_better(make: Any, read: Any) -> None:
    for name, more in {"a": 0.5, "b": 0.6}.items():
        numbers = {"test/delay": more, "val/delay": more, "test/loss": more, "val/loss": more}
        make(name, {"neuron.tau": more, "metric": {"delay": {}}}, metrics=numbers, monitor="val/delay", mode="min")
    assert [group.best for group in grouped(read(), metric="test/delay")] == [True, False]
    assert [group.best for group in grouped(read(), metric="test/delay", mode="max")] == [False, True]


def test_the_direction_of_other_numbers_than_the_monitor_is_told_by_their_names(make: Any, read: Any) -> None:
    make("a", {"metric": {"delay": {}, "mse": {}}}, metrics={"val/mse": 1.0}, monitor="val/delay", mode="max")
    assert groups.measure(read(), "val/mse").mode == "min"


@pytest.mark.parametrize("facts", [{}, {"monitor": 3, "mode": "min"}, {"monitor": "val/delay", "mode": ["min"]}])
def test_without_a_word_of_the_runs_the_name_tells_the_direction(make: Any, read: Any, facts: dict[str, Any]) -> None:
    make("a", {"metric": {"delay": {}}}, metrics={"test/delay": 1.0}, **facts)
    assert groups.measure(read()).mode == "max"


def test_runs_that_disagree_on_the_direction_leave_it_to_the_name(make: Any, read: Any) -> None:
    for mode in ("max", "min"):
        make(mode, {"metric": {"delay": {}}}, metrics={"test/delay": 1.0}, monitor="val/delay", mode=mode)
    assert groups.measure(read()).mode == "max"


def test_a_rate_of_spikes_is_shown_but_chooses_nothing(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 1}, metrics={"test/rate/0": 0.2, "val/rate/0": 0.2, "val/accuracy": 0.9})
    make("b", {"neuron.tau": 2}, metrics={"test/rate/0": 0.4, "val/rate/0": 0.4, "val/accuracy": 0.8})
    found = grouped(read(), metric="test/rate/0")
    assert [(group.mean, group.best) for group in found] == [(0.2, True), (0.4, False)]


def test_the_first_metric_on_test_is_the_default_and_else_the_loss(make: Any, read: Any) -> None:
    make("a", {"metric": {"mse": {}, "r2": {}}}, metrics={"test/mse": 0.1, "test/r2": 0.9, "test/loss": 1.0})
    assert groups.measure(read()) == groups.Measure("test/mse", "val/mse", "min")
    shutil.rmtree(read()[0].folder)
    make("b", {"metric": {}}, metrics={"test/loss": 1.0})
    assert groups.measure(read()).metric == "test/loss"


def test_a_metric_that_no_run_has_is_refused_with_the_nearest(make: Any, read: Any) -> None:
    make("a", {})
    with pytest.raises(WrongOption, match=r"Did you mean test/accuracy\?"):
        groups.measure(read(), "test/acuracy")


def test_runs_without_a_number_are_left_out_and_told(make: Any, read: Any) -> None:
    make("a", {"seed": 0}, 0.5)
    make("b", {"seed": 1}, None)
    found = read()
    what = groups.measure(found)
    (group,) = groups.grouped(found, [], what)
    assert (group.n, group.mean, len(group.without)) == (1, 0.5, 1)
    shown = page.groups_page(page.Selection(found, [], what, [group]), 100)
    assert "1 completed without a number for test/accuracy" in shown


def test_copies_of_a_run_count_once_and_are_told(make: Any, read: Any) -> None:
    make("a", {"seed": 0}, 0.5)
    shutil.copytree(make("b", {"seed": 1}, 0.7), read()[0].folder.parent / "copy")
    found = read()
    what = groups.measure(found)
    (group,) = groups.grouped(found, [], what)
    assert (group.n, len(group.runs)) == (2, 3)
    assert "1 copies" in page.groups_page(page.Selection(found, [], what, [group]), 100)


def test_every_state_of_a_run_is_counted(make: Any, read: Any, tmp_path: Path) -> None:
    make("done", {"seed": 0})
    for number, status in enumerate(("failed", "interrupted", "pruned", "running"), 1):
        make(status, {"seed": number}, status=status)
    killed = make("killed", {"seed": 5}, status="running")
    os.utime(killed / "attempts" / "1.json", (1, 1))
    (make("damaged", {"seed": 6}) / "result.json").write_text('{"id": ')
    plan(tmp_path / "sweep", ("done", ["seed=0"]), ("waiting", ["seed=7"]))
    found = read()
    states = {run.name: run.status for run in found}
    assert states == {name: name for name in states} | {"done": "completed"}
    (group,) = grouped(found)
    assert (group.n, group.failed, group.running, group.waiting, group.interrupted, group.pruned) == (1, 3, 1, 1, 1, 1)


def test_a_job_that_waits_is_in_the_group_of_its_configuration(make: Any, read: Any, tmp_path: Path) -> None:
    make("a", {"neuron": "lif", "seed": 0})
    make("b", {"neuron": "cuba", "seed": 0})
    plan(tmp_path / "sweep", *((name, ["neuron=cuba", f"seed={seed}"]) for seed, name in enumerate("bc")))
    cuba, lif = grouped(read())
    assert (lif.options, lif.n, lif.waiting) == ({"neuron": "lif"}, 1, 0)
    assert (cuba.options, cuba.n, cuba.waiting) == ({"neuron": "cuba"}, 1, 1)


def test_a_job_that_failed_before_it_wrote_its_configuration_has_that_of_the_plan(
    make: Any, read: Any, tmp_path: Path
) -> None:
    (make("a", {"seed": 0}, status="failed") / "config.yaml").unlink()
    plan(tmp_path / "sweep", ("a", ["neuron=cuba", "seed=0"]))
    (run,) = read()
    assert (run.status, run.options["neuron"], run.options["network.hidden"]) == ("failed", "cuba", [32, 64])


def test_what_is_not_known_of_a_job_is_no_difference(make: Any, read: Any, tmp_path: Path) -> None:
    make("a", {"optimizer.lr": 0.1})
    plan(tmp_path / "sweep", ("b", ["optimizer.lr=0.2"]), config=False)
    assert axes.differing(read()) == ["optimizer.lr"]


@pytest.mark.parametrize("config", ["\x1b[2J", {"a": "\x1b[2J"}, [1], 10**300, {"seed": 10**300}, "x" * (1 << 21)])
def test_a_plan_with_a_hostile_configuration_harms_nobody(read: Any, tmp_path: Path, config: Any) -> None:
    (tmp_path / "sweep" / "plans").mkdir(parents=True)
    job = {"words": ["seed=" + "9" * 4000], "folder": "a", "config": config}
    (tmp_path / "sweep" / "plans" / "0.jsonl").write_text(json.dumps(job))
    (run,) = read()
    assert run.status == "waiting"
    assert grouped([run]) == [] or "seed" in run.options


def test_a_sweep_of_which_no_job_has_begun_has_groups(read: Any, tmp_path: Path) -> None:
    plan(
        tmp_path / "sweep",
        *((f"{lr}{seed}", [f"optimizer.lr={lr}", f"seed={seed}"]) for lr in (1e-3, 0.1) for seed in (0, 1)),
    )
    assert [(group.options, group.waiting) for group in grouped(read())] == [
        ({"optimizer.lr": 0.001}, 2),
        ({"optimizer.lr": 0.1}, 2),
    ]


def test_a_plan_that_is_being_written_counts_as_far_as_it_goes(read: Any, tmp_path: Path) -> None:
    plan(tmp_path / "sweep", ("a", ["seed=0"]))
    with (tmp_path / "sweep" / "plans" / "01234567.jsonl").open("a") as file:
        file.write('{"name": "b", "wor')
    assert [run.name for run in read()] == ["a"]


@pytest.mark.parametrize("name", ["../../etc", "..", "/etc", "", "a/b", "a\0b", 3])
def test_a_plan_names_no_folder_elsewhere(read: Any, tmp_path: Path, name: Any) -> None:
    plan(tmp_path / "sweep", (name, ["seed=0"]), ("good", ["seed=1"]))
    assert [run.name for run in read()] == ["good"]


def test_folders_may_overlap_and_lie_at_any_depth(make: Any, read: Any) -> None:
    deep = make("r", {}, folder="sweep/a/b/c")
    make("s", {}, folder="other")
    assert [run.name for run in read("sweep", "other", "sweep/a", str(deep.relative_to(deep.parents[4])))] == ["s", "r"]


def test_links_to_folders_are_not_followed(make: Any, read: Any, tmp_path: Path) -> None:
    make("r", {})
    make("s", {}, folder="elsewhere")
    (tmp_path / "sweep" / "loop").symlink_to(tmp_path / "sweep")
    (tmp_path / "sweep" / "out").symlink_to(tmp_path / "elsewhere")
    assert [run.name for run in read()] == ["r"]


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="there is no such folder"):
        runs.Reader().read([tmp_path / "nix"])


def test_a_run_that_is_removed_while_it_is_read_is_left_out(make: Any, tmp_path: Path, monkeypatch: Any) -> None:
    make("a", {})
    gone = make("b", {})
    look = folders.look

    def look_and_remove(top: Path) -> Any:
        found = look(top)
        shutil.rmtree(gone)
        return found

    monkeypatch.setattr(runs, "look", look_and_remove)
    assert [run.name for run in runs.Reader().read([tmp_path / "sweep"])] == ["a"]


def test_a_reader_that_looks_again_sees_what_is_new(make: Any, tmp_path: Path) -> None:
    reader, running = runs.Reader(), make("a", {"seed": 0}, status="running")
    assert [run.status for run in reader.read([tmp_path / "sweep"])] == ["running"]
    shutil.rmtree(running)
    make("a", {"seed": 0}, 0.25)
    for _ in range(2):
        assert [run.metrics["test/accuracy"] for run in reader.read([tmp_path / "sweep"])] == [0.25]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"metrics": 3, "id": "x"}',
        '{"metrics": {"test/accuracy": "high"}, "id": "x"}',
        '{"metrics": {}, "id": 3}',
        '{"metrics": {}, "id": "x", "seconds": "long"}',
        '{"metrics": {}, "id": "\\u001b[2J"}',
        '{"metrics": {"a": 1' + "0" * 500 + '}, "id": "x"}',
        '{"metrics": ' + "[" * 5000 + "]" * 5000 + ', "id": "x"}',
        " " * (1 << 21),
    ],
)
def test_a_damaged_result_is_told_and_the_table_comes(make: Any, read: Any, text: str) -> None:
    make("good", {"seed": 0}, 0.5)
    (make("bad", {"seed": 1}) / "result.json").write_text(text)
    found = read()
    assert [run.status for run in found] == ["damaged", "completed"]
    (group,) = grouped(found)
    assert (group.n, group.failed) == (1, 1)


@pytest.mark.parametrize(
    "config",
    [
        {},
        3,
        {"metric": 3, "neuron": {"name": {}}, "": {"": 1}, "trainer": [1]},
        {"metric": {}, "seed": None, "neuron": {"name": "x" * 900_000}},
        {"seed": [0], "neuron": "lif", "metric": ["accuracy"], "name": "x", "status": 1},
        json.loads('{"a":' * 30 + "1" + "}" * 30),
    ],
)
@pytest.mark.parametrize("facts", [{}, {"versions": 3, "git": [], "seconds": 10**60, "epochs": -1, "overrides": [[1]]}])
def test_whatever_a_result_holds_the_table_comes(make: Any, read: Any, config: Any, facts: dict[str, Any]) -> None:
    make("good", {"seed": 0})
    make("odd", {"seed": 1}, config=config, **facts)
    found = read()
    what, keys = groups.measure(found), axes.differing(found)
    shown = page.Selection(found, keys, what, groups.grouped(found, keys, what), axes.differing(found, ["neuron"]))
    for text in (page.groups_page(shown, 100), page.runs_page(shown, 100), formats.as_latex(shown)):
        assert max(map(len, text.splitlines())) < 200
    for records in (formats.group_records(shown), formats.run_records(shown)):
        assert json.loads(formats.as_json(records)) == records
        assert formats.as_csv(records)


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, 2]\nb: *x\n",
        "a: &x {b: *x}\n",
        "- " * 100_000,
        "[" * 3000,
        "a: !!python/object/apply:os.system [true]\n",
        'a: "\\e[2J"\n',
        "a: 2020-01-01\n",
        "\0",
    ],
)
def test_a_hostile_configuration_is_no_configuration(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(BadData):
        runs.quick_yaml(path)


def test_a_configuration_is_read_the_same_with_and_without_the_parser_in_c(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG))
    quick = runs.quick_yaml(path)
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert quick == runs.quick_yaml(path) == CONFIG


def test_a_result_without_a_configuration_takes_that_of_its_folder(make: Any, read: Any) -> None:
    make("a", {"neuron.tau": 3.0}, config=None)
    assert read()[0].options["neuron.tau"] == 3.0


def test_a_run_of_other_versions_is_told(make: Any, read: Any) -> None:
    make("a", {"seed": 0}, versions=comparable.versions() | {"torch": "1.0"})
    make("b", {"seed": 1})
    found = read()
    assert [versions.status_of(run) for run in found] == ["stale", "completed"]
    assert versions.notes(found)[0].startswith("1 stale: made with torch 1.0; installed here: torch ")


def test_a_library_that_calls_itself_otherwise_than_its_package_makes_no_run_stale(
    make: Any, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    comparable._installed.cache_clear()
    monkeypatch.setattr("torch.__version__", "2.6.0a0+ecf3bae40a.nv25.01")
    folder = make("a", {}, id="0" * 64, best_checkpoint="checkpoints/best.ckpt", versions=identity.versions())
    ended = done(Job("", (), str(folder), "0" * 64, {}))
    assert (versions.status_of(read()[0]), ended and ended.stale) == ("completed", ())


def test_only_runs_with_some_options_are_kept(make: Any, read: Any) -> None:
    make("a", {"neuron": "lif", "optimizer.lr": 0.01, "network.hidden": [8, 8]})
    make("b", {"neuron": "cuba", "optimizer.lr": 0.01})
    make("c", {"neuron": "cuba", "optimizer.lr": 0.1}, status="failed")

    def kept(*where: str) -> str:
        return "".join(run.name for run in filtered(read(), where))

    assert kept("neuron=lif") == "a"
    assert kept("neuron=lif,cuba", "optimizer.lr=1e-2") == "ab"
    assert kept("network.hidden=[8, 8]") == "a"
    assert kept("status=failed") == "c"
    with pytest.raises(WrongOption, match=r"neuron=lfi: none of the runs has it\. There is cuba, lif\."):
        kept("neuron=lfi")


def test_options_are_named_and_shown_as_on_the_command_line() -> None:
    config = with_options({"regularizer": {"rate_upper": {"bound": 0.5}}, "layers": {"0": {"neuron": {"name": "li"}}}})
    found = {name: values.shown(value) for name, value in values.flat(config)}
    expected = {"neuron": "lif", "neuron.tau": "10", "neuron.surrogate": "atan", "network.hidden": "[32,64]"}
    expected |= {"regularizer": "[rate_upper]", "regularizer.rate_upper.bound": "0.5", "layers.0.neuron": "li"}
    expected |= {"output_neuron": "null", "plots": "false", "optimizer.lr": "0.002"}
    assert expected.items() <= found.items()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("'1e-3'", "1e-3"),
        ("[8, 16]", [8, 16]),
        ("lif", "lif"),
    ],
)
def test_values_are_read_as_users_write_them(text: str, value: Any) -> None:
    assert values.parsed(text) == value


def test_learning_curves_are_those_of_numpy_over_the_runs_that_came_so_far(make: Any, read: Any) -> None:
    table = np.random.default_rng(1).random((3, 4))
    for seed, row in enumerate(table):
        folder = make(f"r{seed}", {"seed": seed}, status="completed" if seed < 2 else "running")
        lines = [f"{epoch},{value!r}" for epoch, value in enumerate(map(float, row)) if seed < 2 or epoch < 2]
        (folder / "metrics.csv").write_text("\n".join(["epoch,val/loss", *lines]))
    (curve,) = curves.curves(grouped(read()), "val/loss")
    assert curve.n == (3, 3, 2, 2)
    assert curve.mean[1] == pytest.approx(table[:, 1].mean(), abs=1e-15)
    assert curve.sd[1] == pytest.approx(table[:, 1].std(ddof=1), abs=1e-15)
    assert curve.mean[3] == pytest.approx(table[:2, 3].mean(), abs=1e-15)
    with pytest.raises(WrongOption, match=r"Did you mean val/loss\?"):
        curves.curves(grouped(read()), "val/los")


@pytest.mark.parametrize("rows", ["", "1", "x,y", "nan,1", "1,nan", "1,1e400", "\0,\0", "'", '"1'])
def test_rows_that_are_none_are_left_out_of_a_curve(make: Any, read: Any, rows: str) -> None:
    (make("a", {}) / "metrics.csv").write_text(f"epoch,val/loss\n0,0.5\n{rows}\n")
    (curve,) = curves.curves(grouped(read()), "val/loss")
    assert (curve.epochs, curve.mean) == ((0,), (0.5,))


@pytest.mark.parametrize("text", ["", "epoch", "\0\0"])
def test_a_table_without_epochs_is_no_curve(make: Any, read: Any, text: str) -> None:
    (make("a", {}) / "metrics.csv").write_text(text)
    assert curves.curves(grouped(read()), "val/loss") == []


def test_two_thousand_runs_are_shown_in_less_than_three_seconds_and_without_heavy_libraries(make: Any) -> None:
    for number in range(2000):
        options = {"neuron.tau": float(number // 20), "seed": number % 20}
        folder = make(f"job{number:04d}", options, number / 2000, yaml=False)
    heavy = ("torch", "pytorch_lightning", "hydra", "omegaconf", "matplotlib", "numpy")
    program = f"import sys; from snnlab.commands import main; main(['results', {str(folder.parent)!r}]); "
    program += f"print('imported:', *[name for name in {heavy} if name in sys.modules])"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2000 jobs: 2000 completed")
    assert lines[-1].strip() == "imported:"
    # Processor time: others may use the machine meanwhile.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3.0


def test_a_plugin_whose_source_changed_makes_groups_of_its_own(make: Any, read: Any) -> None:
    for source in ("aa" * 32, "bb" * 32):
        for seed in (0, 1):
            part = {"family": "neuron", "name": "mine", "sha256": source}
            make(f"r{seed}_{source[:8]}", {"neuron": "mine", "seed": seed}, plugins=[part])
    found = selection.selected(read())
    assert [(group.options, group.n) for group in found.groups] == [
        ({"source.neuron.mine": "aaaaaaaa"}, 2),
        ({"source.neuron.mine": "bbbbbbbb"}, 2),
    ]
    first, *_, last = read()
    said = comparison.comparison_page(comparison.compared(first, last), 100)
    assert "source.neuron.mine  aaaaaaaa  bbbbbbbb" in said


def test_one_source_of_a_plugin_is_no_column(make: Any, read: Any) -> None:
    for seed in (0, 1):
        make(f"r{seed}", {"seed": seed}, plugins=[{"family": "neuron", "name": "mine", "sha256": "aa" * 32}, "x", 3])
    assert [group.options for group in selection.selected(read()).groups] == [{}]
