"""The logger of Weights & Biases: its offline files read back, resumes, kills, and a server that is not there."""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import wandb
import yaml
from wandb.proto.wandb_internal_pb2 import Record

from snnlab.registry import build
from snnlab.training import table
from snnlab.training.loggers.wandb_run import WandbRun

CONFIG = {"seed": 3, "neuron": {"name": "lif", "tau": 10.0}, "network": {"hidden": [4, 5]}, "monitor": None}
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key, no settings and no caches of whoever runs the tests; wandb reads them once, so it is ended after each."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    yield
    wandb.teardown()


def row(epoch: int, **numbers: float) -> dict[str, float]:
    return {"epoch": epoch, "step": 20 * (epoch + 1), "train/loss": 1 / (epoch + 3), "lr": 0.1} | numbers


def logger(folder: Path, **options: Any) -> WandbRun:
    made = build("logger", {"name": "wandb", "mode": "offline"} | options, folder=str(folder))()
    assert isinstance(made, WandbRun)
    return made


def records(file: Path) -> Iterator[Record]:
    """The records of a .wandb file: after 7 bytes, a log of LevelDB's format whose blocks count the 7 bytes too.

    A piece of a record has a head of checksum, length and place: 1 for a whole one, else 2 first, 3 between, 4 last.
    """
    data, at, parts = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # no head fits: the block is filled up
            at += 32768 - at % 32768
            continue
        length, place = struct.unpack_from("<HB", data, at + 4)
        parts = (b"" if place in (1, 2) else parts) + data[at + 7 : at + 7 + length]
        at += 7 + length
        if place in (1, 4):
            yield Record.FromString(parts)


def named(items: Any) -> dict[str, Any]:
    """Numbers, texts and dicts of them, without those that wandb adds for itself."""
    found: dict[str, Any] = {}
    for item in items:
        *above, last = item.nested_key or [item.key]
        node = found
        for name in above:
            node = node.setdefault(name, {})
        node[last] = json.loads(item.value_json)
    return {name: value for name, value in found.items() if not name.startswith("_")}


def read(file: Path) -> dict[str, Any]:
    """What an offline file holds: rows by step, configuration, summary, exit code, names."""
    found: dict[str, Any] = {"rows": {}, "config": {}, "summary": {}, "exit": None}
    for record in records(file):
        match record.WhichOneof("record_type"):
            case "run":
                found |= {"id": record.run.run_id, "project": record.run.project, "name": record.run.display_name}
                found |= {"group": record.run.run_group, "tags": list(record.run.tags), "notes": record.run.notes}
                found["config"] |= named(record.run.config.update)
            case "config":
                found["config"] |= named(record.config.update)
            case "history":
                found["rows"][record.history.step.num] = named(record.history.item)
            case "summary":
                found["summary"] |= named(record.summary.update)
            case "exit":
                found["exit"] = record.exit.exit_code
    return found


def files(folder: Path) -> list[Path]:
    """The offline files of a run's folder, the oldest first."""
    return sorted(
        (path for path in (folder / "wandb").glob("offline-run-*/*.wandb")), key=lambda path: path.stat().st_mtime_ns
    )


def merged(folder: Path) -> list[dict[str, Any]]:
    """The rows of all offline files by step, the later file's where two have one; what are no numbers left out."""
    steps: dict[int, dict[str, Any]] = {}
    for file in files(folder):
        steps |= read(file)["rows"]
    rows = [
        {name: value for name, value in steps[step].items() if not isinstance(value, dict)} for step in sorted(steps)
    ]
    return [row for row in rows if row]


def test_rows_are_kept_to_the_last_bit(tmp_path: Path) -> None:
    numbers = {"smallest": 5e-324, "largest": sys.float_info.max, "third": 1 / 3, "val/rate/0": 0.1 + 0.2}
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    for epoch in range(3):
        made.log_metrics(row(epoch, **numbers), 20)
    made.end("completed", {}, [])
    (file,) = files(tmp_path)
    assert read(file)["rows"] == {epoch: row(epoch, **numbers) for epoch in range(3)}


def test_numbers_that_are_not_finite_are_kept(tmp_path: Path) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    made.log_metrics(row(0, nan=math.nan, less=-math.inf), 20)
    made.end("failed", {}, [])
    (found,) = read(files(tmp_path)[0])["rows"].values()
    assert [str(float(found[name])) for name in ("nan", "less")] == ["nan", "-inf"]


def test_configuration_summary_and_pictures_are_kept(tmp_path: Path) -> None:
    picture = tmp_path / "plots" / "raster.png"
    picture.parent.mkdir()
    picture.write_bytes(PIXEL)
    made = logger(tmp_path, project="p", group="g", tags=["a", "b"], notes="n")
    made.begin(CONFIG, [])
    made.log_metrics(row(0, **{"val/accuracy": 0.25}), 20)
    made.end("completed", {"val/accuracy": 0.5, "test/accuracy": 0.75}, [picture])
    (file,) = files(tmp_path)
    found = read(file)
    assert found["config"] == CONFIG
    assert (found["summary"]["val/accuracy"], found["summary"]["test/accuracy"]) == (0.5, 0.75)
    assert [found[name] for name in ("project", "group", "tags", "notes", "exit")] == ["p", "g", ["a", "b"], "n", 0]
    assert found["name"] == "/".join(tmp_path.parts[-2:])
    image = found["rows"][1]["plots/raster"]
    assert image["_type"] == "image-file"
    assert (file.parent / "files" / image["path"]).read_bytes() == PIXEL
    assert merged(tmp_path) == [row(0, **{"val/accuracy": 0.25})]


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_does_not_end_well_has_exit_code_1(tmp_path: Path, status: str) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    made.end(status, {}, [])
    assert read(files(tmp_path)[0])["exit"] == 1


def test_two_jobs_of_a_process_are_two_runs(tmp_path: Path) -> None:
    for job in range(2):
        made = logger(tmp_path / str(job))
        made.begin({"job": job}, [])
        made.log_metrics(row(job), 20)
        made.end("completed", {}, [])
    one, two = (read(files(tmp_path / str(job))[0]) for job in range(2))
    assert one["id"] != two["id"]
    assert [found["config"] for found in (one, two)] == [{"job": 0}, {"job": 1}]
    assert [merged(tmp_path / str(job)) for job in range(2)] == [[row(0)], [row(1)]]


def test_a_run_that_a_notebook_has_open_is_left_alone(tmp_path: Path) -> None:
    theirs = wandb.init(mode="offline", dir=str(tmp_path), settings=wandb.Settings(silent=True, console="off"))
    made = logger(tmp_path / "run")
    made.begin(CONFIG, [])
    made.end("completed", {}, [])
    theirs.log({"mine": 1.0})
    theirs.finish()
    wandb.teardown()  # waits until the file is written
    (file,) = files(tmp_path)
    assert read(file)["rows"][0] == {"mine": 1.0}
    assert theirs.id != read(files(tmp_path / "run")[0])["id"]


def test_a_run_that_goes_on_is_the_same_run_and_rows_of_the_killed_process_are_void(tmp_path: Path) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])
    for epoch in range(3):
        made.log_metrics(row(epoch, killed=1.0), 20)
    made.end("interrupted", {}, [])
    again = logger(tmp_path)
    again.begin(CONFIG | {"longer": True}, [row(0), row(1)])
    again.log_metrics(row(2), 60)
    again.end("completed", {}, [])
    one, two = map(read, files(tmp_path))
    assert one["id"] == two["id"]
    assert two["config"] == CONFIG | {"longer": True}
    assert merged(tmp_path) == [row(0), row(1), row(2)]


@pytest.mark.parametrize("text", ["", "{", '{"id": "../../../x"}', '{"id": 7}', "[]", "\udcff"])
def test_a_damaged_id_is_replaced_and_the_run_goes_on(tmp_path: Path, text: str) -> None:
    (tmp_path / "wandb.json").write_bytes(text.encode(errors="surrogateescape"))
    made = logger(tmp_path)
    made.begin(CONFIG, [row(0)])
    made.end("completed", {}, [])
    assert merged(tmp_path) == [row(0)]
    assert json.loads((tmp_path / "wandb.json").read_text())["id"] == read(files(tmp_path)[0])["id"]


def test_without_a_key_a_run_is_offline_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = logger(tmp_path, mode="auto")
    with caplog.at_level(logging.INFO, "snnlab"):
        made.begin(CONFIG, [])
    made.log_metrics(row(0), 20)
    made.end("completed", {}, [])
    assert [(record.levelname, record.getMessage()) for record in caplog.records if record.name == "snnlab"] == [
        ("INFO", "wandb: there is no key; `wandb login` stores one"),
        ("INFO", f"wandb: offline. To send it later: wandb sync {files(tmp_path)[0].parent}"),
    ]
    assert merged(tmp_path) == [row(0)]


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_a_server_that_is_not_there_makes_a_run_offline_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nothing listens there
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "1")
    made = logger(tmp_path, mode=mode)
    made.begin(CONFIG, [row(0)])
    made.log_metrics(row(1), 40)
    made.end("completed", {}, [])
    assert merged(tmp_path) == [row(0), row(1)]
    (record,) = [record for record in caplog.records if record.name == "snnlab"]
    assert record.levelname == "WARNING"
    assert "127.0.0.1" in record.getMessage()


def test_a_key_that_cannot_be_one_makes_a_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "short")
    made = logger(tmp_path, mode="auto")
    made.begin(CONFIG, [])
    made.end("completed", {}, [])
    assert len(files(tmp_path)) == 1
    assert "WANDB_API_KEY" in caplog.text


def test_the_environment_decides_whether_it_is_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    made = logger(tmp_path, mode="online")
    made.begin(CONFIG, [])
    made.log_metrics(row(0), 20)
    made.end("completed", {"test/accuracy": 1.0}, [])
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_dies_is_told_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = logger(tmp_path)
    made.begin(CONFIG, [])

    def broken(*arguments: Any, **keywords: Any) -> None:
        raise ConnectionResetError("Connection lost")

    monkeypatch.setattr(made._run, "log", broken)
    for epoch in range(3):
        made.log_metrics(row(epoch), 20)
    made.end("completed", {}, [])
    (record,) = [record for record in caplog.records if record.name == "snnlab"]
    assert "logger=wandb: it failed: ConnectionResetError: Connection lost." in record.getMessage()
    assert read(files(tmp_path)[0])["exit"] == 0  # what it holds is saved all the same


RUN = ("logger=[csv,wandb]", "callback=[gradient_norms]", "trainer.max_epochs=3")


def test_a_runs_offline_file_equals_its_table(
    train: Callable[..., Path], result: Callable[[Path], dict[str, Any]]
) -> None:
    folder = train(*RUN, "plots=true")
    rows = table.read(folder / "metrics.csv")
    assert len(rows) == 3
    assert merged(folder) == rows
    found = read(files(folder)[0])
    metrics = result(folder)["metrics"]
    assert {name: found["summary"][name] for name in metrics} == metrics
    assert sorted(found["rows"][3]) == [f"plots/{name}" for name in ("confusion", "curves", "potentials", "raster")]
    assert found["config"] == yaml.safe_load((folder / "config.yaml").read_text())


def test_a_run_that_was_stopped_within_an_epoch_and_goes_on_has_all_rows_under_one_id(
    stopped_within_the_second_epoch: Callable[..., None], train: Callable[..., Path], tmp_path: Path
) -> None:
    words = (*RUN, "network.hidden=[32]", "plots=false", f"output_dir={tmp_path / 'run'}")
    stopped_within_the_second_epoch(*words)
    assert read(files(tmp_path / "run")[0])["exit"] == 1
    folder = train(*RUN)
    one, two = map(read, files(folder))
    assert one["id"] == two["id"]
    assert (len(one["rows"]), two["exit"]) == (1, 0)
    assert merged(folder) == table.read(folder / "metrics.csv") == list(two["rows"].values())
    assert (folder / "metrics.csv").read_bytes() == (train(*RUN, name="whole") / "metrics.csv").read_bytes()


def test_a_run_that_was_killed_and_goes_on_has_all_rows(train: Callable[..., Path], tmp_path: Path) -> None:
    words = (*RUN, "network.hidden=[32]", "plots=false", f"output_dir={tmp_path / 'run'}")
    process = subprocess.Popen([sys.executable, "-m", "snnlab", "train", *words], cwd=tmp_path)
    while not (tmp_path / "run" / "metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    folder = train(*RUN)
    assert merged(folder) == table.read(folder / "metrics.csv")
    assert len(merged(folder)) == 3
    assert len({file.name for file in files(folder)}) == 1  # run-<id>.wandb
