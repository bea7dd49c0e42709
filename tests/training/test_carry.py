"""The state carried over continuing streams: exact, without gradient, in the checkpoint, and worth something."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from snnlab.data import Loader, Split
from snnlab.networks import Network, Plan, recurrent
from snnlab.training.assemble import Batches, build_module, load_data
from snnlab.training.carry import Carry
from snnlab.training.stored import stored_config

STEPS = 5
PIECES = [3, 1, 4, 2, 3, 1, 2]  # of streams 0, 1, …

N_BACK = (
    *(
        "dataset=n_back",
        "encoder=identity",
        "network=recurrent",
        "network.hidden=[64]",
        "neuron=lif",
        "neuron.tau=20.0",
    ),
    *("output_neuron=linear", "loss=membrane_cross_entropy", "loss.over_time=sum", "optimizer.lr=0.003"),
    *("batch_size=16", "trainer.max_epochs=2"),
)


@pytest.fixture
def streams(rng: torch.Generator) -> Split:
    """Pieces of several streams, numbered."""
    number = torch.tensor([stream for stream, pieces in enumerate(PIECES) for _ in range(pieces)])
    inputs = torch.randn(len(number), STEPS, 3, generator=rng, dtype=torch.float64)
    return Split(inputs, torch.arange(len(number)), None, number)


@pytest.fixture
def network(rng: torch.Generator) -> Network:
    """Recurrent spikes under a potential that is read out, with a first state that is learned."""
    neuron = {"name": "lif", "tau": 8.0, "initial": "learned"}
    net = recurrent(Plan(inputs=(3,), outputs=2, neuron=neuron, output_neuron="li"), hidden=[6]).double()
    for name, parameter in net.named_parameters():
        if "initial" in name:
            torch.nn.init.uniform_(parameter, 0.2, 0.9, generator=rng)
    return net


def batches(split: Split, **changes: Any) -> Loader:
    options = {"series": True, "batch_size": 3, "seed": 1, "shuffle": True, "carry": True}
    return Loader(split, **(options | changes))


def test_pieces_one_after_another_equal_each_stream_in_one_go(streams: Split, network: Network) -> None:
    carry, found = Carry(), {}
    for batch in batches(streams):
        result = network(batch.inputs, carry.first(network, batch))
        carry.keep(result.state, batch)
        for place, sample in enumerate(batch.targets.tolist()):
            found[sample] = [result.layers[name].outputs[:, place] for name in network.names]
    for stream in range(len(PIECES)):
        samples = (streams.streams == stream).nonzero()[:, 0]
        whole = network(streams.inputs[samples].flatten(0, 1)[:, None])  # (pieces T, 1, 3)
        for index, name in enumerate(network.names):
            pieces = torch.cat([found[sample][index] for sample in samples.tolist()])
            # Float64: products of other shapes are added up in another order.
            torch.testing.assert_close(pieces, whole.layers[name].outputs[:, 0], rtol=1e-12, atol=1e-12)
        assert 0 < whole.layers["0"].outputs.mean() < 1


def test_a_first_state_gets_the_gradient_of_the_streams_that_begin_alone(streams: Split, network: Network) -> None:
    carry, initial, tried = Carry(), network.layers[0].neuron.initial_potential, 0
    for batch in batches(streams):
        network.zero_grad()
        result = network(batch.inputs, carry.first(network, batch))
        carry.keep(result.state, batch)
        result.outputs.square().sum().backward()
        found, begun = initial.grad, batch.inputs[:, batch.begins]
        if not begun.shape[1]:
            assert found is None or not found.any()
            continue
        (wanted,) = torch.autograd.grad(network(begun).outputs.square().sum(), [initial])
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
        assert wanted.any()
        tried += 0 < begun.shape[1] < batch.inputs.shape[1]
    assert tried > 0


def test_no_gradient_passes_from_a_batch_to_the_one_before(streams: Split, network: Network) -> None:
    carry, given = Carry(), iter(batches(streams))
    one, two = next(given), next(given)
    inputs = one.inputs.requires_grad_()
    carry.keep(network(inputs).state, one)
    result = network(two.inputs, carry.first(network, two))
    assert not two.begins.all()
    result.outputs.sum().backward()
    assert inputs.grad is None


def test_a_state_is_the_same_after_a_checkpoint(streams: Split, network: Network) -> None:
    carry, again, given = Carry(), Carry(), iter(batches(streams))
    for _ in range(2):
        batch = next(given)
        carry.keep(network(batch.inputs, carry.first(network, batch)).state, batch)
    file, batch = io.BytesIO(), next(given)
    torch.save(carry.state_dict(), file)
    file.seek(0)
    again.load_state_dict(torch.load(file, weights_only=True))
    one, other = carry.first(network, batch), again.first(network, batch)
    for name in network.names:
        for mine, theirs in zip(one[name], other[name], strict=True):
            assert torch.equal(mine, theirs)
    again.reset()
    assert again.first(network, batch) is None
    assert again.state_dict() == {}


def test_without_streams_nothing_is_carried(streams: Split, network: Network) -> None:
    carry = Carry()
    for batch in batches(streams, carry=False):
        assert carry.first(network, batch) is None
        carry.keep(network(batch.inputs).state, batch)
    assert carry.state_dict() == {}


def test_a_network_remembers_across_pieces_only_if_its_state_is_carried(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]
) -> None:
    accuracy = {
        state: result(train(*N_BACK, f"state={state}", name=state))["metrics"]["test/accuracy"]
        for state in ("carry", "reset")
    }
    assert accuracy["carry"] > 0.8
    assert accuracy["reset"] < 0.58  # 1280 samples, of which .525 are "other": four standard deviations above


class StopAfter(Checkpoint):
    """Saves after so many steps, and ends the run."""

    def __init__(self, path: Path, steps: int) -> None:
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)
            trainer.should_stop = True
            trainer.limit_val_batches = 0


def test_a_run_that_goes_on_within_an_epoch_ends_with_the_same_weights(
    train: Callable[..., Path], tmp_path: Path
) -> None:
    small = ("dataset.train=20", "dataset.length=6", "batch_size=7", "network.hidden=[8]", "neuron.initial=learned")
    config = stored_config(train(*N_BACK, *small, "state=carry") / "checkpoints" / "last.ckpt")
    data = load_data(config)

    def fitted(stop: StopAfter | None = None, path: Path | None = None) -> dict[str, Any]:
        module = build_module(config, data.units, data.outputs, data.classes)
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        options = {"max_epochs": 2, "accelerator": "cpu", "enable_checkpointing": stop is not None} | quiet
        trainer = pl.Trainer(**options, callbacks=stop)
        trainer.fit(module, datamodule=Batches(data, config), ckpt_path=path, weights_only=True)
        return module.state_dict()

    whole = fitted()
    for steps in (4, 23):  # of 18 an epoch
        path = tmp_path / f"{steps}.ckpt"
        fitted(StopAfter(path, steps))
        again = fitted(path=path)
        assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_workers_change_no_number(train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]) -> None:
    words = ("dataset=digits", "trainer.max_epochs=1")
    plain, ahead = result(train(*words, name="plain")), result(train(*words, "workers=2", name="ahead"))
    assert ahead["metrics"] == plain["metrics"]
    assert ahead["id"] == plain["id"]


def test_a_dataset_without_streams_is_refused(snnlab: Callable[..., Any], tmp_path: Path) -> None:
    ran = snnlab("train", "dataset=digits", "state=carry", f"output_dir={tmp_path / 'run'}")
    assert ran.code == 2
    assert "state=carry: the samples of digits do not continue one another" in ran.err


def test_an_encoder_that_looks_back_over_the_border_of_a_piece_is_refused(
    snnlab: Callable[..., Any], tmp_path: Path
) -> None:
    ran = snnlab("train", "dataset=n_back", "encoder=delta", "state=carry", f"output_dir={tmp_path / 'run'}")
    assert ran.code == 2
    assert "state=carry: encoder=delta looks back to the step before" in ran.err
