"""Checkpoints from which a run can go on: what they hold beside weights, and in which types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge, MinLen
from pydantic import BaseModel, TypeAdapter, ValidationError

from snnlab.errors import BadData
from snnlab.training import checkpoint as checkpoints

Count = Annotated[int, Ge(0)]


class _Row(BaseModel):
    epoch: Count


class _Config(BaseModel):
    trainer: dict[str, Any]


class _Facts(BaseModel):
    id: str
    config: _Config
    rows: list[_Row]
    so_far: Annotated[list[dict[str, Any]], MinLen(1)]


class _Best(BaseModel):
    score: float | None
    epoch: int
    metrics: dict[str, float]
    validated: int
    ended: bool


class _Callbacks(BaseModel):
    BestAndLast: _Best


class _Resumable(BaseModel):
    epoch: Count
    global_step: Count
    loops: dict[str, Any]
    callbacks: _Callbacks
    optimizer_states: list[dict[str, Any]]
    lr_schedulers: list[dict[str, Any]]
    snnlab: _Facts


_ROWS = TypeAdapter(list[dict[str, float]])


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint from which a run can go on.

    Raises: BadData, when it cannot be read, or holds weights alone.
    """
    loaded = checkpoints.load(path)
    try:
        _Resumable.model_validate(loaded, strict=True)
        _ROWS.validate_python(loaded["snnlab"]["rows"], strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadData(f"checkpoint {path}: no run can go on from it. {where}: {first['msg']}.") from error
    return loaded
