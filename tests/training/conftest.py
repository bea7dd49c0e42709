"""What the tests of training share: one finished run to look at."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry
from snnlab.commands import main
from snnlab.training.module import Training

TINY = ("trainer.max_epochs=2", "network.hidden=[32]", "plots=false")


@pytest.fixture
def train(snnlab: Callable[..., Any], tmp_path: Path) -> Callable[..., Path]:
    """Trains a tiny network in the folder `name`, which it gives back; a run that fails fails the test."""

    def run(*words: str, name: str = "run") -> Path:
        given = {word.partition("=")[0] for word in words}
        tiny = [word for word in TINY if word.partition("=")[0] not in given]
        ran = snnlab("train", *tiny, *words, f"output_dir={tmp_path / name}")
        assert ran.code == 0, ran.err
        return tmp_path / name

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one finished run with pictures. For reading only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert main(["train", *TINY[:2], f"output_dir={folder}"]) == 0
    return folder


@pytest.fixture
def own_parts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is forgotten after it."""
    for family in registry.FAMILIES:
        registry.names(family)  # so that no module of ours is imported, and forgotten, later
    monkeypatch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
    yield


@pytest.fixture
def result() -> Callable[[Path], dict[str, Any]]:
    """Reads the result.json of a folder."""
    return lambda folder: json.loads((folder / "result.json").read_text(encoding="utf-8"))


@pytest.fixture
def stopped_within_the_second_epoch(snnlab: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Trains with the given words until SIGTERM comes in step 25, of 20 an epoch."""

    def stop(*words: str) -> None:
        steps, step = iter(range(100)), Training.training_step

        def signalled(self: Training, *arguments: Any) -> Any:
            if next(steps) == 25:
                os.kill(os.getpid(), signal.SIGTERM)
            return step(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Training, "training_step", signalled)
            assert snnlab("train", *words).code == 143

    return stop
