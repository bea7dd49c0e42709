"""A neuron of one's own, from the README, as a file outside of snnlab: it is listed, checked, trained and evaluated."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snnlab import registry
from snnlab.commands import main

README = Path(__file__).parent.parent / "README.md"
TINY = ("trainer.max_epochs=2", "network.hidden=[32]", "plots=false")


@pytest.fixture
def source() -> str:
    """The file that the README shows."""
    blocks = re.findall(r"^```python.*?\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = [block for block in blocks if "class Adaptive(" in block]
    return block


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path | None], object]:
    """A process that starts with the plugin, or without one: `with loaded(file): …`."""
    for family in registry.FAMILIES:
        registry.names(family)

    @contextmanager
    def starting(file: Path | None) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(registry, "_parts", {family: dict(parts) for family, parts in registry._parts.items()})
            patch.setattr(registry, "_plugins", None)
            patch.setenv("SNNLAB_PLUGINS", str(file or ""))
            try:
                yield
            finally:
                sys.modules.pop("snnlab_plugin_adaptive", None)

    return starting


def run_id(folder: Path) -> str:
    return str(json.loads((folder / "result.json").read_text())["id"])


def test_it_is_listed_checked_trained_and_evaluated(
    source: str, loaded: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "adaptive.py"
    file.write_text(source, encoding="utf-8")
    with loaded(file):  # type: ignore[attr-defined]
        assert main(["list", "neuron", "adaptive"]) == 0
        page = capsys.readouterr().out
        assert "LIF whose threshold rises with each spike and relaxes." in page
        assert re.search(r"tau_adapt: a number in ms, > 0.*default 200\.0\n +time constant of the adaptation\.", page)
        assert main(["check", "neuron", "adaptive"]) == 0, capsys.readouterr().out
        words = ("neuron=adaptive", "neuron.tau_adapt=50", "neuron.learn=[tau_adapt]", *TINY)
        assert main(["train", *words, f"output_dir={tmp_path / 'run'}"]) == 0
        assert main(["train", "neuron.tua_adapt=50", "neuron=adaptive"]) == 2
        assert "Did you mean tau_adapt?" in capsys.readouterr().err
        assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
        metrics = json.loads(capsys.readouterr().out)["metrics"]
    result = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
    assert metrics == {name: value for name, value in result.items() if name.startswith("test/")}
    with loaded(None):  # type: ignore[attr-defined]
        assert main(["evaluate", str(tmp_path / "run")]) == 2
    told = capsys.readouterr().err
    assert "needs the neuron adaptive of the plugin file adaptive.py (sha256 " in told
    assert "SNNLAB_PLUGINS" in told


def test_its_source_is_part_of_the_id(
    source: str, loaded: Callable[..., object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, ids = tmp_path / "adaptive.py", []
    for number, text in enumerate((source, source, source + "# another line\n")):
        file.write_text(text, encoding="utf-8")
        with loaded(file):  # type: ignore[attr-defined]
            folder = tmp_path / str(number)
            assert main(["train", "neuron=adaptive", "trainer.fast_dev_run=true", *TINY, f"output_dir={folder}"]) == 0
        ids.append(run_id(folder))
    assert ids[0] == ids[1] != ids[2]


def test_it_is_found_by_the_command_in_any_folder(source: str, tmp_path: Path) -> None:
    (tmp_path / "adaptive.py").write_text(source, encoding="utf-8")
    environment = {"SNNLAB_PLUGINS": "adaptive.py", "PYTHONPATH": str(README.parent), "PATH": ""}
    words = [sys.executable, "-m", "snnlab", "list", "neuron", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert "adaptive" in json.loads(done.stdout)["neuron"]


def test_the_readmes_file_is_short(source: str) -> None:
    code = re.sub(r'""".*?"""', "", source, flags=re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
