"""The command `snnlab` itself: help, exit codes, signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import snnlab as package
from snnlab.commands import main
from snnlab.errors import WrongOption


def test_help_imports_neither_torch_nor_hydra() -> None:
    words = [sys.executable, "-X", "importtime", "-m", "snnlab", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "snnlab" in imported
    assert not imported & {"torch", "hydra", "omegaconf", "pytorch_lightning", "matplotlib", "numpy"}
    for command in ("check", "evaluate", "list", "train"):
        assert re.search(rf"^  {command} +[A-Z].*\.$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", [(), ("-h",), ("--help",)])
def test_without_a_command_there_is_help(snnlab: Callable[..., Any], words: tuple[str, ...]) -> None:
    ran = snnlab(*words)
    assert ran.code == 0
    assert "usage: snnlab COMMAND" in ran.out


def test_the_version_is_that_of_the_package(snnlab: Callable[..., Any]) -> None:
    assert snnlab("--version").out == f"{package.__version__}\n"


def test_an_unknown_command_is_told_with_the_nearest(snnlab: Callable[..., Any]) -> None:
    assert snnlab("trian") == (2, "", "snnlab: trian: there is no such command. Did you mean train?\n")


def test_commands_can_follow_each_other_in_one_process(snnlab: Callable[..., Any]) -> None:
    assert [snnlab(*words).code for words in (["list"], ["--version"], ["list", "surrogate"])] == [0, 0, 0]


@pytest.mark.parametrize("command", ["train", "evaluate", "list", "check"])
def test_each_command_has_help_with_its_first_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code: Any = 0
    try:
        code = main([command, "--help"])
    except SystemExit as end:  # of argparse
        code = end.code
    assert code == 0
    assert f"snnlab {command}" in capsys.readouterr().out


def test_an_error_has_its_traceback_on_demand(snnlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert snnlab("list", "neurn").code == 2
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    assert snnlab("list", "neurn").code == 2
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(WrongOption, match="Did you mean neuron"):
        snnlab("list", "neurn")


def test_the_handlers_of_signals_are_put_back(snnlab: Callable[..., Any]) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    mine = [lambda *_: None for _ in numbers]
    before = [signal.signal(number, handler) for number, handler in zip(numbers, mine, strict=True)]
    try:
        snnlab("list", "neuron")
        assert [signal.getsignal(number) for number in numbers] == mine
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def test_a_command_runs_in_a_thread_where_python_takes_no_handlers() -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["--version"]) + main(["list", "encoder"])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_its_exit_code_a_checkpoint_and_how_to_go_on(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    words = ["train", "trainer.max_epochs=100000", "network.hidden=[8]", "plots=false", "output_dir=run"]
    with open(tmp_path / "err", "w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "snnlab", *words],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=err,
            env=os.environ | {"PYTHONPATH": str(Path(package.__file__).parent.parent)},
            preexec_fn=_hear_interrupts,
        )
        _wait_for(tmp_path / "run" / "checkpoints" / "last.ckpt", process)
        process.send_signal(number)
        assert process.wait(timeout=30) == code
    said = rf"snnlab: stopped by {number.name} in epoch \d+, step \d+. To go on: snnlab train resume=run\n"
    assert re.fullmatch(said, (tmp_path / "err").read_text())
    assert not (tmp_path / "run" / "result.json").exists()
    from snnlab.training import checkpoint, table

    rows = table.read(tmp_path / "run" / "metrics.csv")
    saved = checkpoint.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"]
    assert rows[-1]["epoch"] == saved - 1  # so many epochs are done
    assert not list((tmp_path / "run").rglob("*.part"))


def _hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # where tests run in the background, it is ignored


def _wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline
        time.sleep(0.02)
