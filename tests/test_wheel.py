"""The wheel alone, unpacked into an empty folder, is all that a run needs: code, conf/ and Hydra's plugin."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_trains_evaluates_and_lists_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(unpacked), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert Path(run("-c", "import snnlab; print(snnlab.__file__)").strip()).is_relative_to(unpacked)
    run("-m", "snnlab", "train", "experiment=digits_cuba", "trainer.max_epochs=1", "output_dir=run")
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))["metrics"]
    metrics = json.loads(run("-m", "snnlab", "evaluate", "run", "--json"))["metrics"]
    assert metrics == {name: value for name, value in result.items() if name.startswith("test/")}
    assert "digits_cuba" in run("-m", "snnlab", "list", "experiment")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
