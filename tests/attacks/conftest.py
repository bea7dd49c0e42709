"""What the attacks share: a harmless run to forge, and the process that opens forged ones and counts what they do."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TINY = ("network.hidden=[8]", "plots=false", "trainer.max_epochs=1", "dataset.val=30", "dataset.test=60")


CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("attacks")


class Opened(NamedTuple):
    """What a command did with a hostile file."""

    code: int
    out: str
    err: str
    counted: list[str]
    seconds: float
    memory: int


class Watched:
    """The watcher's process, with folders of its own for all that a library might write."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for name in ("work", "tmp"):
            (home / name).mkdir(parents=True)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("SNNLAB_", "WANDB_", "SLURM_"))},
            **{key: str(home / "tmp") for key in ("HOME", "TMPDIR", "MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCH_HOME")},
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",
            "SECRET": "swordfish",
        }
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "watcher.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=home / "work",
        )

    def open(self, opener: str, *arguments: Any, mine: tuple[Path, ...] = (), **more: Any) -> Opened:
        """Let it open something.

        Args:
            opener: command, load, script or careless.
            arguments: for it.
            mine: folders that may be written to.
            more: `learn`, under which name what it does is no attack; `like`, as what it is judged; `cwd`; `seconds`.
        """
        request = {"opener": opener, "arguments": arguments, "folder": str(self.home), "cwd": str(self.home / "work")}
        request |= {"mine": [str(self.home / "tmp"), *map(str, mine)]} | more
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        report = json.loads(self.process.stdout.readline())
        return Opened(**{name: report[name] for name in Opened._fields})


COMMANDS: dict[str, tuple[str, Callable[[Path, Path], list[Any]]]] = {
    "evaluate": ("command", lambda run, new: [["evaluate", str(run)]]),
    "resume": ("command", lambda run, new: [["train", f"resume={run}", "trainer.max_epochs=2"]]),
    "resolved": ("command", lambda run, new: [["train", "--resolved", str(run / "config.yaml")]]),
    "again": ("command", lambda run, new: [["train", *TINY, f"output_dir={run}"]]),
    "weights": ("command", lambda run, new: [["train", *TINY, f"weights={run}", f"output_dir={new}"]]),
    "load": ("load", lambda run, new: [str(run)]),
}
"""What takes a run, and how it is asked."""

READERS: dict[str, tuple[str, Callable[[Path, Path], list[Any]]]] = {
    "results": ("command", lambda run, new: [["results", str(run)]]),
    "runs": ("command", lambda run, new: [["results", str(run), "--runs", "--json"]]),
    "curve": ("command", lambda run, new: [["results", str(run), "--curve", "val/loss"]]),
    "diff": ("command", lambda run, new: [["diff", str(run), str(run)]]),
}
"""What looks at runs alone: a damaged one is listed, not refused."""


@pytest.fixture(scope="session")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """The process, when it knows what each command does with a run that harms nobody."""
    watched = Watched(tmp_path_factory.mktemp("attacks"))
    run = watched.home / "twin"
    try:
        made = watched.open("command", ["train", *TINY, f"output_dir={run}"], mine=(run,), learn="again")
        assert made.code == 0, made.err
        warm = {"warm": [["train", "--cfg", "job", *TINY], ["evaluate", str(run)]]}
        for name in (*COMMANDS, *READERS):
            _learn(watched, name, **warm)
            warm = {}
            if name in ("resume", "resolved", "again"):
                _learn(watched, name, "result.json")
            if name == "resolved":
                _learn(watched, name, "result.json", "checkpoints/best.ckpt", "checkpoints/last.ckpt")
        yield watched
    finally:
        watched.process.communicate()


def _learn(watched: Watched, name: str, *missing: str, **more: Any) -> None:
    copy, new = watched.home / "copy", watched.home / "new"
    shutil.copytree(watched.home / "twin", copy)
    for file in missing:
        (copy / file).unlink()
    opener, asked = (COMMANDS | READERS)[name]
    opened = watched.open(opener, *asked(copy, new), mine=(copy, new), learn=name, **more)
    assert opened.code == 0, opened.err
    for folder in (copy, new):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def opens(watched: Watched) -> Callable[..., Opened]:
    """Opens something with a command of one's own words, which must do no harm, and refuse it if asked to."""

    def open_(*words: str, like: str, code: int | None = None, **more: Any) -> Opened:
        opened = watched.open("command", list(words), like=like, **more)
        harmless(" ".join(words), opened)
        if code is None:
            refusal(" ".join(words), opened)
        assert code is None or opened.code == code, opened
        return opened

    return open_


@pytest.fixture
def attacked(watched: Watched, tmp_path: Path) -> Callable[..., dict[str, Opened]]:
    """Forges a copy of the harmless run, and opens it with commands, each of which must do no harm."""

    def attack(forge: Callable[[Path], object], commands: Iterable[str] = COMMANDS) -> dict[str, Opened]:
        opened = {}
        forged, outside = tmp_path / "forged", tmp_path / "outside"
        outside.mkdir()
        shutil.copytree(watched.home / "twin", forged)
        forge(forged)
        for name in commands:
            run, new = tmp_path / name / "run", tmp_path / name / "new"
            run.parent.mkdir()
            subprocess.run(["cp", "-a", str(forged), str(run)], check=True)  # pipes as well
            opener, asked = (COMMANDS | READERS)[name]
            mine = (run, new) if opener == "command" and name not in ("evaluate", *READERS) else ()
            opened[name] = watched.open(opener, *asked(run, new), mine=mine, like=name)
            harmless(f"{forge.__name__} opened by {name}", opened[name])
            assert list(outside.iterdir()) == []
        return opened

    return attack


@pytest.fixture
def refused(attacked: Callable[..., dict[str, Opened]]) -> Callable[..., dict[str, Opened]]:
    """As `attacked`, and each command must refuse it in one line."""

    def attack(forge: Callable[[Path], object], commands: Iterable[str] = COMMANDS) -> dict[str, Opened]:
        opened = attacked(forge, commands)
        for name, one in opened.items():
            refusal(name, one)
        return opened

    return attack


def refusal(what: str, opened: Opened) -> None:
    """Hold it against what a refusal is: an exit code and a line."""
    assert opened.code in (1, 2), f"{what}: {opened}"
    assert re.fullmatch(r"snnlab: [^\n]+\n", opened.err), f"{what}: {opened.err}"


def harmless(what: str, opened: Opened) -> None:
    """Hold what a command did against what it may do with a stranger's file."""
    assert opened.counted == [], what
    assert opened.code in (0, 1, 2), f"{what}: {opened}"
    assert "Traceback" not in opened.err, f"{what}: {opened.err}"
    assert "emory" not in opened.err, f"{what}: {opened.err}"  # refused before it was asked for
    assert "swordfish" not in opened.out + opened.err, what
    assert not CONTROL.search(opened.out + opened.err), f"{what}: {opened.err!r}"
    assert opened.memory < 200 << 20, f"{what}: {opened.memory >> 20} MB"
    assert opened.seconds < 30, f"{what}: {opened.seconds} s"


@pytest.fixture
def twin(watched: Watched, tmp_path: Path) -> Path:
    """A copy of the harmless run."""
    return Path(shutil.copytree(watched.home / "twin", tmp_path / "twin"))
