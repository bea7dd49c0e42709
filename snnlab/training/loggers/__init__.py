"""Loggers: each a function that builds one for a run's folder, or gives None, and imports a library only then."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from snnlab.errors import WrongOption
from snnlab.options import FromRun
from snnlab.registry import register

if TYPE_CHECKING:
    from snnlab.training.loggers.base import RunLogger


@register("logger")
def csv(*, folder: FromRun[str]) -> RunLogger:
    """A table, metrics.csv in the run's folder: one row an epoch."""
    from snnlab.training.loggers.metrics_table import MetricsTable

    return MetricsTable(folder)


@register("logger")
def none() -> None:
    """Nothing is logged; result.json is written all the same."""


@register("logger")
def tensorboard(*, folder: FromRun[str]) -> RunLogger:
    """Event files of TensorBoard in tensorboard/ of the run's folder: `tensorboard --logdir runs` shows all runs.

    The rows of metrics.csv as scalars over epochs, in float32; the configuration as text and as hyperparameters; the
    pictures; the final metrics under `result/`.

    Raises: WrongOption, when the package tensorboard is not installed.
    """
    if find_spec("tensorboard") is None:
        raise WrongOption(
            "logger=tensorboard: the package tensorboard is not installed. "
            "Install it: pip install tensorboard, or leave the logger out."
        )
    from snnlab.training.loggers.event_files import EventFiles

    return EventFiles(folder)


@register("logger")
def wandb(
    *,
    folder: FromRun[str],
    project: str = "snnlab",
    entity: str | None = None,
    name: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    tags: list[str] = [],
    notes: str | None = None,
    mode: Literal["auto", "online", "offline", "disabled"] = "auto",
) -> RunLogger:
    """Weights & Biases: one run of theirs for each of ours, which goes on with it; its files lie in the run's folder.

    The rows of metrics.csv, step = epoch; the configuration; the final metrics as summary; the pictures. Environment
    variables of wandb win where they say how it works (WANDB_MODE, WANDB_BASE_URL, WANDB_INIT_TIMEOUT), options where
    they say what the run is.

    Args:
        project: the project it belongs to.
        entity: the user or team; by default that of the key.
        name: what it is called there; by default the last two folders of the run's path.
        group: what puts runs together; a sweep's jobs have the sweep's folder here unless told otherwise.
        job_type: what it is within its group; a sweep's jobs have what they change here, but for the seed.
        tags: words to find it by; a sweep's jobs have what they change here.
        notes: a longer text.
        mode: offline keeps it in the folder for `wandb sync`, and of a run that went on the newest folder there holds
            all rows; auto is online where there is a key. Online becomes offline, and says so, where the server cannot
            be reached within 20 s or refuses the key.
    """
    from snnlab.training.loggers.wandb_run import WandbRun

    options = {"project": project, "entity": entity, "name": name, "group": group, "job_type": job_type}
    return WandbRun(folder, mode=mode, tags=tags, notes=notes, **options)
