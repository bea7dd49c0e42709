"""The LightningModule of every run, in real runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchmetrics import SumMetric

from snnlab.data.base import Data, Dataset, Split
from snnlab.registry import register
from snnlab.training import checkpoint, table
from snnlab.training.assemble import build_module, load_data
from snnlab.training.stored import changed, stored_config

FIRST = "network.layers.0.synapse.weight"


@pytest.fixture
def config(finished: Path) -> dict[str, Any]:
    """A complete configuration, as a run keeps it."""
    return stored_config(finished / "checkpoints" / "last.ckpt")


def batch_of(data: Data, size: int) -> Any:
    from snnlab.data.loader import Loader

    return next(iter(Loader(data.train, series=data.series, batch_size=size, seed=0, shuffle=False)))


def test_the_loss_and_the_accuracy_are_those_of_a_loop_written_another_way(finished: Path, config: Any) -> None:
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    module.load_state_dict(checkpoint.load(finished / "checkpoints" / "best.ckpt")["state_dict"])
    weights = {name: value.double() for name, value in module.state_dict().items()}
    inputs, alpha = data.test.inputs.double().flatten(1), torch.exp(torch.tensor(-1 / 10.0, dtype=torch.float64))
    potentials = [torch.zeros(360, units, dtype=torch.float64) for units in (32, 10)]
    spikes = [torch.zeros_like(potential) for potential in potentials]
    counts = torch.zeros(360, 10, dtype=torch.float64)
    for _ in range(10):
        x = inputs
        for i in (0, 1):
            name = f"network.layers.{i}.synapse"
            current = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
            potentials[i] = alpha * potentials[i] + current - spikes[i]
            x = spikes[i] = (potentials[i] >= 1).double()
        counts += spikes[1]
    right = counts.gather(1, data.test.targets[:, None])[:, 0]
    metrics = {"test/loss": (counts.exp().sum(1).log() - right).mean(), "test/rate/1": counts.mean() / 10}
    metrics["test/accuracy"] = (counts.argmax(1) == data.test.targets).double().mean()
    # Float32 moves a spike in a few of a million potentials; one spike more moves a sample's loss by up to 1.
    from json import loads

    found = loads((finished / "result.json").read_text())["metrics"]
    for name, value in metrics.items():
        assert found[name] == pytest.approx(float(value), abs=2e-3), name


def test_every_epoch_counts_every_sample_once(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], own_parts: None
) -> None:
    class Samples(SumMetric):
        def update(self, scores: Tensor, targets: Tensor) -> None:
            super().update(len(targets))

    register("metric", "samples")(lambda: Samples())
    folder = train("metric=[samples]", "trainer.max_epochs=3", "batch_size=50", "trainer.num_sanity_val_steps=2")
    rows = table.read(folder / "metrics.csv")
    assert [(row["train/samples"], row["val/samples"]) for row in rows] == [(1257, 180)] * 3
    assert result(folder)["metrics"]["test/samples"] == 360


@pytest.mark.parametrize(
    "words",
    [
        ("regularizer=[rate_upper]", "regularizer.rate_upper.bound=0.01", "regularizer.rate_upper.weight=100.0"),
        ("regularizer=[rate_l2]", "regularizer.rate_l2.weight=10.0"),
    ],
)
def test_a_regularizer_against_spikes_makes_the_network_fire_less(
    train: Callable[..., Path], finished: Path, words: tuple[str, ...]
) -> None:
    held, free = (table.read(folder / "metrics.csv")[-1] for folder in (train(*words), finished))
    assert held["train/rate/0"] < 0.8 * free["train/rate/0"]


def test_a_regularizer_for_spikes_makes_a_quiet_network_fire_more(train: Callable[..., Path]) -> None:
    quiet = ("synapse.init.gain=0.2", "trainer.max_epochs=1")
    helped = train(*quiet, "regularizer=[rate_lower]", "regularizer.rate_lower.weight=1000.0", name="helped")
    helped_rate, rate = (table.read(f / "metrics.csv")[-1]["train/rate/0"] for f in (helped, train(*quiet)))
    assert helped_rate > rate


def test_the_step_returns_the_loss_plus_each_regularizer(config: Any) -> None:
    words = {"regularizer": {"rate_l2": {"weight": 3.0}, "rate_upper": {"bound": 0.0, "weight": 5.0}}}
    data = load_data(config)
    modules = [build_module(config | extra, data.units, data.outputs, data.classes) for extra in ({}, words)]
    batch = batch_of(data, 50)
    for module in modules:
        module.trainer = _one_process()  # Lightning gives it in a run
    bare, held = (module.training_step(batch, 0) for module in modules)
    rates = modules[0](batch, "train").hidden()[0].mean((0, 1))
    torch.testing.assert_close(held - bare, 8 * rates.square().mean())


def test_random_numbers_are_new_in_each_epoch_of_train_and_the_same_on_val(config: Any) -> None:
    config = changed(config, {}) | {"encoder": {"name": "bernoulli", "gain": 0.5}}
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    batch, trainer = batch_of(data, 20), _one_process()
    module.trainer = trainer
    spikes = {}
    for epoch in (0, 1):
        trainer.fit_loop.epoch_progress.current.completed = trainer.fit_loop.epoch_progress.current.processed = epoch
        for stage in ("train", "val"):
            spikes[stage, epoch] = module(batch, stage).result.layers["0"].outputs
    assert module.current_epoch == 1
    assert not torch.equal(spikes["train", 0], spikes["train", 1])
    assert torch.equal(spikes["val", 0], spikes["val", 1])
    assert not torch.equal(spikes["train", 0], spikes["val", 0])


def test_a_dataset_of_numbers_is_learned_with_the_metrics_of_regression(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]], own_parts: None
) -> None:
    @register("dataset")
    class Sums(Dataset):
        """The target is the sum of the inputs."""

        def load(self) -> Data:
            inputs = torch.rand(300, 4, generator=torch.Generator().manual_seed(0))
            parts = [Split(x, x.sum(1)) for x in inputs.split(100)]
            return Data(*parts, series=False)

    words = ("dataset=sums", "neuron=ctrnn", "output_neuron=linear", "loss=trace_mse", "time.dt=10.0")
    folder = train(
        *words, "metric=[r2,mse]", "trainer.max_epochs=20", "batch_size=10", "optimizer.lr=0.02", "plots=true"
    )
    metrics = result(folder)["metrics"]
    assert metrics["val/r2"] > 0
    assert metrics["val/mse"] == pytest.approx(metrics["val/loss"])
    assert not (folder / "plots" / "confusion.png").exists()


def _one_process() -> Any:
    import pytorch_lightning as pl

    return pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
