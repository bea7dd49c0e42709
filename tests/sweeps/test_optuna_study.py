"""The study by itself: asked by several at once, left by a kill at any point, its journal damaged in any way."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import TrialState

from snnlab.errors import BadData, Pruned
from snnlab.registry import build
from snnlab.sweeps.objectives import Objectives
from snnlab.sweeps.space import Space
from snnlab.sweeps.study import Study
from snnlab.training import journal

WORDS = ("++optimizer.lr=interval(0,1)", "neuron=lif,cuba")


def opened(folder: Path, words: Sequence[str] = WORDS, **options: Any) -> Study:
    goals = Objectives(("val/accuracy",), ("maximize",))
    return Study(folder, Space(words), goals, [], **{"sampler": RandomSampler, "seed": 0} | options)


def sketch(study: Study) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state.name, trial.params, trial.values) for trial in study.trials()]


@pytest.mark.parametrize(
    ("word", "distribution"),
    [
        ("a=interval(1,5)", FloatDistribution(1, 5)),
        ("a=int(interval(1,5))", IntDistribution(1, 5)),
        ("a=tag(log,interval(0.1,10))", FloatDistribution(0.1, 10, log=True)),
        ("a=tag(log,int(interval(1,100)))", IntDistribution(1, 100, log=True)),
        ("a=range(2,10,3)", IntDistribution(2, 8, step=3)),
        ("a=range(9,2,-3)", IntDistribution(3, 9, step=3)),
        ("a=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
        ("a=tag(log,range(1,65))", IntDistribution(1, 64, log=True)),
        ("a=choice([8],[16,8])", CategoricalDistribution(["[8]", "[16,8]"])),
        ("a=shuffle(x,y)", CategoricalDistribution(["x", "y"])),
        ("a='1,2',3", CategoricalDistribution(["'1,2'", "3"])),
    ],
)
def test_a_sweep_of_hydra_is_drawn_as_it_reads(word: str, distribution: BaseDistribution) -> None:
    assert Space([word]).distributions == {"a": distribution}


def test_words_of_a_trial_keep_their_order_and_every_digit() -> None:
    space = Space(["neuron=lif,cuba", "++a.b=interval(0,1)", "seed=3"])
    assert space.words({"neuron": "cuba", "a.b": 0.1 + 0.2}) == ["neuron=cuba", "++a.b=0.30000000000000004", "seed=3"]
    assert space.fixed == ["seed=3"]


def test_a_trial_whose_process_lives_is_left_to_it(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.join()
    other.join()
    asked = one.ask(5)
    assert asked is not None and other.forsaken() == []
    one.leave()
    assert [trial.number for trial in other.forsaken()] == [0]
    third = opened(tmp_path)
    assert third.forsaken() == []  # it is the other's now
    other.leave()


def test_a_trial_that_was_drawn_in_part_is_drawn_to_its_end(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study._optuna.ask()
    half = study._optuna.ask()
    half.suggest_float("optimizer.lr", 0, 1)
    found = opened(tmp_path).forsaken()
    assert [trial.number for trial in found] == [0, 1]
    assert all(set(trial.params) == {"optimizer.lr", "neuron"} for trial in found)
    assert found[1].params["optimizer.lr"] == half.params["optimizer.lr"]


def test_trials_that_the_user_enqueued_come_first_and_count(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study._optuna.enqueue_trial({"optimizer.lr": 0.5})
    asked = study.ask(1)
    assert asked is not None and asked.params["optimizer.lr"] == 0.5
    assert study.ask(1) is None


def test_drivers_that_ask_at_once_share_the_trials(tmp_path: Path) -> None:
    def drive(study: Study) -> list[int]:
        study.join()
        told = []
        while (trial := study.ask(16)) is not None:
            time.sleep(0.03)  # it is trained
            study.tell(trial.number, [trial.params["optimizer.lr"]])
            told.append(trial.number)
        study.leave()
        return told

    with ThreadPoolExecutor(3) as pool:  # processes are in tests/crash
        outputs = [*pool.map(drive, [opened(tmp_path) for _ in range(3)])]
    assert sorted(number for output in outputs for number in output) == [*range(16)]
    trials = opened(tmp_path).trials()
    assert [trial.value for trial in trials] == [trial.params["optimizer.lr"] for trial in trials]
    assert len({trial.value for trial in trials}) == 16


def test_seeds_next_to_each_other_draw_other_trials(tmp_path: Path) -> None:
    drawn = []
    for seed in (0, 1):
        study = opened(tmp_path / str(seed), seed=seed)
        for _ in range(5):
            asked = study.ask(5)
            assert asked is not None
            drawn.append(asked.params["optimizer.lr"])
    assert len(set(drawn)) == 10


def test_tpe_leaves_a_region_where_trials_fail(tmp_path: Path) -> None:
    # As large as possible is best, and from 0.5 on every trial fails.
    def failures(fail: bool) -> int:
        study = opened(tmp_path / str(fail), WORDS[:1], sampler=lambda seed: TPESampler(seed=seed, n_startup_trials=5))
        count = 0
        for _ in range(40):
            trial = study.ask(40)
            assert trial is not None
            rate = trial.params["optimizer.lr"]
            count += rate >= 0.5
            if rate < 0.5:
                study.tell(trial.number, [rate])
            elif fail:  # as Optuna has it
                study._optuna.tell(trial.number, state=TrialState.FAIL)
            else:
                study.give_up(trial.number, "too large")
        return count

    assert failures(fail=False) <= 20 < 30 < failures(fail=True)  # of 40


def told(folder: Path) -> tuple[bytes, list[tuple[Any, ...]]]:
    """A journal of four trials, and what it says."""
    study = opened(folder)
    for number in range(4):
        study.ask(4)
        if number < 3:
            study.tell(number, [number / 10])
    return (folder / journal.NAME).read_bytes(), sketch(study)


def test_a_journal_cut_at_any_byte_of_its_last_lines_loses_these_alone(tmp_path: Path) -> None:
    whole, _ = told(tmp_path)
    lines = whole.splitlines(keepends=True)
    path = tmp_path / journal.NAME
    for kept in range(len(whole) - len(lines[-1]) - len(lines[-2]) + 1, len(whole)):
        path.write_bytes(whole[:kept])
        left = sum(len(line) for line in lines[:-1]) <= kept
        assert journal.repair(path) == (0 if whole[:kept].endswith(b"\n") else 1)
        assert path.read_bytes() == b"".join(lines[:-1] if left else lines[:-2])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda lines: [*lines, b'{"op_code":6,"worker_id":"a'], id="half a line"),
        pytest.param(lambda lines: [*lines, b'{"op_code":6\n'], id="half a line that ends"),
        pytest.param(lambda lines: [*lines, b"\0" * 512], id="zeros, as a machine without power leaves them"),
        pytest.param(lambda lines: [*lines[:-3], b'{"op_code":4,"st' + lines[-3], *lines[-2:]], id="written on behind"),
        pytest.param(lambda lines: [*lines[:-3], b"\0" * 99 + lines[-3], *lines[-2:]], id="zeros, written on behind"),
        pytest.param(
            lambda lines: [*lines[:-3], b'{"op_code":4,"st' + lines[-3], b'{"op' + lines[-2], lines[-1], b"{"],
            id="three times",
        ),
    ],
)
def test_a_torn_journal_says_what_it_said(tmp_path: Path, damage: Any) -> None:
    whole, said = told(tmp_path)
    (tmp_path / journal.NAME).write_bytes(b"".join(damage(whole.splitlines(keepends=True))))
    study = opened(tmp_path)
    assert study.cut > 0
    assert sketch(study) == said
    assert (tmp_path / journal.NAME).read_bytes() == whole


def test_a_journal_is_not_touched_where_nothing_is_torn(tmp_path: Path) -> None:
    told(tmp_path)
    before = (tmp_path / journal.NAME).stat()
    opened(tmp_path)
    after = (tmp_path / journal.NAME).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("line", [b"\n", b"{}\n", b"[1]\n", b'{"op_code":99}\n', b'{"op_code":6,"trial_id":77}\n'])
def test_a_journal_damaged_within_is_told_not_guessed_at(tmp_path: Path, line: bytes) -> None:
    whole, _ = told(tmp_path)
    lines = whole.splitlines(keepends=True)
    (tmp_path / journal.NAME).write_bytes(b"".join([*lines[:5], line, *lines[5:]]))
    with pytest.raises(BadData, match=r"journal\.log"):
        opened(tmp_path)


def test_who_writes_after_a_kill_cuts_what_it_left(tmp_path: Path) -> None:
    study = opened(tmp_path)
    study.ask(9)
    with open(tmp_path / journal.NAME, "ab") as file:
        file.write(b'{"op_code":4,"worker')
    study.ask(9)
    study.tell(0, [0.5])
    lines = (tmp_path / journal.NAME).read_bytes()
    assert b'"worker{' not in lines
    assert sketch(opened(tmp_path)) == sketch(study)
    assert len(study.trials()) == 2


def test_a_lock_left_by_a_kill_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = journal.JournalFileOpenLock
    monkeypatch.setattr(journal, "_lock", lambda path: lock(str(path), grace_period=3))
    study = opened(tmp_path)
    (tmp_path / f"{journal.NAME}.lock").touch()
    assert study.ask(1) is not None


class Run:
    """A run as far as the callback sees it."""

    def __init__(self, folder: Path, trial: int, **options: Any) -> None:
        given = {"name": "pruning", "study": "..", "trial": trial, "objective": "val/accuracy", "n_startup_trials": 1}
        self.callback = build("callback", given | options, folder=str(folder / "run"))()
        self.trainer = SimpleNamespace(is_global_zero=True, world_size=1)
        self.module = SimpleNamespace(rows=[])

    def epochs(self, values: Sequence[float], *, last: bool = True) -> Iterator[int]:
        self.callback.on_train_start(self.trainer, self.module)
        for epoch, value in enumerate(values, start=len(self.module.rows)):
            self.callback.on_train_epoch_start(self.trainer, self.module)
            self.callback.on_train_batch_start(self.trainer, self.module, None, 0)
            self.module.rows.append({"epoch": epoch, "val/accuracy": value})
            yield epoch
        if last:
            self.callback.on_train_end(self.trainer, self.module)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """One of three trials, the first done with 0.5, 0.6, 0.7 on val."""
    made = opened(tmp_path)
    made.ask(3)
    made.ask(3)
    assert [*Run(tmp_path, 0).epochs([0.5, 0.6, 0.7])] == [0, 1, 2]
    made.tell(0, [0.7])
    return made


def test_a_run_that_goes_on_reports_no_epoch_twice(tmp_path: Path, study: Study) -> None:
    run = Run(tmp_path, 1)
    list(run.epochs([0.8, 0.9], last=False))  # killed within the third epoch
    again = Run(tmp_path, 1)
    again.module.rows = run.module.rows[:1]  # as in its checkpoint
    list(again.epochs([0.9, 0.95]))
    reports = [line for line in (tmp_path / journal.NAME).read_text().splitlines() if '"trial_id":1,"step"' in line]
    assert len(reports) == 3
    assert study.trials()[1].intermediate_values == {0: 0.8, 1: 0.9, 2: 0.95}


def test_a_run_behind_the_median_is_given_up_where_it_is_saved(tmp_path: Path, study: Study) -> None:
    run, done = Run(tmp_path, 1), list[int]()
    with pytest.raises(Pruned, match=r"behind after epoch 1, with val/accuracy 0\.55"):
        done.extend(run.epochs([0.51, 0.55, 0.9]))
    assert len(run.module.rows) == 2


def test_a_run_is_not_given_up_while_it_warms_up(tmp_path: Path, study: Study) -> None:
    assert [*Run(tmp_path, 1, n_warmup_steps=3).epochs([0.1, 0.1, 0.1])] == [0, 1, 2]


def test_a_trial_that_was_given_up_is_not_trained_again(tmp_path: Path, study: Study) -> None:
    study.give_up(1)
    run = Run(tmp_path, 1)
    with pytest.raises(Pruned, match="given up before"):
        list(run.epochs([0.9]))
    assert run.module.rows == []


def test_all_processes_of_a_run_end_with_the_first(tmp_path: Path, study: Study) -> None:
    run = Run(tmp_path, 1)
    asked = []

    def reduce(tensor: Any, reduce_op: str) -> Any:
        asked.append((int(tensor), reduce_op))
        return tensor * 0 + 1

    run.trainer = SimpleNamespace(
        is_global_zero=False, world_size=2, strategy=SimpleNamespace(root_device="cpu", reduce=reduce)
    )
    with pytest.raises(Pruned, match="The first process"):
        list(run.epochs([0.9]))
    assert asked == [(0, "max")]
    assert study.trials()[1].intermediate_values == {}


def test_a_run_whose_study_is_gone_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = Run(tmp_path / "elsewhere", 0)
    assert [*run.epochs([0.1, 0.2])] == [0, 1]
    assert "the study cannot be reached" in caplog.text
    assert not list(tmp_path.rglob("*"))


def test_optuna_itself_reads_the_journal(tmp_path: Path, study: Study) -> None:
    backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / journal.NAME))
    theirs = optuna.load_study(study_name="sweep", storage=optuna.storages.JournalStorage(backend))
    assert theirs.best_trial.value == 0.7
    assert [trial.params for trial in theirs.trials] == [trial.params for trial in study.trials()]
