"""What the tests of training share: one finished run to look at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from snnlab import registry
from snnlab.commands import main

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
