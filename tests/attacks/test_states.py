"""Checkpoints of plain data that are no state of a run: whoever goes on from one is told, and nothing is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Change = Callable[[dict[str, Any]], object]


def _train_state(loaded: dict[str, Any]) -> dict[str, Any]:
    state: dict[str, Any] = loaded["Batches"]["train"]
    return state


CHANGES: dict[str, Change] = {
    "no loops": lambda loaded: loaded.pop("loops"),
    "loops of text": lambda loaded: loaded.update(loops={"fit_loop": "x"}),
    "loops in loops": lambda loaded: loaded["loops"]["fit_loop"].update({"epoch_progress": {"current": [1]}}),
    "a place before the first batch": lambda loaded: _train_state(loaded).update(position=-5),
    "a place behind the last batch": lambda loaded: _train_state(loaded).update(position=10**9),
    "no place": lambda loaded: loaded["Batches"].update(train={}),
    "an epoch of text": lambda loaded: loaded.update(epoch="many"),
    "an epoch before the first": lambda loaded: _train_state(loaded).update(epoch=-1),
    "no callbacks": lambda loaded: loaded.update(callbacks={}),
    "callbacks of text": lambda loaded: loaded["callbacks"].update(BestAndLast={"score": "x"}),
    "no optimizer": lambda loaded: loaded.update(optimizer_states=[3]),
    "an optimizer of text": lambda loaded: loaded["optimizer_states"][0].update(state="x"),
    "an optimizer of another shape": lambda loaded: loaded["optimizer_states"][0]["state"][0].update(
        exp_avg=torch.zeros(3)
    ),
    "rows of text": lambda loaded: loaded["snnlab"].update(rows=["x"]),
    "rows of nothing": lambda loaded: loaded["snnlab"].update(rows=[{}]),
    "rows with text": lambda loaded: loaded["snnlab"]["rows"][0].update({"val/loss": "x"}),
    "no sums": lambda loaded: loaded["snnlab"].update(so_far=[]),
    "sums of text": lambda loaded: loaded["snnlab"].update(so_far=[{"seconds": "x"}]),
    "no configuration": lambda loaded: loaded["snnlab"].update(config={}),
    "no id": lambda loaded: loaded["snnlab"].pop("id"),
    "a version that is none": lambda loaded: loaded.update({"pytorch-lightning_version": "evil"}),
    "a version of long ago": lambda loaded: loaded.update({"pytorch-lightning_version": "0.0.1"}),
    "weights of another network": lambda loaded: loaded["state_dict"].popitem(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_state_that_is_none_is_refused(change: Change, refused: Any) -> None:
    def forge(run: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            loaded = torch.load(path, weights_only=True)
            change(loaded)
            torch.save(loaded, path)

    refused(forge, ["resume"])
