"""The first 20 losses of the founding experiments: computed here, held by test_loss_curves.py against loss_curves.json.

python tests/training/loss_curves.py            writes loss_curves.json anew, where a change of the numbers was meant
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from snnlab.composition import Composer
from snnlab.data.base import Batch
from snnlab.training.assemble import Batches, build_module, build_trainer, load_data
from snnlab.training.module import Training
from snnlab.training.signals import Signals

EXPERIMENTS = ("digits_stbp", "digits_lif", "digits_cuba", "digits_ctrnn")
STEPS = 20
STORED = Path(__file__).with_suffix(".json")


def losses(experiment: str, folder: Path) -> list[float]:
    """The losses of the first steps, in float64 on one thread of the CPU, by the run's own Trainer."""
    composer = Composer()
    words = [f"experiment={experiment}", "trainer.precision=64-true", "trainer.accelerator=cpu", "trainer.devices=1"]
    config = composer.job(composer.translated([*words, f"trainer.max_steps={STEPS}", "logger=none"]))
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    seen: list[float] = []
    step = Training.training_step

    def noted(batch: Batch, batch_idx: int) -> torch.Tensor:
        loss = step(module, batch, batch_idx)
        seen.append(float(loss.detach()))
        return loss

    module.training_step = noted  # type: ignore[method-assign]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        build_trainer(config, folder, module, signals=Signals()).fit(module, datamodule=Batches(data, config))
    finally:
        torch.set_num_threads(threads)
    return seen


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        curves = {name: losses(name, Path(folder) / name) for name in EXPERIMENTS}
    STORED.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
