"""The loader inside Lightning's Trainer; pytest turns any warning into an error."""

from __future__ import annotations

import itertools

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from snnlab.data import Data, Split, loaders


class Noting(pl.LightningModule):
    """Notes which samples it was given."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.seen = {"train": [], "val": [], "test": []}

    def samples(self, part):
        return list(itertools.chain(*(targets for _, _, targets in self.seen[part])))

    def _step(self, part, batch):
        self.seen[part].append((self.current_epoch, batch.number, batch.targets.tolist()))
        return self.layer(batch.inputs).mean()

    def training_step(self, batch, number):
        return self._step("train", batch)

    def validation_step(self, batch, number):
        self.log("val/loss", self._step("val", batch), batch_size=len(batch.targets))

    def test_step(self, batch, number):
        self._step("test", batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class SaveAfter(Checkpoint):
    """Saves after so many steps."""

    def __init__(self, path, steps):
        self.path, self.steps = path, steps

    def on_train_batch_end(self, trainer, module, outputs, batch, number):
        if trainer.global_step == self.steps:
            trainer.save_checkpoint(self.path)


def parts():
    def split(samples):
        return Split(torch.randn(samples, 2, generator=torch.Generator().manual_seed(0)), torch.arange(samples))

    return loaders(Data(split(37), split(11), split(7), series=False), batch_size=8, seed=5)


def trainer(folder, *callbacks, **options):
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": bool(callbacks)}
    settings = {"max_epochs": 3, "accelerator": "cpu", "logger": False, "use_distributed_sampler": False}
    return pl.Trainer(default_root_dir=folder, callbacks=list(callbacks), **(settings | quiet | options))


def test_fit_validate_and_test_get_every_sample_in_the_loaders_order(tmp_path):
    module, given = Noting(), parts()
    run = trainer(tmp_path, num_sanity_val_steps=0)
    run.fit(module, given["train"], given["val"])
    run.validate(module, given["val"], verbose=False)
    run.test(module, given["test"], verbose=False)
    wanted = []
    for epoch in range(3):
        again = parts()["train"]
        again.set_epoch(epoch)
        wanted += [(epoch, batch.number, batch.targets.tolist()) for batch in again]
    assert module.seen["train"] == wanted
    assert module.samples("val") == list(range(11)) * 4
    assert module.samples("test") == list(range(7))


def test_a_run_resumed_in_the_middle_of_an_epoch_gets_the_remaining_batches(tmp_path):
    for steps in (1, 4, 7, 14):
        whole, resumed, path = Noting(), Noting(), tmp_path / f"{steps}.ckpt"
        given = parts()
        trainer(tmp_path, SaveAfter(path, steps)).fit(whole, given["train"], given["val"])
        given = parts()
        trainer(tmp_path).fit(resumed, given["train"], given["val"], ckpt_path=path, weights_only=True)
        assert resumed.seen["train"] == whole.seen["train"][steps:]


def test_an_epoch_cut_short_is_followed_by_a_whole_order_after_a_resume(tmp_path):
    class SaveEpoch(Checkpoint):
        def on_train_epoch_end(self, trainer, module):
            if trainer.current_epoch == 0:
                trainer.save_checkpoint(tmp_path / "end.ckpt")

    whole, resumed = Noting(), Noting()
    trainer(tmp_path, SaveEpoch(), limit_train_batches=3).fit(whole, parts()["train"], parts()["val"])
    again = trainer(tmp_path, limit_train_batches=3)
    again.fit(resumed, parts()["train"], parts()["val"], ckpt_path=tmp_path / "end.ckpt", weights_only=True)
    assert resumed.seen["train"] == whole.seen["train"][3:]


def test_overfitting_to_a_few_batches_repeats_them_every_epoch(tmp_path):
    module = Noting()
    data = Data(*(Split(torch.zeros(n, 2), torch.arange(n)) for n in (37, 11, 7)), series=False)
    still = loaders(data, batch_size=8, seed=5, shuffle=False)
    trainer(tmp_path, overfit_batches=2).fit(module, still["train"], still["val"])
    assert module.samples("train") == list(range(14)) * 3
