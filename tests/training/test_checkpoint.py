"""Checkpoints: written whole or not at all, read without running anybody's code."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from snnlab.errors import BadData, FailedRun
from snnlab.training.checkpoint import WholeFiles, load


class Touches:
    """A pickle of it makes a file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_checkpoint_is_plain_data_and_tensors_and_says_what_rebuilds_the_network(finished: Path) -> None:
    loaded = torch.load(finished / "checkpoints" / "best.ckpt", weights_only=True)
    facts = loaded["snnlab"]
    assert set(facts) == {
        "config",
        "inputs",
        "outputs",
        "classes",
        "id",
        "plugins",
        "versions",
        "rows",
        "so_far",
        "weights",
    }
    assert facts["config"]["neuron"]["tau"] == 10.0
    assert (facts["inputs"], facts["outputs"], facts["plugins"]) == ([8, 8], 10, [])
    assert loaded["state_dict"]["network.layers.0.synapse.weight"].shape == (32, 64)


def test_a_checkpoint_with_code_is_not_opened_and_its_code_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    for write in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        write({"snnlab": {}, "state_dict": {}, "more": Touches(trap)}, tmp_path / "x.ckpt")
        with pytest.raises(BadData, match=r"checkpoint .*x\.ckpt: "):
            load(tmp_path / "x.ckpt")
        assert not trap.exists()
    pickle.loads(pickle.dumps(Touches(trap)))
    assert trap.exists()  # the trap works


def test_a_truncated_checkpoint_is_told_wherever_it_was_cut(finished: Path, tmp_path: Path) -> None:
    whole = (finished / "checkpoints" / "best.ckpt").read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "x.ckpt").write_bytes(whole[:length])
        with pytest.raises(BadData, match=r"checkpoint .*x\.ckpt: it (is damaged|holds more)"):
            load(tmp_path / "x.ckpt")


def test_random_bytes_are_told(tmp_path: Path, rng: torch.Generator) -> None:
    for length in (10, 1000, 100_000):
        (tmp_path / "x.ckpt").write_bytes(bytes(torch.randint(256, (length,), generator=rng).tolist()))
        with pytest.raises(BadData, match=r"checkpoint .*x\.ckpt"):
            load(tmp_path / "x.ckpt")


@pytest.mark.parametrize("value", [{}, [1, 2], {"snnlab": {}}, {"state_dict": {}}, {"snnlab": 3, "state_dict": {}}])
def test_a_file_of_torch_that_is_no_checkpoint_of_ours_is_told(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "x.ckpt")
    with pytest.raises(BadData, match="it is no checkpoint of snnlab"):
        load(tmp_path / "x.ckpt")


def test_a_folder_and_a_file_that_is_not_there_are_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.ckpt"):
        with pytest.raises(BadData, match="there is no such file"):
            load(path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_it(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"epoch": 1}, path)
    with pytest.raises(FailedRun, match=r"checkpoint .*last\.ckpt: it could not be written"):
        WholeFiles().save_checkpoint({"epoch": 2, "more": _Unwritable()}, path)
    assert torch.load(path, weights_only=True) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_into_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(FailedRun, match="it could not be written"):
        WholeFiles().save_checkpoint({}, tmp_path / "checkpoints" / "last.ckpt")


def test_best_and_last_know_their_epoch(train: Callable[..., Path]) -> None:
    folder = train("monitor=val/rate/1")
    best, last = (load(folder / "checkpoints" / f"{name}.ckpt") for name in ("best", "last"))
    assert (best["epoch"], last["epoch"]) == (0, 2)  # within the first epoch; after two
    noted = next(state for name, state in last["callbacks"].items() if "BestAndLast" in name)
    assert noted["epoch"] == 0
    assert noted["score"] == noted["metrics"]["val/rate/1"]


class _Unwritable:
    def __reduce__(self) -> tuple[Any, ...]:
        raise OSError(28, "No space left on device")
