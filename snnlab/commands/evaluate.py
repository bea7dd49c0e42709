"""Compute the metrics of a trained network, on test or on val, from its checkpoint alone.

snnlab evaluate RUN                        a run's folder, a checkpoint, `last`, or the beginning of a run's id
snnlab evaluate RUN trainer.precision=bf16-mixed dataset.folder=DIR batch_size=500
snnlab evaluate RUN --split val --json

One process computes, however many trained the network; trainer.devices=… changes that.
"""

from __future__ import annotations

import json
import warnings
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence


def main(argv: Sequence[str]) -> int:
    """Run the command."""
    parser = ArgumentParser("snnlab evaluate", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "run", metavar="RUN", help="a run's folder, a checkpoint, `last`, or the beginning of a run's id"
    )
    parser.add_argument("overrides", nargs="*", metavar="OPTION=VALUE", help="changes to the run's configuration")
    parser.add_argument("--split", choices=("test", "val"), default="test", help="the part of the data")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_intermixed_args(argv)

    from snnlab.composition.overrides import values
    from snnlab.training.evaluation import ALONE, evaluate
    from snnlab.training.stored import changed, find, stored_config

    path = find(arguments.run)
    config = changed(stored_config(path), ALONE | values(arguments.overrides))

    from snnlab.training.console import quiet

    with warnings.catch_warnings():
        quiet()
        metrics = evaluate(path, config, arguments.split)
    if arguments.json:
        print(json.dumps({"checkpoint": str(path), "metrics": metrics}, indent=2))
    else:
        print(f"{path}")
        print("\n".join(f"{name:<16} {value:.4f}" for name, value in metrics.items()))
    return 0
