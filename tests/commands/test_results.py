"""`snnlab results`: what is asked for and what is printed, drawn and written."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from snnlab.commands import results
from snnlab.sweeps import queue

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def run(folder: Path, accuracy: float | None = 0.5, **options: Any) -> Path:
    """The folder of a run that is done."""
    neuron = {"name": options.pop("neuron", "lif"), "tau": options.pop("tau", 10.0)}
    config = {"experiment": "digits_lif", "seed": 0, "neuron": neuron, "metric": {"accuracy": {}}, "trainer": {}}
    metrics = {"test/accuracy": accuracy, "val/accuracy": accuracy, "test/loss": 1.0, "val/loss": 2.0}
    result = {"id": folder.name, "metrics": metrics, "seconds": 2.5, "epochs": 2, "config": config | options}
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "metrics.csv").write_text(f"epoch,val/loss\n0,{2.0 + config['seed']}\n1,1.5\n")
    return folder


def attempt(folder: Path, status: str, error: str = "") -> None:
    """An attempt at a run, by somebody elsewhere."""
    (folder / "attempts").mkdir(parents=True, exist_ok=True)
    said = {"owner": {"host": "elsewhere", "pid": 1}, "status": status, "error": error}
    (folder / "attempts" / "1.json").write_text(json.dumps(said))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two neurons, three seeds each; lif is better."""
    for neuron, best in (("lif", 0.9), ("cuba", 0.8)):
        for seed in range(3):
            run(tmp_path / "sweep" / f"{neuron}{seed}", best + seed / 100, neuron=neuron, seed=seed)
    return tmp_path / "sweep"


def test_the_table_has_a_row_a_group_and_marks_the_best(snnlab: Any, sweep: Path) -> None:
    ran = snnlab("results", "sweep")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "6 jobs: 6 completed; 15.0 s of training",
        "",
        "   neuron  test/accuracy      sd  n  val/accuracy  seconds",
        "   cuba           0.8100  0.0100  3        0.8100      2.5",
        "*  lif            0.9100  0.0100  3        0.9100      2.5",
        "",
        "* best: highest mean of val/accuracy",
    ]


def test_groups_are_those_that_by_names(snnlab: Any, sweep: Path) -> None:
    lines = snnlab("results", "sweep", "--by", "seed,neuron.name", "--metric", "test/loss").out.splitlines()
    assert lines[2].split() == ["seed", "neuron", "test/loss", "sd", "n", "val/loss", "seconds"]
    assert [line.lstrip("* ").split()[:2] for line in lines[3:9]] == [
        [str(seed), neuron] for seed in range(3) for neuron in ("cuba", "lif")
    ]


def test_what_is_the_same_in_all_is_said_above_the_table(snnlab: Any, sweep: Path) -> None:
    lines = snnlab("results", "sweep", "--by", "neuron,neuron.tau").out.splitlines()
    assert lines[1] == "in all: neuron.tau=10"
    assert lines[3].split()[:2] == ["neuron", "test/accuracy"]


def test_a_group_that_mixes_options_is_told(snnlab: Any, sweep: Path) -> None:
    assert "Groups mix jobs that differ in neuron as well" in snnlab("results", "sweep", "--by", "neuron.tau").out


def test_runs_shows_every_job_alone(snnlab: Any, sweep: Path) -> None:
    attempt(sweep / "late", "failed", "no space left")
    lines = snnlab("results", "sweep", "--runs", "--where", "neuron=lif").out.splitlines()
    assert lines[3].split() == ["seed", "test/accuracy", "val/accuracy", "epochs", "seconds", "status", "folder"]
    assert lines[4].split() == ["0", "0.9000", "0.9000", "2", "2.5", "completed", "lif0"]
    assert [line.split()[-1] for line in lines[4:7]] == ["lif0", "lif1", "lif2"]


def test_what_failed_is_listed_with_its_error_and_its_log_each_error_once(snnlab: Any, sweep: Path) -> None:
    for name in ("x", "y"):
        attempt(sweep / name, "failed", "RuntimeError: out of luck")
    (sweep / "x" / "log.txt").write_text("…")
    out = snnlab("results", "sweep").out
    assert out.count("out of luck") == 1
    assert "failed: sweep/x\n  RuntimeError: out of luck\n  sweep/x/log.txt\n  and 1 more with the same error" in out


def test_json_is_a_list_of_groups(snnlab: Any, sweep: Path) -> None:
    (sweep / "cuba2" / "result.json").write_text("{")
    cuba, lif = json.loads(snnlab("results", "sweep", "--json", "--by", "neuron").out)
    assert lif.pop("sd") == pytest.approx(0.01)
    assert lif == {
        "options": {"neuron": "lif"},
        "metric": "test/accuracy",
        "n": 3,
        "mean": pytest.approx(0.91),
        "val": "val/accuracy",
        "val_mean": pytest.approx(0.91),
        "best": True,
        "failed": 0,
        "running": 0,
        "waiting": 0,
        "interrupted": 0,
        "pruned": 0,
        "seconds": 2.5,
    }
    assert (cuba["n"], cuba["options"]) == (2, {"neuron": "cuba"})


def test_json_has_null_where_there_is_no_number(snnlab: Any, tmp_path: Path) -> None:
    run(tmp_path / "r", None)
    (group,) = json.loads(snnlab("results", "r", "--json").out)
    assert (group["options"], group["n"], group["mean"], group["sd"], group["val_mean"]) == ({}, 0, None, None, None)
    (job,) = json.loads(snnlab("results", "r", "--json", "--runs").out)
    assert job["metrics"]["test/accuracy"] is None
    assert (job["status"], job["folder"], job["seconds"]) == ("completed", "r", 2.5)


def test_csv_has_the_same_numbers(snnlab: Any, sweep: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(snnlab("results", "sweep", "--csv").out)))
    groups = json.loads(snnlab("results", "sweep", "--json").out)
    assert [float(row["mean"]) for row in rows] == [group["mean"] for group in groups]
    assert [row["neuron"] for row in rows] == ["cuba", "lif"]
    jobs = list(csv.DictReader(io.StringIO(snnlab("results", "sweep", "--csv", "--runs").out)))
    assert [float(job["test/accuracy"]) for job in jobs[:3]] == [0.8, 0.8 + 1 / 100, 0.8 + 2 / 100]


def test_latex_is_a_table_with_the_best_in_bold(snnlab: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path / "sweep" / f"a{seed}", 0.5 + seed / 10, neuron="my_lif", seed=seed)
        run(tmp_path / "sweep" / f"b{seed}", 0.6 + seed / 10, neuron="cuba", seed=seed)
    lines = snnlab("results", "sweep", "--latex").out.splitlines()
    assert r"neuron & test accuracy & $n$ \\" in lines
    assert r"cuba & $\mathbf{0.6500 \pm 0.0707}$ & 2 \\" in lines
    assert r"my\_lif & $0.5500 \pm 0.0707$ & 2 \\" in lines


@pytest.mark.parametrize("flags", [[], ["--runs"], ["--curve", "val/loss"]])
def test_no_line_is_longer_than_a_hundred_characters(snnlab: Any, tmp_path: Path, flags: list[str]) -> None:
    for seed in range(2):
        for hidden in ([32] * 30, [32] * 31, [64]):
            for number in range(3):
                options = {f"an_option_of_a_long_name_{place}": f"{'x' * 90}{number}" for place in range(4)}
                name = f"{'folder' * 20}{seed}{len(hidden)}{number}"
                run(tmp_path / "sweep" / name, seed=seed, hidden=hidden, **options)
    attempt(tmp_path / "sweep" / "failed", "failed", "why " * 100)
    lines = snnlab("results", "sweep", *flags).out.splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) > 8


def test_values_that_are_shortened_still_differ(snnlab: Any, tmp_path: Path) -> None:
    for number in range(3):
        weights = f"runs/digits_lif/{'long' * 9}_{number}/checkpoints/{'name' * 9}/best.ckpt"
        run(tmp_path / "sweep" / str(number), weights=weights, neuron="abc"[number] * 30)
    rows = snnlab("results", "sweep", "--by", "weights,neuron").out.splitlines()[-7:]
    assert len({row.split()[1] for row in rows if "…" in row}) == 3


@pytest.mark.parametrize("flags", [[], ["--runs"], ["--csv"], ["--csv", "--runs"], ["--latex"]])
def test_a_strangers_names_do_not_reach_the_terminal_as_they_are(snnlab: Any, tmp_path: Path, flags: list[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\x9b1m"
    run(tmp_path / "sweep" / f"a{evil}", neuron="lif")
    run(tmp_path / "sweep" / "b", neuron=f"x{evil}")
    attempt(tmp_path / "sweep" / f"c{evil}", "failed", f"why{evil}")
    (tmp_path / "sweep" / f"d{evil}").mkdir()
    (tmp_path / "sweep" / f"d{evil}" / "result.json").write_text("{")
    ran = snnlab("results", "sweep", *flags)
    assert ran.code == 0
    assert not CONTROL.search(ran.out.replace("\n", " ") + ran.err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--plto", "a.png"], "there is no such flag. Did you mean --plot?"),
        (["--by", "nuron"], "Did you mean neuron?"),
        (["--metric", "test/acuracy"], "Did you mean test/accuracy?"),
        (["--where", "nuron=lif"], "Did you mean neuron?"),
        (["--where", "neuron=lfi"], "none of the runs has it. There is cuba, lif."),
        (["--curve", "val/los"], "Did you mean val/loss?"),
        (["--plot", "a.gif"], ".png, .pdf or .svg"),
        (["--json", "--csv"], "not allowed with"),
        (["--runs", "--latex"], "--latex: it is for groups"),
        (["--runs", "--curve", "val/loss"], "--curve shows groups"),
        (["--mode", "most"], "invalid choice"),
    ],
)
def test_what_is_wrong_is_told_with_exit_code_2(snnlab: Any, sweep: Path, words: list[str], said: str) -> None:
    ran = snnlab("results", "sweep", *words)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err


def test_a_folder_is_needed(snnlab: Any, tmp_path: Path) -> None:
    assert snnlab("results").code == 2
    assert snnlab("results", "nix").code == 1
    assert "no run lies there" in snnlab("results", str(tmp_path)).err


def test_a_folder_may_stand_behind_where(snnlab: Any, sweep: Path) -> None:
    assert snnlab("results", "--where", "neuron=lif", "sweep").out.startswith("3 jobs")


def test_help_tells_every_flag(snnlab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        snnlab("results", "--help")
    assert ended.value.code == 0
    out = capsys.readouterr().out
    flags = ("--by", "--metric", "--mode", "--where", "--runs", "--json", "--csv", "--latex", "--plot", "--curve")
    assert all(flag in out.partition("options:")[2] for flag in (*flags, "--watch"))


@pytest.mark.parametrize(("kind", "begin"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
@pytest.mark.parametrize("flags", [[], ["--curve", "val/loss"], ["--by", "neuron.tau"], ["--by", "seed,neuron"]])
def test_a_picture_is_drawn_twice_the_same(snnlab: Any, sweep: Path, kind: str, begin: bytes, flags: list[str]) -> None:
    for name in ("a", "b"):
        assert snnlab("results", "sweep", *flags, "--plot", f"{name}.{kind}").code == 0
    drawn = (sweep.parent / f"a.{kind}").read_bytes()
    assert drawn.startswith(begin)
    assert drawn == (sweep.parent / f"b.{kind}").read_bytes()


def test_a_picture_has_units_on_its_axis_and_its_words_as_text(snnlab: Any, tmp_path: Path) -> None:
    for tau in (1.0, 10.0, 100.0):
        run(tmp_path / "sweep" / str(tau), tau=tau)
    assert snnlab("results", "sweep", "--plot", "a.svg").code == 0
    drawn = (tmp_path / "a.svg").read_text()
    assert "neuron.tau (ms)" in drawn
    assert "test accuracy" in drawn


def test_a_picture_that_cannot_be_written_is_told(snnlab: Any, sweep: Path) -> None:
    (sweep.parent / "file").write_text("")
    ran = snnlab("results", "sweep", "--plot", "file/a.png")
    assert (ran.code, "it cannot be written" in ran.err) == (1, True)


def test_curves_are_shown_at_some_epochs(snnlab: Any, sweep: Path) -> None:
    lines = snnlab("results", "sweep", "--curve", "val/loss").out.splitlines()
    assert lines[3].split() == ["neuron", "n", "epoch", "0", "epoch", "1"]
    assert lines[4].split() == ["cuba", "3", "2.000", "±", "0.000", "1.500", "±", "0.000"]
    (cuba, _) = json.loads(snnlab("results", "sweep", "--curve", "val/loss", "--json").out)
    assert (cuba["epochs"], cuba["mean"], cuba["n"]) == ([0, 1], [2.0, 1.5], [3, 3])


def test_watch_waits_until_nothing_runs(snnlab: Any, sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt(sweep / "late", "running")

    def finish(seconds: float) -> None:
        attempt(sweep / "late", "completed")
        (sweep / "late" / "result.json").write_bytes((sweep / "lif0" / "result.json").read_bytes())

    monkeypatch.setattr(time, "sleep", finish)
    ran = snnlab("results", "sweep", "--watch", "--json", "--by", "neuron")
    assert [group["n"] for group in json.loads(ran.out)] == [3, 3]  # the late one is a copy of lif0
    assert ran.err.endswith("7 jobs: 6 completed, 1 running; 15.0 s of training\n")


def plan(sweep: Path, *names: str) -> None:
    """The plan of jobs that nobody has begun."""
    (sweep / "plans").mkdir(exist_ok=True)
    jobs = [{"folder": name, "words": ["seed=9"], "config": {"seed": 9}} for name in names]
    (sweep / "plans" / "0.jsonl").write_text("".join(json.dumps(job) + "\n" for job in jobs))


class Clock:
    """Time that passes only while somebody sleeps, and what happens meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.at: dict[float, Callable[[], object]] = {}
        monkeypatch.setattr(time, "sleep", self.sleep)
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for moment in sorted(moment for moment in self.at if moment <= self.now):
            self.at.pop(moment)()
        assert self.now < 3000, "it does not end"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def slurm(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is in the queue; three jobs were submitted, and have not begun."""
    plan(sweep, "a", "b", "c")
    queue.record(sweep, {f"12_{n}": name for n, name in enumerate("abc")})
    there: dict[str, Any] = {f"12_{n}": queue.Queued("12", "PENDING", "Priority") for n in range(3)}
    monkeypatch.setattr(queue, "in_queue", lambda users, patience: there)
    return there


def test_watch_ends_where_nobody_trains_what_waits(snnlab: Any, sweep: Path, clock: Clock) -> None:
    plan(sweep, "a", "b", "c")
    ran = snnlab("results", "sweep", "--watch")
    assert ran.code == 0 and "3 wait, and nobody trains them" in ran.err
    assert 1090 <= clock.now < 1100


def test_watch_waits_for_what_begins_late(snnlab: Any, sweep: Path, clock: Clock) -> None:
    plan(sweep, "a", "b")
    clock.at = {1080: lambda: run(sweep / "a", neuron="lif", seed=9)}
    assert "1 wait, and nobody trains them" in snnlab("results", "sweep", "--watch").err
    assert 1170 <= clock.now < 1180


def test_watch_waits_for_what_is_in_the_queue(snnlab: Any, sweep: Path, clock: Clock, slurm: dict[str, Any]) -> None:
    clock.at = {1500: lambda: [run(sweep / name, neuron="lif", seed=9) for name in "abc"]}
    ran = snnlab("results", "sweep", "--watch")
    assert ran.code == 0 and "9 jobs: 9 completed" in ran.out and "nobody" not in ran.err


def test_a_job_that_left_the_queue_before_it_began_was_killed(
    snnlab: Any, sweep: Path, clock: Clock, slurm: dict[str, Any]
) -> None:
    (sweep / "slurm" / "12_0_0_log.out").write_text("module: command not found")
    clock.at = {1200: slurm.clear}
    ran = snnlab("results", "sweep", "--watch")
    assert "9 jobs: 6 completed, 3 killed" in ran.out and "nobody" not in ran.err
    assert "it left the queue before it began; see sweep/slurm/12_0_0_log.out" in ran.out
    assert "job 12_1 never started" in ran.out
    assert 1210 <= clock.now < 1230  # files of it may reach this machine later than squeue's answer


def test_what_slurm_put_back_waits(snnlab: Any, sweep: Path, slurm: dict[str, Any]) -> None:
    for name in "ab":
        attempt(sweep / name, "interrupted", "SIGTERM")
    del slurm["12_1"], slurm["12_2"]
    assert "6 completed, 1 waiting, 1 interrupted, 1 killed" in snnlab("results", "sweep").out


def test_nobody_is_killed_while_squeue_does_not_answer(
    snnlab: Any, sweep: Path, slurm: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(sweep / "a", "interrupted", "SIGTERM")
    monkeypatch.setattr(queue, "in_queue", lambda users, patience: None)
    assert "6 completed, 2 waiting, 1 interrupted" in snnlab("results", "sweep").out


@pytest.fixture
def started() -> Any:
    """Starts `snnlab results` in a process, which is gone at the end of the test."""
    begun: list[subprocess.Popen[str]] = []

    def start(*words: str, **more: Any) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "snnlab", "results", *words]
        environment = {**os.environ, "PYTHONPATH": str(Path(results.__file__).parents[2])}
        begun.append(subprocess.Popen(command, text=True, env=environment, **more))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def test_ctrl_c_ends_watch_quietly(started: Callable[..., Any], sweep: Path) -> None:
    attempt(sweep / "late", "running")
    process = started("sweep", "--watch", cwd=sweep.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert "1 running" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_watch_on_a_terminal_draws_on_a_screen_of_its_own_and_leaves_it(
    started: Callable[..., Any], sweep: Path
) -> None:
    attempt(sweep / "late", "running")
    ours, theirs = pty.openpty()
    process = started("sweep", "--watch", cwd=sweep.parent, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = _until(ours, "Ctrl-C ends this")
    process.send_signal(signal.SIGINT)
    shown += _until(ours, "SIGINT")
    assert process.wait(timeout=30) == 130
    os.close(ours)
    assert shown.index("\x1b[?1049h") < shown.index("1 running") < shown.index("\x1b[?1049l")
    assert "\x1b" not in shown.partition("\x1b[?1049l")[2]


def _until(terminal: int, word: str) -> str:
    shown, end = "", time.monotonic() + 30
    while word not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536).decode()
    return shown


def test_a_command_on_a_strangers_folder_writes_nothing(snnlab: Any, sweep: Path) -> None:
    def state() -> Mapping[Path, float]:
        return {path: path.stat().st_mtime_ns for path in sorted(sweep.parent.rglob("*"))}

    before = state()
    for flags in ([], ["--runs"], ["--json"], ["--curve", "val/loss"]):
        assert snnlab("results", "sweep", *flags).code == 0
    assert state() == before
