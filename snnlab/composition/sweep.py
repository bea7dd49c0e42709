"""A sweep: Hydra's sweeper and launcher over our composition; each job a run in its own folder."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from snnlab.composition.compose import CONFIG, Composer
from snnlab.composition.groups import conf_folder
from snnlab.composition.job import run_job
from snnlab.composition.overrides import key_of, parsed
from snnlab.composition.values import in_words
from snnlab.errors import SnnlabError
from snnlab.training.config import monitor_of
from snnlab.training.identity import identity


def run_sweep(composer: Composer, overrides: Sequence[str], folder: Path) -> int:
    """Run all jobs of a sweep.

    Args:
        composer: what the jobs were checked with.
        overrides: in Hydra's words, with sweeps.
        folder: the sweep's folder; its jobs' folders lie inside.
    Returns: the exit code: 0 if every job ended well, 1 if one failed.
    """
    failed: list[str] = []
    ended: list[tuple[str, dict[str, float]]] = []
    swept = {override.get_key_element() for override in parsed(overrides) if override.is_sweep_override()}

    def job(config: DictConfig) -> float | None:
        words = list(HydraConfig.get().overrides.task)
        try:
            composed = composer.job(words)
            name = _name(words, swept)
            result = _job(composed, words, name, folder)
            ended.append((name, result["metrics"]))
            value = result["metrics"].get(monitor_of(composed))
            return None if value is None else float(value)
        except SnnlabError as error:  # the other jobs go on
            failed.append(f"{' '.join(words)}: {error}")
        except Exception as error:  # in a part, perhaps of a plugin: its author needs the place
            traceback.print_exc()
            failed.append(f"{' '.join(words)}: {type(error).__name__}: {error}")
        return None

    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    # Hydra reads sys.argv, and prints and exits by itself unless it is told to raise.
    sys.argv = [before[0][0], "-m", *overrides, *in_words({"hydra.sweep.dir": folder})]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name=CONFIG)(job)()
    finally:
        sys.argv = before[0]
        os.environ.pop("HYDRA_FULL_ERROR")
        if before[1] is not None:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
    print(f"\nsweep in {folder}")
    for name, metrics in ended:
        shown = [f"{key} {value:.4f}" for key, value in metrics.items() if key.count("/") == 1 and "loss" not in key]
        print(f"  {name}: {', '.join(shown)}")
    for line in failed:
        print(f"failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def _job(config: dict[str, Any], words: Sequence[str], name: str, folder: Path) -> dict[str, Any]:
    config["output_dir"] = str(folder / "_".join(filter(None, (_as_file_name(name), identity(config)[:8]))))
    print(f"\njob {HydraConfig.get().job.num}: {name}")
    return run_job(config, words)


def _name(words: Sequence[str], swept: set[str]) -> str:
    """What a job changes: its values of the swept options."""
    keys = {key.lstrip("+~") for key in swept}
    return ",".join(word.lstrip("+~").replace("/", ".") for word in words if key_of(word) in keys)


def _as_file_name(text: str) -> str:
    kept = "".join(c if c.isalnum() or c in "=.,-_" else "_" for c in text)
    return kept[:120]
