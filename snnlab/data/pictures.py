"""Datasets published as four idx files: pictures and labels to train on, pictures and labels to test."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from snnlab.data.base import Data, Split, partition
from snnlab.data.idx import read_idx


def read_pictures(name: str, folder: str, *, val: int, split_seed: int, classes: tuple[str, ...]) -> Data:
    """The dataset `name` from the files in `folder`, its `val` samples split off the published training set.

    Shape: inputs (N, 28, 28) in [0, 1]; targets (N,).
    Raises: BadData, when a file is missing or is not the published one; WrongOption, when nothing remains to train on.
    """
    known: dict[str, str] = json.loads((files("snnlab.data") / "checksums.json").read_text())[name]
    advice = (
        f"In a checkout of snnlab, `python scripts/fetch_data.py {name} --folder {folder}` gets it. "
        f"Elsewhere, put {', '.join(known)} (each plain or .gz) into {folder}, or name their folder: dataset.folder=…"
    )

    def read(part: str) -> tuple[Tensor, Tensor]:
        kinds = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
        pictures, labels = (read_idx(Path(folder, kind), sha256=known[kind], advice=advice) for kind in kinds)
        return torch.from_numpy(pictures), torch.from_numpy(labels)

    pictures, labels = read("train")
    train, chosen = partition(len(labels), val, seed=split_seed)
    return Data(
        train=_split(pictures[train], labels[train]),
        val=_split(pictures[chosen], labels[chosen]),
        test=_split(*read("t10k")),
        series=False,
        classes=classes,
    )


def _split(pictures: Tensor, labels: Tensor) -> Split:
    return Split(pictures.float().div_(255), labels.long())
