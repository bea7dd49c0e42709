"""`snnlab train -m`: a sweep."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from snnlab import registry
from snnlab.losses import CountCrossEntropy
from snnlab.registry import register


def results(folder: Path) -> dict[str, dict[str, Any]]:
    """The result.json of each job, by the name of its folder without the id."""
    files = folder.rglob("result.json")
    return {file.parent.name.rpartition("_")[0]: json.loads(file.read_text()) for file in files}


def test_each_job_leaves_a_run_and_the_same_command_again_does_nothing(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    words = ("train", "-m", "neuron=lif,cuba", "neuron.surrogate=atan,fast_sigmoid", *tiny, "trainer.max_epochs=1")
    ran = snnlab(*words)
    assert ran.code == 0, ran.err
    (sweep,) = (tmp_path / "sweeps" / "digits_lif").iterdir()
    found = results(sweep)
    assert set(found) == {
        f"neuron={neuron},neuron.surrogate={surrogate}"
        for neuron in ("lif", "cuba")
        for surrogate in ("atan", "fast_sigmoid")
    }
    for file in sweep.rglob("result.json"):
        assert file.parent.name.endswith(f"_{json.loads(file.read_text())['id'][:8]}")
    assert len({result["id"] for result in found.values()}) == 4
    assert f"\nsweep in {sweep.relative_to(tmp_path)}: 4 completed\n" in ran.out
    files = [path for path in sweep.rglob("*") if path.is_file() and path.parent.name != "plans"]
    before = {path: path.stat().st_mtime_ns for path in files}
    again = snnlab(*words)
    assert (again.code, again.err) == (0, "")
    assert f"\nsweep in {sweep.relative_to(tmp_path)}: 4 done before\n" in again.out
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_job_that_was_not_done_is_the_only_one_that_runs(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    words = ("train", "-m", "seed=0,1,2", *tiny, "trainer.max_epochs=1", "sweep_dir=sweep")
    assert snnlab(*words).code == 0
    (undone,) = (tmp_path / "sweep").glob("seed=1_*/result.json")
    undone.unlink()
    ran = snnlab(*words)
    assert (ran.code, ran.err) == (0, "")
    assert ": 1 completed, 2 done before\n" in ran.out
    assert undone.exists()


def test_a_job_that_fails_is_told_and_does_not_stop_the_others(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    # The files of mnist are not here.
    ran = snnlab("train", "-m", "dataset=mnist,digits", *tiny, "trainer.max_epochs=1", "sweep_dir=sweep")
    assert ran.code == 1
    assert set(results(tmp_path / "sweep")) == {"dataset=digits"}
    (told,) = ran.err.splitlines()
    assert told.startswith("failed: dataset=mnist: ") and "scripts/fetch_data.py" in told
    log = Path(told.rpartition("The log: ")[2])
    assert "scripts/fetch_data.py" in log.read_text(encoding="utf-8")
    assert ": 1 completed, 1 failed\n" in ran.out


def test_an_error_in_a_part_has_its_traceback_in_the_log_and_does_not_stop_the_others(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.names("loss")
    parts = {family: dict(known) for family, known in registry._parts.items()}
    monkeypatch.setattr(registry, "_parts", parts)

    @register("loss")
    class Failing(CountCrossEntropy):
        def __call__(self, outputs: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
            raise RuntimeError("of its own")

    words = ("loss=failing,count_cross_entropy", *tiny, "trainer.max_epochs=1", "sweep_dir=sweep")
    ran = snnlab("train", "-m", *words)
    assert ran.code == 1
    assert set(results(tmp_path / "sweep")) == {"loss=count_cross_entropy"}
    assert ran.err.startswith("failed: loss=failing: RuntimeError: of its own")
    (log,) = (tmp_path / "sweep").glob("loss=failing_*/log.txt")
    assert 'raise RuntimeError("of its own")' in log.read_text(encoding="utf-8")


def test_a_wrong_value_in_the_last_job_is_told_before_the_first_starts(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab("train", "-m", "optimizer.lr=0.001,0.01,-1")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "optimizer.lr: -1" in ran.err
    assert not list(tmp_path.iterdir())


def test_a_sweep_of_one_job_is_a_sweep(snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]) -> None:
    assert snnlab("train", "-m", *tiny, "trainer.max_epochs=1", "sweep_dir=sweep").code == 0
    (result,) = (tmp_path / "sweep").glob("*/result.json")
    assert result.parent.name == json.loads(result.read_text())["id"][:8]


def test_a_folder_of_a_name_with_spaces_and_quotes_is_used(
    snnlab: Callable[..., Any], tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    folder = tmp_path / "it's a sweep, 100 %"
    ran = snnlab("train", "-m", "seed=0", *tiny, "trainer.max_epochs=1", f"sweep_dir={folder}")
    assert ran.code == 0, ran.err
    assert results(folder)


def test_what_hydra_needs_of_the_process_is_put_back(
    snnlab: Callable[..., Any], tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    before = list(sys.argv)
    snnlab("train", "-m", "seed=0", *tiny, "trainer.max_epochs=1", "sweep_dir=sweep")
    assert sys.argv == before
    assert "HYDRA_FULL_ERROR" not in os.environ
