"""`hydra/sweeper=optuna`: studies of real runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from optuna.trial import FrozenTrial, TrialState
from torch import Tensor

from snnlab import registry
from snnlab.losses import CountCrossEntropy
from snnlab.registry import register
from snnlab.training import journal, table

TINY = ("network.hidden=[8]", "trainer.max_epochs=1", "trainer.limit_train_batches=2", "time.steps=4", "sweep_dir=sw")
STUDY = ("train", "-m", "hydra/sweeper=optuna", *TINY)
RATE = "optimizer.lr=tag(log,interval(0.0001,0.1))"


def trials(sweep: Path) -> list[FrozenTrial]:
    storage = journal.storage(sweep / "study")
    return optuna.load_study(study_name=journal.STUDY, storage=storage).get_trials()


def configs(sweep: Path) -> list[dict[str, Any]]:
    return [yaml.safe_load(file.read_text()) for file in sweep.glob("*/config.yaml")]


def states(sweep: Path) -> list[str]:
    return [trial.state.name for trial in trials(sweep)]


def test_params_are_in_the_configurations_of_the_runs_to_the_last_digit(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    space = (
        RATE,
        "batch_size=range(100,301,50)",
        "neuron=lif,cuba",
        "seed=int(interval(3,5))",
        "network.hidden=[4],[5,6]",
    )
    ran = snnlab(*STUDY, "sweeper.n_trials=4", *space)
    assert ran.code == 0, ran.err
    found = trials(tmp_path / "sw")
    assert len(found) == 4
    drawn = {
        (
            config["optimizer"]["lr"],
            config["batch_size"],
            config["neuron"]["name"],
            config["seed"],
            json.dumps(config["network"]["hidden"]).replace(" ", ""),
        )
        for config in configs(tmp_path / "sw")
    }
    names = ("optimizer.lr", "batch_size", "neuron", "seed", "network.hidden")
    assert drawn == {tuple(trial.params[name] for name in names) for trial in found}
    assert all(batch in range(100, 301, 50) and seed in (3, 4, 5) for _, batch, _, seed, _ in drawn)
    assert all(0.0001 <= rate <= 0.1 for rate, *_ in drawn)


def test_the_study_knows_what_the_runs_have_found_and_the_best_is_told(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab(*STUDY, "sweeper.n_trials=3", RATE)
    results = [json.loads(file.read_text()) for file in (tmp_path / "sw").glob("*/result.json")]
    by_rate = {r["config"]["optimizer"]["lr"]: r["metrics"]["val/accuracy"] for r in results}
    assert {trial.params["optimizer.lr"]: trial.value for trial in trials(tmp_path / "sw")} == by_rate
    best = max(by_rate.values())
    told = re.search(r"best: trial \d, val/accuracy ([0-9.]+)\n  optimizer.lr=(\S+)\n  (\S+)\n", ran.out)
    assert told and by_rate[float(told[2])] == best == pytest.approx(float(told[1]), abs=1e-4)
    assert json.loads((tmp_path / told[3] / "result.json").read_text())["metrics"]["val/accuracy"] == best


def test_the_same_command_does_nothing_and_with_more_trials_goes_on(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    assert snnlab(*STUDY, "sweeper.n_trials=2", RATE).code == 0
    before = trials(tmp_path / "sw")
    again = snnlab(*STUDY, "sweeper.n_trials=2", RATE)
    assert (again.code, trials(tmp_path / "sw")) == (0, before)
    assert snnlab(*STUDY, "sweeper.n_trials=4", RATE).code == 0
    after = trials(tmp_path / "sw")
    assert after[:2] == before
    assert len({trial.params["optimizer.lr"] for trial in after}) == len(configs(tmp_path / "sw")) == len(after) == 4


def test_a_study_in_two_parts_draws_what_it_draws_in_one(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    space = (RATE, "neuron.tau=interval(5,30)", "sweeper.n_startup_trials=1")
    for most in (1, 2, 3):
        assert snnlab(*STUDY, f"sweeper.n_trials={most}", *space).code == 0
    assert snnlab(*STUDY[:-1], "sweep_dir=one", "sweeper.n_trials=3", *space).code == 0
    parts, one = trials(tmp_path / "sw"), trials(tmp_path / "one")
    assert [(trial.params, trial.value) for trial in parts] == [(trial.params, trial.value) for trial in one]


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsgaii", "random"])
def test_each_sampler_draws(snnlab: Callable[..., Any], tmp_path: Path, sampler: str) -> None:
    # What is drawn twice is trained once: two runs for four trials.
    words = ("seed=0,1", "sweeper.n_trials=4", "sweeper.n_startup_trials=2")
    ran = snnlab(*STUDY, f"sweeper.sampler={sampler}", *words)
    assert ran.code == 0, ran.err
    assert states(tmp_path / "sw") == ["COMPLETE"] * 4
    assert len(configs(tmp_path / "sw")) <= 2
    values = {json.dumps(trial.params): trial.value for trial in trials(tmp_path / "sw")}
    assert all(trial.value == values[json.dumps(trial.params)] for trial in trials(tmp_path / "sw"))


def test_a_trial_that_falls_behind_is_given_up_and_reported_each_epoch_once(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    # The second trial does not learn: its rate is lower by far.
    words = ("trainer.max_epochs=3", "trainer.limit_train_batches=1.0", "time.steps=10", "network.hidden=[16]")
    prune = ("sweeper.prune=true", "sweeper.prune_n_startup_trials=1", "sweeper.sampler=random", "sweeper.n_trials=2")
    ran = snnlab(*STUDY, *words, *prune, "optimizer.lr=1e-6,0.01")
    assert ran.code == 0, ran.err
    good, bad = trials(tmp_path / "sw")
    assert [good.params, bad.params] == [{"optimizer.lr": "0.01"}, {"optimizer.lr": "1e-06"}], "take another seed"
    assert bad.state == TrialState.PRUNED
    (folder,) = (tmp_path / "sw").glob("*1e-06_*")
    attempt = json.loads((folder / "attempts" / "1.json").read_text())
    assert (attempt["status"], (folder / "result.json").exists()) == ("pruned", False)
    assert "fallen behind" in attempt["error"]
    assert sorted(good.intermediate_values) == [0, 1, 2]
    rows = {int(row["epoch"]): row["val/accuracy"] for row in table.read(folder / "metrics.csv")}
    assert bad.intermediate_values == rows
    assert "1 pruned" in ran.out


def test_warm_up_epochs_are_not_pruned(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    words = ("trainer.max_epochs=3", "trainer.limit_train_batches=1.0", "time.steps=10", "network.hidden=[16]")
    prune = ("sweeper.prune=true", "sweeper.prune_n_startup_trials=1", "sweeper.prune_n_warmup_steps=2")
    snnlab(*STUDY, *words, *prune, "sweeper.sampler=random", "sweeper.n_trials=2", "optimizer.lr=1e-6,0.01")
    assert states(tmp_path / "sw") == ["COMPLETE"] * 2


def test_two_objectives_end_in_a_front(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    goals = ("sweeper.objectives=[val/accuracy,val/rate/0]", "sweeper.directions=[maximize,minimize]")
    ran = snnlab(*STUDY, "sweeper.n_trials=4", *goals, RATE, "neuron.threshold=interval(0.2,3.0)")
    assert ran.code == 0, ran.err
    found = [trial.values for trial in trials(tmp_path / "sw")]
    front = [v for v in found if not any(w != v and w[0] >= v[0] and w[1] <= v[1] for w in found)]
    assert ran.out.count("best: trial") == len(front)
    for accuracy, rate in front:
        assert f"val/accuracy {accuracy:.4f}, val/rate/0 {rate:.4f}" in ran.out


def test_a_loss_is_made_small_and_a_metric_large(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    for objective, direction in (("val/loss", "MINIMIZE"), ("train/accuracy", "MAXIMIZE")):
        sweep = ("sweep_dir=" + objective.replace("/", "_"), f"sweeper.objectives=[{objective}]", "sweeper.n_trials=1")
        assert snnlab(*STUDY, *sweep, RATE).code == 0
        storage = journal.storage(tmp_path / objective.replace("/", "_") / "study")
        study = optuna.load_study(study_name=journal.STUDY, storage=storage)
        assert study.direction.name == direction
        (metrics,) = tmp_path.glob(objective.replace("/", "_") + "/*/metrics.csv")
        assert study.best_value == table.read(metrics)[0][objective]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that raises."""
    registry.names("loss")
    monkeypatch.setattr(registry, "_parts", {family: dict(known) for family, known in registry._parts.items()})

    @register("loss")
    class Failing(CountCrossEntropy):
        def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
            raise RuntimeError("of its own")


@pytest.mark.usefixtures("failing")
def test_a_trial_that_fails_is_told_and_does_not_stop_the_study(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    words = ("loss=count_cross_entropy,failing", RATE, "sweeper.n_trials=4", "sweeper.sampler=random")
    ran = snnlab(*STUDY, *words)
    failed = [trial for trial in trials(tmp_path / "sw") if trial.params["loss"] == "failing"]
    assert 0 < len(failed) < 4, "take another seed"
    assert (ran.code, ran.err.count("failed: ")) == (1, len(failed))
    assert {trial.user_attrs["error"] for trial in failed} == {"RuntimeError: of its own"}
    assert f"{len(failed)} failed" in ran.out
    again = snnlab(*STUDY, *words)
    assert (again.code, again.err, len(trials(tmp_path / "sw"))) == (0, "", 4)


def test_options_that_do_not_go_together_cost_a_trial_not_the_study(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    # A neuron without spikes has nothing to count.
    space = ("loss=membrane_cross_entropy,count_cross_entropy", "output_neuron=lif,li")
    ran = snnlab(*STUDY, *space, "sweeper.n_trials=8", "sweeper.sampler=random")
    apart = [t for t in trials(tmp_path / "sw") if "error" in t.user_attrs]
    assert {(t.params["loss"], t.params["output_neuron"]) for t in apart} == {("count_cross_entropy", "li")}
    assert (ran.code, len(trials(tmp_path / "sw"))) == (0, 8)
    assert f"trial {apart[0].number} cannot be: loss=count_cross_entropy" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("optimizer.lr=interval(0,0.1)",), "optimizer.lr: 0.0"),
        (("optimizer.lr=interval(0.1,0.01)",), "optimizer.lr=interval(0.1,0.01): "),
        (("optimizer.lr=tag(log,interval(0,0.1))",), "low"),
        (("neuron.tau=tag(log,range(2,30,2))",), "steps of 1"),
        (("neuron=lif,cubo",), "Did you mean cuba?"),
        (("neuron.tua=interval(1,2)",), "Did you mean"),
        (("neuron=glob(*)",), "a study draws from"),
        (("seed=3",), "nothing is drawn"),
        ((RATE, "seed=0,1", "sweep.zip=[optimizer.lr,seed]"), "sweep.zip"),
        ((RATE, "sweeper.objectives=[test/accuracy]"), "use val/"),
        ((RATE, "sweeper.objectives=[val/acuracy]"), "Did you mean val/accuracy?"),
        ((RATE, "sweeper.objectives=[val/rate/0]"), "sweeper.directions"),
        ((RATE, "sweeper.directions=[minimize,minimize]"), "one for each of val/accuracy"),
        ((RATE, "sweeper.directions=[up]"), "minimize | maximize"),
        ((RATE, "sweeper.prune=true", "sweeper.objectives=[val/accuracy,val/loss]"), "sweeper.prune"),
        ((RATE, "sweeper.n_trials=0"), "n_trials: 0"),
        ((RATE, "sweeper.trials=3"), "sweeper.trials"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(
    snnlab: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ran = snnlab(*STUDY, *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert said in ran.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("seed=0,2", RATE), "choice(0,1)"),
        (("seed=0,1",), "optimizer.lr"),
        (("seed=0,1", RATE, "batch_size=10"), "options"),
        (("seed=0,1", RATE, "sweeper.objectives=[val/loss]"), "objectives"),
        (("seed=0,1", RATE, "sweeper.directions=[minimize]"), "maximize"),
    ],
)
def test_a_folder_with_another_study_is_refused(
    snnlab: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    _study(tmp_path / "sw")
    ran = snnlab(*STUDY, *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert said in ran.err and "Take another sweep_dir" in ran.err


def _study(sweep: Path) -> None:
    """What is left of a study over seed=0,1 and RATE."""
    study = optuna.create_study(
        study_name=journal.STUDY, storage=journal.storage(sweep / "study"), direction="maximize"
    )
    study.set_user_attr("objectives", ["val/accuracy"])
    study.set_user_attr("options", sorted(TINY[:-1]))
    trial = study.ask()
    trial.suggest_float("optimizer.lr", 0.0001, 0.1, log=True)
    trial.suggest_categorical("seed", ["0", "1"])


def test_what_changes_no_number_may_change(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    _study(tmp_path / "sw")
    ran = snnlab(*STUDY, "seed=0,1", RATE, "sweeper.n_trials=1", "logger=[csv]", "workers=0")
    assert ran.code == 0, ran.err
    assert states(tmp_path / "sw") == ["COMPLETE"]


@pytest.mark.parametrize("there", [None, "2.10.1"])  # the latter comes with hydra-optuna-sweeper
def test_without_optuna_5_it_is_told_how_to_get_it(
    snnlab: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str | None
) -> None:
    def version(name: str) -> str:
        if there is None:
            raise PackageNotFoundError(name)
        return there

    monkeypatch.setattr("snnlab.sweeps.sweepers.optuna.version", version)
    ran = snnlab(*STUDY, RATE)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"there is {there or 'none'}: pip install 'snnlab-lightning[optuna]'" in ran.err


def test_a_torn_journal_is_repaired_and_told(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    assert snnlab(*STUDY, "sweeper.n_trials=2", RATE).code == 0
    before = trials(tmp_path / "sw")
    path = tmp_path / "sw" / "study" / "journal.log"
    path.write_bytes(path.read_bytes()[:-7])  # of the line that tells the last trial's value
    ran = snnlab(*STUDY, "sweeper.n_trials=2", RATE)
    assert (ran.code, ran.err.count("\n")) == (0, 1)
    assert "1 line of its journal" in ran.err
    assert [(t.params, t.value) for t in trials(tmp_path / "sw")] == [(t.params, t.value) for t in before]


def test_a_journal_that_is_damaged_otherwise_is_told_and_the_runs_serve_a_new_one(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    assert snnlab(*STUDY, "sweeper.n_trials=2", RATE).code == 0
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "sw").glob("*/result.json")}
    path = tmp_path / "sw" / "study" / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:4], b"{garbage}\n", *lines[5:]]))
    ran = snnlab(*STUDY, "sweeper.n_trials=2", RATE)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "line 5 is damaged" in ran.err
    path.rename(tmp_path / "away")
    assert snnlab(*STUDY, "sweeper.n_trials=2", RATE).code == 0
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "sw").glob("*/result.json")} == before


def test_examples_show_the_space_and_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from snnlab.composition import Composer
    from snnlab.sweeps.begin import begin

    monkeypatch.chdir(tmp_path)
    words = [word for word in STUDY[2:] if not word.startswith("sweep_dir")]
    sweep = begin(Composer(), [*words, "optimizer.lr=interval(0.25,0.5)", "neuron=lif,cuba"], "sw")
    shown = [(job.config["optimizer"]["lr"], job.config["neuron"]["name"]) for job in sweep.sweeper.examples()]  # type: ignore[attr-defined]
    assert shown == [(0.25, "lif"), (0.5, "lif"), (0.25, "cuba")]
    assert not list(tmp_path.iterdir())
