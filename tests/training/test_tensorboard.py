"""The logger of TensorBoard: its event files read back with TensorBoard's own reader."""

from __future__ import annotations

import multiprocessing
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from snnlab.registry import build
from snnlab.training import plots
from snnlab.training.table import read

CONFIG = {"seed": 3, "neuron": {"name": "lif", "tau": 10.0}, "network": {"hidden": [4, 5]}, "monitor": None}


def row(epoch: int, **numbers: float) -> dict[str, float]:
    return {"epoch": epoch, "step": 20 * (epoch + 1), "train/loss": 1 / (epoch + 3)} | numbers


def logger(folder: Path) -> Any:
    return build("logger", "tensorboard", folder=str(folder))()


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), {"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    return found


def scalars(folder: Path) -> list[dict[str, float]]:
    """The rows, by epoch; the final metrics left out."""
    found = events(folder)
    rows: dict[int, dict[str, float]] = {}
    for name in found.Tags()["scalars"]:
        for event in found.Scalars(name) if not name.startswith("result/") else ():
            assert name not in rows.setdefault(event.step, {"epoch": event.step})
            rows[event.step][name] = event.value
    return [rows[epoch] for epoch in sorted(rows)]


def rounded(*rows: dict[str, float]) -> list[dict[str, float]]:
    """To float32, as TensorBoard keeps them."""
    return [{name: struct.unpack("f", struct.pack("f", value))[0] for name, value in row.items()} for row in rows]


def test_rows_are_scalars_over_epochs(tmp_path: Path) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    for epoch in range(3):
        made.log_metrics(row(epoch, **{"val/rate/0": 0.1 * epoch}), 20)
        assert len(scalars(tmp_path)) == epoch + 1  # at once: a kill loses nothing
    made.end("completed", {}, [])
    assert scalars(tmp_path) == rounded(*(row(epoch, **{"val/rate/0": 0.1 * epoch}) for epoch in range(3)))


def test_a_run_that_goes_on_makes_void_what_the_killed_process_wrote(tmp_path: Path) -> None:
    killed = logger(tmp_path)
    killed.begin(CONFIG, [])
    for epoch in range(4):
        killed.log_metrics(row(epoch, killed=1.0 * (epoch > 1)), 20)
    made = logger(tmp_path)
    made.begin(CONFIG, [row(0, killed=0.0), row(1, killed=0.0)])
    made.log_metrics(row(2), 20)
    made.end("completed", {}, [])
    assert scalars(tmp_path) == rounded(row(0, killed=0.0), row(1, killed=0.0), row(2))
    killed.end("interrupted", {}, [])


def test_a_run_that_begins_anew_makes_void_all_of_the_one_before(tmp_path: Path) -> None:
    killed = logger(tmp_path)
    killed.begin(CONFIG, [])
    killed.log_metrics(row(0, killed=1.0), 20)
    killed.end("failed", {}, [])
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    made.log_metrics(row(0), 20)
    made.end("completed", {}, [])
    assert scalars(tmp_path) == rounded(row(0))


def test_a_run_that_takes_up_the_logger_later_has_all_rows(tmp_path: Path) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [row(0), row(1)])
    made.log_metrics(row(2), 20)
    made.end("completed", {}, [])
    assert scalars(tmp_path) == rounded(row(0), row(1), row(2))


def test_configuration_final_metrics_and_pictures_are_there(tmp_path: Path) -> None:
    figure = plots.confusion(np.eye(2, dtype=int), ("a", "b"))
    plots.save(figure, tmp_path / "plots" / "confusion.png")
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    made.log_metrics(row(0), 20)
    made.end("completed", {"test/accuracy": 0.75}, [tmp_path / "plots" / "confusion.png"])
    found = events(tmp_path)
    assert "tau: 10.0" in found.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    (image,) = found.Images("plots/confusion")
    width, height = struct.unpack(">II", (tmp_path / "plots" / "confusion.png").read_bytes()[16:24])
    assert (image.width, image.height, image.step) == (width, height, 0)
    assert [(event.step, event.value) for event in found.Scalars("result/test/accuracy")] == [(0, 0.75)]
    content = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    options = HParamsPluginData.FromString(content).session_start_info.hparams
    assert options["neuron.tau"].number_value == 10.0
    assert options["neuron.name"].string_value == "lif"
    assert options["network.hidden"].string_value == "[4, 5]"


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_does_not_end_well_has_its_rows_and_no_result(tmp_path: Path, status: str) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    made.log_metrics(row(0), 20)
    made.end(status, {}, [])
    assert scalars(tmp_path) == rounded(row(0))
    assert not any(name.startswith("result/") for name in events(tmp_path).Tags()["scalars"])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_that_the_trainer_starts_writes_too(tmp_path: Path) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    copy = pickle.loads(pickle.dumps(made))  # as a process that is not forked gets it
    process = multiprocessing.get_context("fork").Process(target=made.log_metrics, args=(row(0), 20))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    copy.log_metrics(row(1), 40)
    made.end("completed", {}, [])
    assert scalars(tmp_path) == rounded(row(0), row(1))


def test_a_run_that_was_stopped_within_an_epoch_and_goes_on_has_the_rows_of_its_table(
    stopped_within_the_second_epoch: Callable[..., None], train: Callable[..., Path], tmp_path: Path
) -> None:
    run = ("logger=[csv,tensorboard]", "trainer.max_epochs=3")
    words = (*run, "network.hidden=[32]", "plots=false", f"output_dir={tmp_path / 'run'}")
    stopped_within_the_second_epoch(*words)
    assert len(scalars(tmp_path / "run")) == 1
    folder = train(*run)
    assert scalars(folder) == rounded(*read(folder / "metrics.csv"))
    assert len(scalars(folder)) == 3
