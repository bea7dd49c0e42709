"""The same sweep again, or a larger one: what is done is not run again, what would give other numbers is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry

TINY = ("trainer.max_epochs=1", "network.hidden=[8]", "time.steps=4", "trainer.limit_train_batches=2")


def results(sweep: Path) -> dict[str, dict[str, Any]]:
    """The result.json of each run, by its id."""
    return {result["id"]: result for path in sweep.glob("*/result.json") for result in [json.loads(path.read_text())]}


def attempts(sweep: Path) -> list[int]:
    """How often each run was tried."""
    return sorted(len(list(path.glob("attempts/*.json"))) for path in sweep.iterdir() if path.name != "plans")


def total(out: str) -> str:
    """What a sweep says at its end of the number of its jobs."""
    (line,) = [line for line in out.splitlines() if line.startswith("sweep in ")]
    return line.partition(": ")[2]


def only_sweep(folder: Path) -> Path:
    """The one folder in sweeps/<experiment>/."""
    (sweep,) = (folder / "sweeps" / "digits_lif").iterdir()
    return sweep


def made_stale(sweep: Path, seeds: list[int]) -> None:
    """Let runs be those of another torch."""
    for path in sweep.glob("*/result.json"):
        result = json.loads(path.read_text())
        if result["seed"] in seeds:
            path.write_text(json.dumps(result | {"versions": result["versions"] | {"torch": "1.0.0"}}))


def test_values_added_later_run_only_what_is_missing_in_the_same_default_folder(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    assert total(snnlab("train", "-m", "seed=0,1", *TINY).out) == "2 completed"
    assert total(snnlab("train", "-m", "seed=0,1,2", *TINY).out) == "1 completed, 2 done before"
    assert total(snnlab("train", "-m", "seed=2,3", *TINY).out) == "1 completed, 1 done before"
    assert attempts(only_sweep(tmp_path)) == [1, 1, 1, 1]
    assert {result["seed"] for result in results(only_sweep(tmp_path)).values()} == {0, 1, 2, 3}


def test_an_axis_added_later_goes_on_in_the_folder_that_is_given(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    words = (*TINY, "sweep_dir=sweep")
    assert total(snnlab("train", "-m", "neuron=lif,cuba", *words).out) == "2 completed"
    again = snnlab("train", "-m", "neuron=lif,cuba", "seed=0,1", *words)
    assert total(again.out) == "2 completed, 2 done before"  # seed=0 is what they had
    assert attempts(tmp_path / "sweep") == [1, 1, 1, 1]


def test_other_fixed_options_have_another_default_folder(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    snnlab("train", "-m", "seed=0", *TINY)
    snnlab("train", "-m", "seed=0", *TINY, "optimizer.lr=0.5")
    assert len(list((tmp_path / "sweeps" / "digits_lif").iterdir())) == 2


def test_options_that_change_no_number_make_no_new_run(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    words = ("train", "-m", "seed=0,1", *TINY, "sweep_dir=sweep")
    snnlab(*words)
    assert total(snnlab(*words, "plots=true", "checkpoint_minutes=3").out) == "2 done before"
    assert attempts(tmp_path / "sweep") == [1, 1]


def test_a_run_of_more_epochs_is_another_run(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    snnlab("train", "-m", "seed=0", *TINY, "sweep_dir=sweep")
    assert total(snnlab("train", "-m", "seed=0", *TINY, "trainer.max_epochs=2", "sweep_dir=sweep").out) == "1 completed"
    assert {result["epochs"] for result in results(tmp_path / "sweep").values()} == {1, 2}


def test_a_job_that_failed_is_run_again_and_one_that_is_done_is_not(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnlab.training import run

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    words = ("train", "-m", "seed=0,1", *TINY, "sweep_dir=sweep")
    with monkeypatch.context() as patch:
        patch.setattr(run, "_draw", full)
        ran = snnlab(*words)
    assert (ran.code, total(ran.out)) == (1, "2 failed")
    assert ran.err.count("No space left on device. What was saved before is as it was. The log: ") == 2
    assert total(snnlab(*words).out) == "2 completed"
    assert total(snnlab(*words).out) == "2 done before"
    assert attempts(tmp_path / "sweep") == [2, 2]


def test_on_failure_stop_starts_no_job_after_one_has_failed(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    # The files of mnist are not here.
    words = ("train", "-m", "dataset=digits,mnist", "seed=0,1", *TINY, "sweep_dir=sweep")
    stopped = snnlab(*words, "sweep.on_failure=stop")
    assert (stopped.code, total(stopped.out)) == (1, "2 completed, 1 failed")
    went_on = snnlab(*words)
    assert (went_on.code, total(went_on.out)) == (1, "2 done before, 2 failed")


def test_runs_of_other_versions_are_told_and_left_until_they_are_to_be_redone(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    words = ("train", "-m", "seed=0,1,2", *TINY, "sweep_dir=sweep")
    snnlab(*words)
    before = results(tmp_path / "sweep")
    made_stale(tmp_path / "sweep", [0, 2])
    told = snnlab(*words)
    assert (told.code, total(told.out)) == (0, "1 done before, 2 stale")
    assert "stale: done with torch 1.0.0. To run them again: sweep.redo=stale\n" in told.out
    assert attempts(tmp_path / "sweep") == [1, 1, 1]
    redone = snnlab(*words, "sweep.redo=stale")
    assert (redone.code, total(redone.out)) == (0, "2 completed, 1 done before")
    assert total(snnlab(*words, "sweep.redo=stale").out) == "3 done before"
    assert attempts(tmp_path / "sweep") == [1, 2, 2]
    after = results(tmp_path / "sweep")
    assert [after[key]["versions"] for key in before] == [result["versions"] for result in before.values()]
    assert [after[key]["metrics"] for key in before] == [result["metrics"] for result in before.values()]


def test_a_job_that_was_killed_while_it_was_redone_is_not_stale_but_goes_on(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnlab.training.module import Training

    words = ("train", "-m", "seed=0", *TINY, "sweep_dir=sweep")
    snnlab(*words)
    made_stale(tmp_path / "sweep", [0])

    def killed(*arguments: Any) -> None:
        raise ValueError("as if it were killed")

    with monkeypatch.context() as patch:
        patch.setattr(Training, "on_test_epoch_end", killed)
        assert snnlab(*words, "sweep.redo=stale").code == 1
    ran = snnlab(*words)
    assert (ran.code, total(ran.out)) == (0, "1 completed")
    (log,) = (tmp_path / "sweep").glob("*/log.txt")
    assert "goes on after 1 epochs" in log.read_text(encoding="utf-8")


def test_changed_source_of_a_plugin_runs_by_itself_again(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for family in registry.FAMILIES:
        registry.names(family)
    source = (
        "from snnlab.losses import CountCrossEntropy\n"
        "from snnlab.registry import register\n\n"
        "@register('loss')\nclass Own(CountCrossEntropy):\n    '''One of my own.'''\n"
    )
    file = tmp_path / "own_loss.py"
    words = ("train", "-m", "loss=own,count_cross_entropy", *TINY, "sweep_dir=sweep")
    said = []
    for text in (source, source, source + "\n# another version\n"):
        file.write_text(text, encoding="utf-8")
        with monkeypatch.context() as process:
            process.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
            process.setattr(registry, "_plugins", None)
            process.setenv("SNNLAB_PLUGINS", str(file))
            said.append(total(snnlab(*words).out))
        for name in [name for name in sys.modules if "own_loss" in name]:
            del sys.modules[name]
    assert said == ["2 completed", "2 done before", "1 completed, 1 done before"]
    assert len(results(tmp_path / "sweep")) == 3
