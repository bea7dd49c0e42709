"""A run that was trained with a plugin, opened where a plugin of that name is there, and is another one."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import sys
from pathlib import Path

import pytest
import torch

from snnlab import registry
from snnlab.training.stored import stored_config


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a plugin that is loaded, with a regularizer `mine`."""
    registry.names("regularizer")
    monkeypatch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
    path = tmp_path / "mine.py"
    lines = ["from snnlab.registry import register", '@register("regularizer")', "def mine(spikes, mask): return 0"]
    path.write_text("\n".join(lines))
    spec = importlib.util.spec_from_file_location("mine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "mine", module)
    spec.loader.exec_module(module)
    return path


def warnings_for(run: Path, sha256: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is said of a run that was trained with a plugin of this checksum."""
    path = run / "checkpoints" / "best.ckpt"
    loaded = torch.load(path, weights_only=True)
    part = {"family": "regularizer", "name": "mine", "plugin": "mine.py", "sha256": sha256}
    loaded["snnlab"]["plugins"] = [part]
    torch.save(loaded, path)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="snnlab"):
        stored_config(path)
    return [record.getMessage() for record in caplog.records]


def test_a_plugin_of_another_content_is_told(plugin: Path, twin: Path, caplog: pytest.LogCaptureFixture) -> None:
    same = hashlib.sha256(plugin.read_bytes()).hexdigest()
    assert warnings_for(twin, same, caplog) == []
    assert warnings_for(twin, "", caplog) == []  # it was no file then
    (told,) = warnings_for(twin, "0" * 64, caplog)
    assert told.startswith("the plugin file mine.py is not the one that the run was trained with (regularizer mine; ")
    assert f"sha256 {'0' * 12}… then, {same[:12]}… now" in told
