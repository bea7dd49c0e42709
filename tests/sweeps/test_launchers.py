"""Launchers on one machine, with real processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry
from snnlab.composition import Composer
from snnlab.errors import FailedRun, WrongOption
from snnlab.sweeps import slots
from snnlab.sweeps.jobs import Ended, Job
from snnlab.sweeps.launchers import Launcher
from snnlab.sweeps.plan import Planner
from snnlab.sweeps.slots import Slots, cores

pytestmark = pytest.mark.processes

PROBE = Path(__file__).with_name("probe.py")
TINY = ("trainer.max_epochs=1", "trainer.limit_train_batches=1", "network.hidden=[4]", "time.steps=2")
ACTS = ("train", "raise", "sys.exit", "kill", "exit", "shout", "train again")


@contextmanager
def plugin() -> Iterator[None]:
    """While it lasts, this process and those that it starts know the callback `probe`."""
    for family in registry.FAMILIES:
        registry.names(family)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
        patch.setattr(registry, "_plugins", None)
        patch.setenv("SNNLAB_PLUGINS", str(PROBE))
        patch.delenv("OMP_NUM_THREADS", raising=False)
        try:
            yield
        finally:
            sys.modules.pop("snnlab_plugin_probe", None)


@pytest.fixture(scope="module")
def job() -> Iterator[Callable[..., Job]]:
    """Makes a job in a folder: `job(folder, "seed=1", act="kill")`."""
    with plugin():
        composer = Composer()

        def make(folder: Path, *words: str, act: str = "train") -> Job:
            words = (*TINY, "callback=[probe]", f"callback.probe.act='{act}'", *words)
            return Planner(composer, composer.translated(words), folder).job(composer.translated(words))

        yield make


def launched(launcher: Launcher, jobs: list[Job], folder: Path) -> list[Ended]:
    return list(launcher.launch(iter(jobs), folder))


def probed(job: Job) -> dict[str, Any]:
    """What the process that trained a job told of itself."""
    said: dict[str, Any] = json.loads((Path(job.folder) / "probe.json").read_text())
    return said


class Swept:
    """What became of the jobs of ACTS, and what the driver's terminal saw meanwhile."""

    def __init__(self, ended: list[Ended], terminal: str, children: set[int]) -> None:
        self.by_act = {str(one.job.config["callback"]["probe"]["act"]): one for one in ended}
        self.terminal, self.children = terminal, children


@pytest.fixture(scope="module")
def swept(job: Callable[..., Job], tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """All kinds of jobs on two processes."""
    folder = tmp_path_factory.mktemp("sweep")
    jobs = [job(folder, f"seed={seed}", act=act) for seed, act in enumerate(ACTS)]
    terminal, capture = tmp_path_factory.mktemp("terminal") / "said", [os.dup(1), os.dup(2)]
    with terminal.open("wb") as file, redirect_stdout(StringIO()) as printed:
        try:
            for descriptor in (1, 2):
                os.dup2(file.fileno(), descriptor)
            ended = launched(registry.build("launcher", {"name": "processes", "jobs": 2}), jobs, folder)
        finally:
            for descriptor, before in zip((1, 2), capture, strict=True):
                os.dup2(before, descriptor)
    return Swept(ended, terminal.read_text() + printed.getvalue(), children())


def children() -> set[int]:
    """Processes that this one has started and that are there yet."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


def test_each_job_is_told_of(swept: Swept) -> None:
    found = {act: ended.status for act, ended in swept.by_act.items()}
    failed, killed = dict.fromkeys(("raise", "sys.exit"), "failed"), dict.fromkeys(("kill", "exit"), "killed")
    assert found == dict.fromkeys(("train", "shout", "train again"), "completed") | failed | killed


def test_a_completed_job_tells_its_numbers(swept: Swept) -> None:
    ended = swept.by_act["train"]
    result = json.loads((Path(ended.job.folder) / "result.json").read_text())
    assert ended.metrics == result["metrics"] and ended.seconds == result["seconds"] > 0


def test_a_process_is_used_again_unless_it_was_killed(swept: Swept) -> None:
    pids = {act: probed(ended.job)["pid"] for act, ended in swept.by_act.items()}
    dead = {pids["kill"], pids["exit"]}
    assert len({*pids.values()} - dead) <= 2
    assert pids["shout"] not in dead and pids["train again"] not in dead
    assert len({*pids.values()}) < len(pids)
    assert os.getpid() not in pids.values()


def test_a_failed_job_leaves_its_process_as_it_was(swept: Swept) -> None:
    pids = {act: probed(ended.job)["pid"] for act, ended in swept.by_act.items()}
    after = [act for act in ACTS if act not in ("raise", "sys.exit")]
    assert {pids["raise"], pids["sys.exit"]} & {pids[act] for act in after}


def test_a_killed_job_tells_the_signal_and_the_end_of_its_log(swept: Swept) -> None:
    error = swept.by_act["kill"].error
    assert "SIGKILL" in error and "memory" in error
    last = swept.by_act["kill"].log.read_text().splitlines()[-1]
    assert last in error


def test_what_a_process_said_at_its_death_is_in_the_log(swept: Swept) -> None:
    ended = swept.by_act["exit"]
    assert ended.error == "its process ended with exit code 3. The last line of its log: terminate called"


def test_an_exception_is_told_in_a_sentence_with_its_traceback_in_the_log(swept: Swept) -> None:
    ended = swept.by_act["raise"]
    assert ended.error == "RuntimeError: of its own"
    assert "Traceback" in ended.log.read_text()


def test_what_a_job_says_goes_to_its_log_and_not_to_the_terminal(swept: Swept) -> None:
    assert swept.terminal == ""
    log = swept.by_act["shout"].log.read_text()
    assert "to standard output\n" in log and "to standard error\n" in log
    assert "to standard" not in swept.by_act["train again"].log.read_text()


def test_the_threads_are_shared_out(swept: Swept) -> None:
    assert {probed(ended.job)["threads"] for ended in swept.by_act.values()} == {max(1, cores() // 2)}


def test_no_process_is_left(swept: Swept) -> None:
    pids = {probed(ended.job)["pid"] for ended in swept.by_act.values()}
    assert not pids & swept.children
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


LIGHT = """
import os, sys; sys.path[:] = {path!r}
from multiprocessing.connection import Connection
from snnlab.sweeps.jobs import Ended
names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "OMP_NUM_THREADS")
said = "|".join([str(os.getpid()), *(os.environ.get(name, "") for name in names)])
driver = Connection({descriptor})
driver.send(None)
while True:
    try:
        job = driver.recv()
    except EOFError:
        break
    driver.send(Ended(job, "completed", said))
"""


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that tell of themselves in place of training."""
    monkeypatch.setattr(slots, "_COMMAND", LIGHT)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def named(name: str, folder: Path, **trainer: Any) -> Job:
    """A job that is nothing but its name."""
    return Job(name, (), str(folder / name), name, {"trainer": trainer})


@pytest.mark.usefixtures("light")
def test_each_gpu_has_as_many_jobs_as_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "cores", lambda: 12)
    launcher = registry.build("launcher", {"name": "gpus", "devices": [3, "GPU-ab"], "jobs_per_gpu": 2})
    ended = launched(launcher, [named(f"{number}", tmp_path) for number in range(12)], tmp_path)
    told = [one.error.split("|") for one in ended]
    assert len(told) == 12
    assert len({(pid, device) for pid, device, _, _ in told}) == 4
    assert sorted({pid: device for pid, device, _, _ in told}.values()) == ["3", "3", "GPU-ab", "GPU-ab"]
    assert {tuple(rest) for _, _, *rest in told} == {("PCI_BUS_ID", "3")}


@pytest.mark.usefixtures("light")
def test_a_job_for_two_gpus_waits_for_them_and_sees_both(tmp_path: Path) -> None:
    jobs = [named(f"{number}", tmp_path, devices=2 if number == 2 else 1) for number in range(5)]
    ended = launched(registry.build("launcher", {"name": "gpus", "devices": [0, 1]}), jobs, tmp_path)
    devices = {one.job.name: one.error.split("|")[1] for one in ended}
    assert [one.job.name for one in ended].index("2") == 2
    assert devices["2"] == "0,1"
    assert {devices["0"], devices["1"]} == {devices["3"], devices["4"]} == {"0", "1"}


@pytest.mark.usefixtures("light")
def test_the_users_number_of_threads_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    (ended,) = launched(registry.build("launcher", "processes"), [named("one", tmp_path)], tmp_path)
    assert ended.error.split("|")[1:] == ["", "", "7"]


def test_a_job_for_more_gpus_than_there_are_fails_with_a_sentence_and_starts_nothing(tmp_path: Path) -> None:
    launcher = registry.build("launcher", {"name": "gpus", "devices": [0, 1], "jobs_per_gpu": 2})
    (ended,) = launched(launcher, [named("one", tmp_path, devices="0,1,2")], tmp_path)
    assert (ended.status, ended.error) == ("failed", "trainer.devices: 3. The launcher gpus has 2 devices.")


@pytest.mark.parametrize(
    ("visible", "devices", "said"),
    [
        (None, None, "there is no GPU that this process can see. hydra/launcher=processes"),
        ("", None, "there is no GPU that this process can see. hydra/launcher=processes"),
        ("-1", None, "there is no GPU that this process can see. hydra/launcher=processes"),
        ("2,3", 0, "launcher.devices: 0. CUDA_VISIBLE_DEVICES of this process names 2, 3"),
        (None, [0, 1, 0], "Each once"),
    ],
)
def test_gpus_that_are_not_there_are_refused(
    visible: str | None, devices: Any, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(WrongOption, match=said):
        launched(registry.build("launcher", {"name": "gpus", "devices": devices}), [], tmp_path)


@pytest.mark.parametrize(
    ("visible", "devices", "chosen"),
    [
        (None, None, ["0", "1", "2"]),
        ("2,GPU-ab", None, ["2", "GPU-ab"]),
        (None, [0, 2], ["0", "2"]),
        (None, "MIG-GPU-ab/1/0", ["MIG-GPU-ab/1/0"]),
        ("2,3", 3, ["3"]),
    ],
)
def test_gpus_are_those_that_are_named_or_all_there_are(
    visible: str | None, devices: Any, chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert registry.build("launcher", {"name": "gpus", "devices": devices}).chosen() == chosen


@pytest.mark.usefixtures("light")
def test_jobs_are_drawn_when_there_is_a_place_for_them(tmp_path: Path) -> None:
    drawn, before = [], children()

    def draw() -> Iterator[Job]:
        for name in ("a", "b", "c", "d"):
            drawn.append(name)
            yield named(name, tmp_path)

    with closing(Slots("processes", [""]).perform(draw())) as endings:
        for name in ("a", "b", "c"):
            assert next(endings).job.name == name
            assert drawn[-1] == name
    assert children() == before


def test_a_process_that_ends_before_it_is_ready_is_an_error_and_no_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, before = tmp_path / "python", children()
    broken.write_text("#!/bin/sh\necho no room for libraries >&2\nexit 4\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(FailedRun, match=r"end before they begin: ended with exit code 4\. no room for libraries"):
        list(Slots("processes", ["", ""]).perform(iter([named("a", tmp_path), named("b", tmp_path)])))
    assert children() == before


def of_hydra(name: str, **options: Any) -> Launcher:
    """A launcher of Hydra's plugins, as the command line would choose and set it."""
    node = Composer().hydra_node([f"hydra/launcher={name}"], ("launcher",)).nodes["launcher"]
    launcher: Launcher = registry.build("launcher", {"name": "hydras", "node": node | options})
    return launcher


def test_joblib_trains_and_leaves_nothing_but_the_runs(job: Callable[..., Job], tmp_path: Path) -> None:
    folder = tmp_path / "it's a sweep, 100 %"
    jobs = [job(folder, f"seed={seed}", act=act) for seed, act in enumerate(("train", "raise", "sys.exit"))]
    ended = launched(of_hydra("joblib", n_jobs=2), jobs, folder)
    assert [one.job for one in ended] == jobs
    assert [one.status for one in ended] == ["completed", "failed", "failed"]
    assert ended[0].metrics and [one.error for one in ended[1:]] == ["RuntimeError: of its own", "SystemExit: 5"]
    assert {path.name for path in folder.iterdir()} == {Path(one.folder).name for one in jobs}
    assert os.getpid() not in {probed(one)["pid"] for one in jobs}


def test_submitit_trains_on_this_machine(job: Callable[..., Job], tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    one = job(folder)
    (ended,) = launched(of_hydra("submitit_local"), [one], folder)
    assert (ended.status, ended.job) == ("completed", one)
    assert {path.name for path in folder.iterdir()} == {Path(one.folder).name, "launcher"}
    assert [path.name for path in (folder / "launcher").iterdir()] == [".submitit"]
