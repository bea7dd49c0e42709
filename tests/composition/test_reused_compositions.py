"""Jobs that differ in plain values share a composition: what comes out is what Hydra makes of each alone."""

from __future__ import annotations

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

from snnlab.composition import Composer

JOBS = (
    ["neuron=lif", "neuron.tau=3", "seed=1"],
    ["neuron=lif", "network.hidden=[2,3]", "seed=2"],
    ["neuron=lif", "seed=3", "layers.0.neuron.tau=7"],
    ["neuron=lif", "seed=4"],
    ["neuron=cuba", "neuron.tau_mem=3", "seed=4"],
    ["neuron=lif", "neuron.surrogate=atan", "neuron.surrogate.alpha=3"],
    ["neuron=lif", "neuron.surrogate=atan", "neuron.surrogate.alpha=4", "trainer.max_epochs=${batch_size}"],
    ["neuron=lif", "neuron.surrogate=atan", "batch_size=17", "trainer.max_epochs=${batch_size}"],
    ["output_neuron=null", "metric=[accuracy]", "trainer=ddp_cpu"],
    ["experiment=digits_stbp", "neuron=lif", "optimizer.lr=0.5"],
    ["experiment=digits_stbp", "neuron.tau=0.3", "optimizer.lr=0.5"],
)


def test_a_composer_that_made_other_jobs_before_makes_the_same() -> None:
    composer = Composer()
    reused = [composer.job(composer.translated(job)) for job in (*JOBS, *reversed(JOBS))]
    alone = [Composer().job(composer.translated(job)) for job in JOBS]
    assert reused == [*alone, *reversed(alone)]


def test_what_differs_in_values_alone_is_composed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    composer, compositions, compose = Composer(), [], hydra.compose
    composer.job(composer.translated(["neuron=cuba"]))
    monkeypatch.setattr(hydra, "compose", lambda *a, **k: compositions.append(a) or compose(*a, **k))
    seeds = [composer.job(composer.translated(["neuron=cuba", f"seed={seed}"]))["seed"] for seed in range(3)]
    assert (seeds, compositions) == ([0, 1, 2], [])
    composer.job(composer.translated(["neuron=lif", "seed=1"]))
    assert len(compositions) == 1
    assert not GlobalHydra.instance().is_initialized()


@pytest.mark.parametrize("wrong", ["neuron.tua=3", "sed=1", "trainer.max_epoch=2", "layers=3"])
def test_a_wrong_value_after_a_right_one_is_told_as_it_is_alone(wrong: str) -> None:
    def message(composer: Composer) -> str:
        with pytest.raises(Exception) as error:
            composer.job(composer.translated(["neuron=lif", wrong]))
        return f"{type(error.value).__name__}: {error.value}"

    composer = Composer()
    composer.job(composer.translated(["neuron=lif", "seed=1"]))
    assert message(composer) == message(Composer())
