"""Going on with a run: by resume=, by the same command again, for longer; what is refused. tests/crash counts bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snnlab.errors import Interrupted
from snnlab.training import checkpoint, table
from snnlab.training.best_and_last import BestAndLast

Train = Callable[..., Path]
Result = Callable[[Path], dict[str, Any]]


@pytest.fixture
def stopped(snnlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trains in `run` as `finished` did, and is stopped by SIGTERM at the start of the second epoch."""

    def stop(*words: str) -> None:
        with monkeypatch.context() as context:
            context.setattr(BestAndLast, "_agreed", lambda self, trainer: (15 * (trainer.current_epoch == 1), False))
            ran = snnlab("train", "trainer.max_epochs=2", "network.hidden=[32]", *words, "output_dir=run")
        assert ran.code == 143
        assert ran.err == "snnlab: stopped by SIGTERM in epoch 1, step 20. To go on: snnlab train resume=run\n"

    return stop


def same_run(one: Path, other: Path, result: Result) -> None:
    """Both ended with the same bits."""
    assert result(one)["metrics"] == result(other)["metrics"]
    assert result(one)["id"] == result(other)["id"]
    assert table.read(one / "metrics.csv") == table.read(other / "metrics.csv")


def test_resume_goes_on_in_the_runs_folder_with_what_was_changed_for_it(
    snnlab: Callable[..., Any], stopped: Callable[..., None], finished: Path, tmp_path: Path, result: Result
) -> None:
    stopped()
    assert [row["epoch"] for row in table.read(tmp_path / "run" / "metrics.csv")] == [0]
    ran = snnlab("train", "resume=run")
    assert ran.code == 0, ran.err
    assert "goes on after 1 epochs, step 20" in ran.out
    same_run(tmp_path / "run", finished, result)
    assert result(tmp_path / "run")["overrides"] == [*result(finished)["overrides"][:-1], "output_dir=run"]


def test_the_same_command_again_goes_on(
    snnlab: Callable[..., Any], stopped: Callable[..., None], finished: Path, tmp_path: Path, result: Result
) -> None:
    stopped()
    ran = snnlab("train", "trainer.max_epochs=2", "network.hidden=[32]", "output_dir=run")
    assert (ran.code, "goes on after 1 epochs" in ran.out) == (0, True)
    same_run(tmp_path / "run", finished, result)


def test_a_run_that_was_stopped_while_it_was_tested_is_tested_again_and_not_trained(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path, result: Result
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    assert snnlab("train", "resume=run").code == 0
    same_run(tmp_path / "run", finished, result)
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_finished_run_goes_on_for_longer_as_if_it_had_been_asked_for_it_at_first(
    snnlab: Callable[..., Any], finished: Path, train: Train, tmp_path: Path, result: Result
) -> None:
    whole = train("trainer.max_epochs=4", "plots=true", name="whole")
    shutil.copytree(finished, tmp_path / "run")
    assert snnlab("train", "resume=run", "trainer.max_epochs=4").code == 0
    same_run(tmp_path / "run", whole, result)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["trainer"]["max_epochs"] == 4
    assert "Nothing to do" in snnlab("train", "resume=run").out


def test_a_longer_run_that_is_stopped_goes_on_for_as_long(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, result: Result
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    with monkeypatch.context() as context:
        context.setattr(BestAndLast, "on_train_start", _stop)
        assert snnlab("train", "resume=run", "trainer.max_epochs=3").code == 143
    assert snnlab("train", "resume=run").code == 0
    assert result(tmp_path / "run")["epochs"] == 3


def _stop(*arguments: Any) -> None:
    raise Interrupted(15)


def test_a_run_that_was_killed_before_its_first_checkpoint_may_be_longer_when_it_begins_anew(
    snnlab: Callable[..., Any], stopped: Callable[..., None], tmp_path: Path, result: Result
) -> None:
    stopped()
    (tmp_path / "run" / "checkpoints" / "last.ckpt").unlink()
    assert snnlab("train", "resume=run", "trainer.max_epochs=3").code == 0
    assert result(tmp_path / "run")["epochs"] == 3


def test_what_does_not_change_numbers_may_change(
    snnlab: Callable[..., Any], stopped: Callable[..., None], finished: Path, tmp_path: Path, result: Result
) -> None:
    stopped()
    assert snnlab("train", "resume=run", "plots=false", "logger=[csv]", "checkpoint_minutes=0").code == 0
    same_run(tmp_path / "run", finished, result)
    assert not (tmp_path / "run" / "plots").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["neuron.tau=3.0"], "neuron.tau: a run goes on as it began. What may change: trainer.max_epochs"),
        (["output_dir=elsewhere"], "output_dir: a run goes on as it began."),
        (["trainer.max_epochs=1"], "trainer.max_epochs: 1. 2 epochs are trained already. It takes more."),
        (["trainer.max_epochs=many"], "trainer.max_epochs: 'many'."),
        (["-m"], "train -m: with resume=, one run goes on."),
    ],
)
def test_what_would_make_it_another_run_is_refused(
    snnlab: Callable[..., Any], finished: Path, words: list[str], told: str
) -> None:
    ran = snnlab("train", f"resume={finished}", *words)
    assert ran.code == 2
    assert ran.err.startswith(f"snnlab: {told}")


def test_a_run_whose_schedule_knows_its_length_does_not_go_on_for_longer(
    snnlab: Callable[..., Any], train: Train
) -> None:
    folder = train("scheduler=cosine")
    ran = snnlab("train", f"resume={folder}", "trainer.max_epochs=4")
    assert ran.code == 2
    assert "scheduler=cosine set each learning rate by the run's length, 2 epochs" in ran.err


def test_a_file_and_a_folder_without_a_run_are_refused(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    ran = snnlab("train", f"resume={finished / 'checkpoints' / 'best.ckpt'}")
    assert (ran.code, "weights=" in ran.err) == (2, True)
    (tmp_path / "empty").mkdir()
    ran = snnlab("train", "resume=empty")
    assert (ran.code, "it holds no run that could go on" in ran.err) == (1, True)
    assert snnlab("train", "resume=nowhere").code == 1


def test_another_run_in_the_folder_of_one_that_was_stopped_is_refused_and_told_where_it_differs(
    snnlab: Callable[..., Any], stopped: Callable[..., None]
) -> None:
    stopped()
    ran = snnlab("train", "trainer.max_epochs=2", "network.hidden=[32]", "neuron.tau=3", "output_dir=run")
    assert (ran.code, "It differs in neuron.tau." in ran.err) == (2, True)
    ran = snnlab("train", "trainer.max_epochs=3", "network.hidden=[32]", "output_dir=run")
    assert (ran.code, "snnlab train resume=run trainer.max_epochs=…" in ran.err) == (2, True)


def test_a_config_yaml_that_was_edited_is_refused_and_one_that_is_gone_is_not_missed(
    snnlab: Callable[..., Any], stopped: Callable[..., None], finished: Path, tmp_path: Path, result: Result
) -> None:
    stopped()
    path = tmp_path / "run" / "config.yaml"
    path.write_text(path.read_text().replace("tau: 10.0", "tau: 9.0"))
    ran = snnlab("train", "resume=run")
    assert (ran.code, "It differs in neuron.tau." in ran.err) == (2, True)
    path.unlink()
    assert snnlab("train", "resume=run").code == 0
    same_run(tmp_path / "run", finished, result)


def test_a_checkpoint_that_is_damaged_is_told(
    snnlab: Callable[..., Any], stopped: Callable[..., None], tmp_path: Path
) -> None:
    stopped()
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    path.write_bytes(path.read_bytes()[:1000])
    ran = snnlab("train", "resume=run")
    assert (ran.code, "it is damaged" in ran.err) == (1, True)


def test_a_run_that_began_with_other_versions_goes_on_and_says_so(
    snnlab: Callable[..., Any], stopped: Callable[..., None], tmp_path: Path
) -> None:
    import torch

    stopped()
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    loaded = checkpoint.load(path)
    loaded["snnlab"]["versions"]["torch"] = "2.0.0"
    torch.save(loaded, path)
    ran = snnlab("train", "resume=run")
    assert (ran.code, "it began with other versions (torch 2.0.0 then" in ran.out) == (0, True)


def test_a_warning_is_not_told_again_after_a_resume(
    snnlab: Callable[..., Any], stopped: Callable[..., None], tmp_path: Path
) -> None:
    stopped("neuron.threshold=1000.0")
    assert snnlab("train", "resume=run").code == 0
    assert (tmp_path / "run" / "log.txt").read_text().count("layer 0 was silent") == 1


@pytest.mark.parametrize("which", ["last", "the beginning of its id"])
def test_a_stopped_run_is_found_by_name(
    snnlab: Callable[..., Any], stopped: Callable[..., None], tmp_path: Path, which: str
) -> None:
    stopped()
    (tmp_path / "runs" / "digits_lif").mkdir(parents=True)
    (tmp_path / "run").rename(tmp_path / "runs" / "digits_lif" / "one")
    known = checkpoint.load(tmp_path / "runs" / "digits_lif" / "one" / "checkpoints" / "last.ckpt")["snnlab"]["id"]
    ran = snnlab("train", f"resume={'last' if which == 'last' else known[:6]}")
    assert ran.code == 0, ran.err
    assert (tmp_path / "runs" / "digits_lif" / "one" / "result.json").exists()


def test_a_run_that_ended_by_itself_does_not_go_on_for_longer(snnlab: Callable[..., Any], train: Train) -> None:
    folder = train(
        "callback=[early_stopping]", "callback.early_stopping.patience=1", "optimizer.lr=0.3", "trainer.max_epochs=9"
    )
    ran = snnlab("train", f"resume={folder}", "trainer.max_epochs=20")
    assert (ran.code, "The run ended by itself after" in ran.err) == (2, True)


def test_what_is_refused_leaves_the_folder_as_it_was(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    ran = snnlab("train", "resume=run", "trainer.max_epochs=3", "trainer.devices=99", "trainer.accelerator=gpu")
    assert ran.code in (1, 2)
    for name in ("result.json", "config.yaml", "metrics.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (finished / name).read_bytes()
    ran = snnlab("train", "encoder=identity", "output_dir=new")
    assert (ran.code, (tmp_path / "new" / "config.yaml").exists()) == (2, False)


def test_a_better_checkpoint_that_last_ckpt_does_not_know_of_gives_way_to_the_one_it_knows(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path, result: Result
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    (tmp_path / "run" / "result.json").unlink()
    (folder / "best.ckpt").rename(folder / "best_before.ckpt")  # the kill came after the better one was written
    (folder / "best.ckpt").write_bytes(b"of another epoch")
    assert snnlab("train", "resume=run").code == 0
    same_run(tmp_path / "run", finished, result)
    assert not (folder / "best_before.ckpt").exists()


def test_the_weights_of_another_epoch_are_not_tested_as_those_of_the_best(
    snnlab: Callable[..., Any], finished: Path, tmp_path: Path
) -> None:
    import torch

    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    best = tmp_path / "run" / "checkpoints" / "best.ckpt"
    loaded = checkpoint.load(best)
    loaded["callbacks"]["BestAndLast"]["epoch"] += 1
    torch.save(loaded, best)
    ran = snnlab("train", "resume=run")
    assert (ran.code, "and the run's best epoch is" in ran.err) == (1, True)


def test_a_run_goes_on_though_the_weights_it_began_with_are_gone(
    snnlab: Callable[..., Any], stopped: Callable[..., None], finished: Path, tmp_path: Path
) -> None:
    shutil.copytree(finished, tmp_path / "first")
    stopped("weights=first")
    shutil.rmtree(tmp_path / "first")
    ran = snnlab("train", "resume=run")
    assert ran.code == 0, ran.err


def test_numbers_of_the_untrained_network_are_in_no_row(train: Train) -> None:
    folder = train("trainer.num_sanity_val_steps=1", "trainer.check_val_every_n_epoch=2")
    first = table.read(folder / "metrics.csv")[0]
    assert not [name for name in first if name.startswith("val/")]


def test_a_picture_that_fails_does_not_cost_the_result(
    train: Train, result: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snnlab.training import pictures

    def fail(*arguments: Any) -> None:
        raise ValueError("no paper")

    monkeypatch.setattr(pictures, "draw", fail)
    folder = train("plots=true")
    assert result(folder)["status"] == "completed"
    assert "the pictures could not be drawn (ValueError: no paper)." in (folder / "log.txt").read_text()
