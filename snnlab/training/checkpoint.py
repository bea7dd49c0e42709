"""Checkpoints as files: written whole or not at all, read without running anybody's code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from snnlab import files
from snnlab.errors import BadData, FailedRun
from snnlab.training import inventory
from snnlab.training.plain import Unfit

FOLDER = "checkpoints"
NAMES = ("best.ckpt", "last.ckpt")


class WholeFiles(TorchCheckpointIO):
    """Lightning's way to a checkpoint, through `files`: a kill leaves the old file or the new one; read by `load`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises: FailedRun, when the disk is full or the folder cannot be written to.
        """
        try:
            with files.replacing(path) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            raise FailedRun(
                f"checkpoint {path}: it could not be written ({error}). The one before it is as it was."
            ) from error

    def load_checkpoint(self, path: str | Path, *arguments: Any, **keywords: Any) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote: plain data and tensors, whatever Lightning asks for.

        It need not be a checkpoint of ours: forked processes hand their bare weights over in such a file.
        """
        return _opened(Path(path))


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint: plain data and tensors, no code, and nothing that is larger than the file.

    Raises: BadData, when there is no such file, it is damaged, or it is no checkpoint of snnlab.
    """
    known = _opened(path)
    facts, weights = known.get("snnlab"), known.get("state_dict")
    if not isinstance(facts, dict) or not isinstance(weights, dict):
        raise BadData(f"checkpoint {path}: it is no checkpoint of snnlab.")
    for name, value in weights.items():
        if not isinstance(name, str) or not (isinstance(value, Tensor) or name.endswith("_extra_state")):
            raise BadData(f"checkpoint {path}: its weight {name} is none.")
    return known


def _opened(path: Path) -> dict[str, Any]:
    if not path.is_file():  # a named pipe or a device is none
        raise BadData(f"checkpoint {path}: there is no such file.")
    try:
        inventory.check(path)
        checkpoint: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (inventory.Other, pickle.UnpicklingError) as error:
        raise BadData(f"checkpoint {path}: it holds more than plain data and tensors, so it was not opened.") from error
    except Unfit as error:
        raise BadData(f"checkpoint {path}: {error}.") from error
    except Exception as error:  # a damaged file can make torch raise nearly anything
        raise BadData(f"checkpoint {path}: it is damaged, or no checkpoint ({type(error).__name__}).") from error
    return checkpoint if isinstance(checkpoint, dict) else {}
