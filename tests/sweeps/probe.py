"""A callback that writes down which process trains, and then does what no job should: a plugin for tests."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from snnlab.registry import register


@register("callback")
def probe(*, act: str = "train") -> Any:
    """Tells of its process.

    Args:
        act: what it does besides.
    """
    import pytorch_lightning as pl
    import torch

    class Probe(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
            names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "CUDA_DEVICE_ORDER")
            said = {name: os.environ.get(name) for name in names}
            said |= {"pid": os.getpid(), "threads": torch.get_num_threads(), "torch": id(torch)}
            (Path(trainer.default_root_dir) / "probe.json").write_text(json.dumps(said))
            if act == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if act == "exit":
                os.write(2, b"terminate called\n")
                os._exit(3)
            if act == "sys.exit":
                sys.exit(5)
            if act == "raise":
                raise RuntimeError("of its own")
            if act == "shout":
                os.write(1, b"to standard output\n")
                os.write(2, b"to standard error\n")

        def on_train_batch_end(self, trainer: pl.Trainer, *arguments: Any) -> None:
            if act == "slow":
                time.sleep(0.05)
            if act == "deaf":  # to all but SIGKILL
                for number in (signal.SIGTERM, signal.SIGINT):
                    signal.signal(number, signal.SIG_IGN)
                time.sleep(600)

    return Probe()
