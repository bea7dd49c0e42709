"""A run from its configuration to its folder: train, test once, draw, and write result.json last."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import yaml

from snnlab import files
from snnlab.errors import BadData, FailedRun, SnnlabError, WrongOption
from snnlab.training import checkpoint as checkpoints
from snnlab.training import identity, table
from snnlab.training.assemble import (
    Batches,
    build_module,
    build_trainer,
    check_monitor,
    load_data,
    monitored,
    refusals,
    wants_bar,
)
from snnlab.training.checkpoint import BestAndLast
from snnlab.training.console import log, speaking
from snnlab.training.module import Training

RESULT = "result.json"


def train(config: Mapping[str, Any], overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Train, test the best epoch once, and leave the run's folder.

    Args:
        config: a complete configuration (`snnlab.training.config.complete`) with an `output_dir`.
        overrides: what the user changed, for the record.
    Returns: what result.json holds.
    Raises: WrongOption, BadData, FailedRun.
    """
    folder = Path(config["output_dir"])
    run_id = identity.identity(config)
    if (done := finished(folder, run_id)) is not None:
        print(f"{folder}: this run is done, its result.json is there. Nothing to do.")
        return done
    main = _is_main_process()
    _refuse_other_run(folder, run_id)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if main:
            (folder / table.NAME).unlink(missing_ok=True)  # of an earlier run in this folder that did not end
            files.write_text(folder / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
            files.write_text(folder / "overrides.txt", "".join(f"{line}\n" for line in overrides))
    except OSError as error:
        raise WrongOption(f"output_dir: {folder} cannot be written to ({error.strerror}).") from error
    with speaking(folder, bar=wants_bar(config["trainer"].get("enable_progress_bar")), main=main):
        try:
            return _train(config, folder, run_id, overrides, main)
        except SnnlabError as error:
            log.error("%s", error)
            raise
        except Exception:
            log.exception("the run failed")
            raise


def _refuse_other_run(folder: Path, run_id: str) -> None:
    """A run that did not end is started again in its folder; another one must not overwrite it."""
    try:
        begun = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        other = identity.identity(begun) != run_id
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError, SnnlabError):
        return  # no run, or none that could be told
    if other:
        raise WrongOption(
            f"output_dir: {folder} holds another run, which did not end. Choose another folder, or remove that one."
        )


def finished(folder: Path, run_id: str) -> dict[str, Any] | None:
    """The result of a run that is done, None where there is none.

    Raises: WrongOption, when the folder holds another run; BadData, when its result.json cannot be read.
    """
    path = folder / RESULT
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise BadData(f"{path}: it cannot be read ({error}).") from error
    if not isinstance(result, dict) or result.get("id") != run_id:
        raise WrongOption(
            f"output_dir: {folder} holds another run, which is done. Choose another folder, or remove that one."
        )
    return result


def _train(
    config: Mapping[str, Any], folder: Path, run_id: str, overrides: Sequence[str], main: bool
) -> dict[str, Any]:
    start = time.perf_counter()
    torch.manual_seed(
        config["seed"] % 2**63
    )  # for parts from outside that use the global generator; ours have their own
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    module.facts |= {"id": run_id, "plugins": identity.plugin_parts(config), "versions": identity.versions()}
    check_monitor(config, module)
    trainer = build_trainer(config, folder, module)
    log.info("%s", _opening(config, folder, module, data.parts))
    batches = Batches(data, config)
    saved = _fit(trainer, module, batches)
    module.load_state_dict(checkpoints.load(saved.chosen)["state_dict"])
    with refusals():
        trainer.test(module, datamodule=batches, verbose=False)
    metrics = {name: value for name, value in saved.metrics.items() if name.startswith("val/")}
    metrics |= {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("test/")}
    result = {
        "status": "completed",
        "id": run_id,
        "metrics": metrics,
        "best_checkpoint": str(saved.chosen.relative_to(folder)),
        "best_epoch": saved.epoch,
        "seconds": round(time.perf_counter() - start, 3),
        "epochs": trainer.current_epoch,
        "seed": config["seed"],
        "versions": module.facts["versions"],
        "git": identity.git(),
        "device": str(trainer.strategy.root_device),
        "overrides": list(overrides),
    }
    if not main:
        return result
    drawn = _draw(config, folder, module, batches)
    log.info("%s", _closing(result, folder, drawn))
    files.write_json(folder / RESULT, result)
    return result


def _fit(trainer: pl.Trainer, module: Training, batches: Batches) -> BestAndLast:
    """Train, and tell which epoch was chosen.

    Raises: FailedRun, when not one epoch was trained.
    """
    try:
        with refusals():
            trainer.fit(module, datamodule=batches)
    except BaseException:
        if trainer.strategy.launcher is not None:  # the other processes would wait for this one
            trainer.strategy.launcher.kill(signal.SIGTERM)
        raise
    saved = next(callback for callback in trainer.checkpoint_callbacks if isinstance(callback, BestAndLast))
    if saved.epoch < 0:
        raise FailedRun(
            "no epoch was trained: trainer.max_epochs, max_steps, max_time or limit_train_batches leaves nothing to do."
        )
    if saved.score is None:
        log.info("Note: no epoch ended with a new %s, so the last epoch is the one that counts.", saved.monitor)
    return saved


def _draw(config: Mapping[str, Any], folder: Path, module: Training, batches: Batches) -> bool:
    if not config["plots"]:
        return False
    from snnlab.training import pictures  # matplotlib, only where it is needed

    confusion = pictures.confusion_matrix(module, len(batches.data.classes))
    pictures.draw(folder, module, batches.data, confusion, *monitored(config, module.facts["outputs"]))
    return True


def _opening(config: Mapping[str, Any], folder: Path, module: Training, parts: Mapping[str, Any]) -> str:
    layers = " - ".join(f"{_size(layer)} {type(layer.neuron).__name__}" for layer in module.network.layers)
    trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
    samples = ", ".join(f"{split.inputs.shape[0]} {part}" for part, split in parts.items())
    data = f"{config['dataset']['name']} ({samples})"
    title = f"{config['experiment'] or 'run'} in {folder}"
    return f"{title}\n{data} - {layers}; {trained:,} trained numbers; seed {config['seed']}"


def _size(layer: Any) -> str:
    return f"{layer.synapse.units}{'r' if layer.recurrent is not None else ''}"


def _closing(result: Mapping[str, Any], folder: Path, drawn: bool) -> str:
    metrics = result["metrics"]
    main = [name for name in metrics if name.startswith("test/") and name.count("/") == 1]
    lines = ["", *(f"{name:<16} {metrics[name]:.4f}" for name in main)]
    lines += [f"{name:<16} {metrics[name]:.4f}" for name in metrics if name.startswith("val/") and name.count("/") == 1]
    lines += [f"{'time':<16} {result['seconds']:.1f} s, {result['epochs']} epochs, best epoch {result['best_epoch']}"]
    lines += [f"{'plots':<16} {folder / 'plots'}"] if drawn else []
    lines += [f"{'checkpoint':<16} {folder / result['best_checkpoint']}", f"{'evaluate':<16} snnlab evaluate {folder}"]
    return "\n".join(lines)


def _is_main_process() -> bool:
    return all(os.environ.get(name, "0") == "0" for name in ("LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def evaluate(path: Path, config: Mapping[str, Any], stage: str = "test") -> dict[str, float]:
    """Rebuild the network of a checkpoint and compute the metrics of one part of the data.

    Args:
        path: the checkpoint.
        config: its configuration, or a changed one.
        stage: val or test.
    Raises: BadData, WrongOption.
    """
    loaded = checkpoints.load(path)
    data = load_data(config)
    module = build_module(config, data.units, data.outputs, data.classes)
    try:
        module.load_state_dict(loaded["state_dict"])
    except RuntimeError as error:
        first = str(error).partition("\n")[2].strip().partition("\n")[0]
        raise WrongOption(
            f"checkpoint {path}: its weights do not fit the network of this configuration. {first}"
        ) from error
    trainer = build_trainer(config, path.parent, module, training=False)
    run = trainer.test if stage == "test" else trainer.validate
    with refusals():
        run(module, datamodule=Batches(data, config), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}
