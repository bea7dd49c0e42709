"""What a training step of a run costs beside the network: one tiny network in a bare loop and in a run.

python scripts/measure_overhead.py        prints milliseconds a step, medians of interleaved rounds, one thread
"""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from pathlib import Path

import torch

from snnlab.composition import Composer
from snnlab.data.loader import loaders
from snnlab.draws import Draws
from snnlab.training.assemble import build_module, load_data
from snnlab.training.run import train

ROUNDS, EPOCHS = 5, 20
OPTIONS = ["network.hidden=[16]", "time.steps=2", "plots=false", "trainer.accelerator=cpu"]


def bare(config: dict) -> float:
    """Milliseconds a step of a plain loop over the same batches."""
    data = load_data(config)
    parts = build_module(config, data.units, data.outputs, data.classes).parts
    loader = loaders(data, batch_size=config["batch_size"], seed=0)["train"]
    optimizer = torch.optim.Adam(parts.network.parameters(), lr=config["optimizer"]["lr"])
    start = time.perf_counter()
    for epoch in range(EPOCHS):
        loader.set_epoch(epoch)
        for batch in loader:
            x = parts.encoder(batch.inputs, Draws(0, "train", epoch, batch.number))
            loss = parts.loss(parts.network(x).outputs, batch.targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return 1000 * (time.perf_counter() - start) / (EPOCHS * len(loader))


def ours(config: dict, epochs: int) -> tuple[float, int]:
    """Seconds of a whole run of so many epochs, and its steps."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = config["trainer"] | {"max_epochs": epochs}
        changed = config | {"output_dir": str(Path(folder) / "run"), "trainer": trainer}
        start = time.perf_counter()
        train(changed)
        return time.perf_counter() - start, epochs * -(-1257 // config["batch_size"])


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    composer = Composer()
    config = composer.job(composer.translated(OPTIONS))
    plain, run = [], []
    for _ in range(ROUNDS):
        plain.append(bare(config))
        short, few = ours(config, 1)
        long, many = ours(config, EPOCHS + 1)  # the difference leaves out what a run costs once
        run.append(1000 * (long - short) / (many - few))
    over = [ours - bare for ours, bare in zip(run, plain, strict=True)]
    print(f"bare loop {statistics.median(plain):.2f} ms a step, run {statistics.median(run):.2f} ms a step")
    print(
        f"a run costs {statistics.median(over):.2f} ms a step more, with validation, checkpoints and log of its epochs"
    )


if __name__ == "__main__":
    main()
