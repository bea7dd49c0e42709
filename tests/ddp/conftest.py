"""Runs of two processes: small ones, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

SMALL = (
    "network.hidden=[8]",
    "plots=false",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=4",
    "trainer.accelerator=cpu",
)

PLUGIN = '''
import os
from pytorch_lightning import Callback
from snnlab.registry import register


class Ending(Callback):
    """A signal (0: an error) after a step (-2: while it is tested): SNNLAB_TEST_ENDING says rank:step:signal."""

    def on_train_batch_end(self, trainer, *arguments):
        self.end(trainer, trainer.global_step)

    def on_test_batch_end(self, trainer, *arguments):
        self.end(trainer, -2)

    def end(self, trainer, now):
        rank, step, number = map(int, os.environ.get("SNNLAB_TEST_ENDING", "0:-1:0").split(":"))
        if (trainer.global_rank, now) == (rank, step):
            if not number:
                raise RuntimeError("nothing goes any more")
            os.kill(os.getpid(), number)


@register("callback")
def ending() -> Callback:
    """Ends a process."""
    return Ending()
'''


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """A smooth network, in which no spike is turned over by a rounding; batches do not divide by two."""
    return ("experiment=digits_ctrnn", "batch_size=37", *SMALL)


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working folder of a module's commands."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def command(folder: Path) -> Command:
    """Runs `python` with words, warnings as errors, or another program."""
    (folder / "ending.py").write_text(PLUGIN, encoding="utf-8")

    def run(*words: str, program: tuple[str, ...] = (sys.executable,), **variables: str):
        environment: Mapping[str, str] = {
            **os.environ,
            "PYTHONWARNINGS": "",
            "SNNLAB_PLUGINS": str(folder / "ending.py"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **variables,
        }
        return subprocess.run(
            [*program, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )

    return run
