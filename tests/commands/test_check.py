"""`snnlab check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from torch import Tensor

from snnlab import registry
from snnlab.neurons import Constant, SpikingNeuron
from snnlab.registry import register


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A neuron that breaks a promise: its state depends on time, not on the state before it."""
    registry.names("neuron")
    parts = {family: dict(known) for family, known in registry._parts.items()}
    monkeypatch.setattr(registry, "_parts", parts)

    @register("neuron")
    class Broken(SpikingNeuron):
        """Counts steps on the module."""

        class State(NamedTuple):
            potential: Tensor
            spikes: Tensor

        def constants(self) -> dict[str, Constant]:
            self.steps = 0.0
            return {"alpha": 0.9}

        def step(self, current: Tensor, state: State, alpha: Tensor) -> State:
            self.steps += 1.0
            potential = alpha * state.potential + current * self.steps
            return self.State(potential, self.spike(potential - 1))


def test_what_holds_is_told_promise_by_promise(snnlab: Callable[..., Any]) -> None:
    ran = snnlab("check", "neuron", "lif")
    assert ran.code == 0, ran.out
    lines = ran.out.splitlines()
    assert lines[0] == "neuron lif"
    assert lines[-1] == "  Everything holds."
    assert len([line for line in lines if line.startswith("  holds    ")]) > 5
    assert "FAILS" not in ran.out


def test_what_does_not_hold_is_told_with_its_reason_and_exit_code_1(snnlab: Callable[..., Any], broken: None) -> None:
    ran = snnlab("check", "neuron", "broken")
    assert ran.code == 1
    assert "  FAILS    " in ran.out
    assert "promises hold." in ran.out.splitlines()[-1]
    found = json.loads(snnlab("check", "neuron", "broken", "--json").out)["broken"]
    failed = [result for result in found if not result["ok"]]
    assert failed and all(result["reason"] for result in failed)


def test_the_json_of_a_part_is_a_list_of_promises(snnlab: Callable[..., Any]) -> None:
    found = json.loads(snnlab("check", "surrogate", "atan", "--json").out)
    assert list(found) == ["atan"]
    assert all(set(result) == {"name", "ok", "reason", "skipped"} for result in found["atan"])
    assert all(result["ok"] for result in found["atan"])


def test_a_family_is_checked_part_by_part(snnlab: Callable[..., Any]) -> None:
    found = json.loads(snnlab("check", "surrogate", "--json").out)
    assert list(found) == registry.names("surrogate")


@pytest.mark.parametrize("words", [("neurn",), ("neuron", "lfi"), ("neurn", "lif")])
def test_what_is_unknown_is_told_with_the_nearest(snnlab: Callable[..., Any], words: tuple[str, ...]) -> None:
    ran = snnlab("check", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "Did you mean" in ran.err
