"""Hostile text files of a run's folder: config.yaml, result.json, overrides.txt, metrics.csv."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from snnlab.errors import BadData
from snnlab.training import table
from snnlab.training.plain import read_json, read_text, read_yaml

TAGGED = "!!python/object/apply:os.system ['touch canary.txt']"
IMPORTED = "!!python/object:canary.Thing {}"


def aliases(levels: int) -> str:
    """Lists of ten of the list before: a billion values in a few lines."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


def merges(levels: int) -> str:
    """The same with keys that are merged, which YAML does while it reads."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}" for n in range(1, levels)]
    return "\n".join(lines)


YAML = {
    "an object": f"neuron: {TAGGED}",
    "an object of a module": f"neuron: {IMPORTED}",
    "an object as a key": f"{TAGGED}: 1",
    "a module": "neuron: !!python/module:canary",
    "a name": "neuron: !!python/name:os.system",
    "aliases that multiply": aliases(30),
    "merges that multiply": merges(30),
    "a list that holds itself": "&a [*a]",
    "lists in lists": "neuron: " + "[" * 20_000,
    "dicts in dicts": "{a: " * 20_000,
    "blocks in blocks": "\n".join("  " * depth + "a:" for depth in range(700)),
    "two documents": "a: 1\n---\nb: 2",
    "no text": b"\xff\xfe\x00\x00\x9b",
    "a megabyte and more": "a: " + "x" * (1 << 21),
    "a number of many digits": "seed: " + "9" * 100_000,
    "bytes": "experiment: !!binary aGVsbG8=",
    "a date": "experiment: 2020-01-01",
    "a set": "neuron: !!set {lif}",
    "keys of several lines": '"a\\nb": 1',
    "an escape sequence": 'experiment: "\\e]0;evil\\a"',
    "nothing": "",
    "a list": "[]",
    "a text": "lif",
}

JSON = {
    "lists in lists": "[" * 100_000,
    "dicts in dicts": '{"a":' * 100_000,
    "a number of many digits": '{"metrics": {"test/accuracy": ' + "9" * 100_000 + "}}",
    "a text in place of a number": '{"metrics": {"test/accuracy": "high"}}',
    "a list": "[]",
    "no metrics": '{"id": "x"}',
    "no text": b"\xff\xfe\x00\x00\x9b",
    "a megabyte and more": " " * (1 << 21),
}


def put(name: str, content: str | bytes) -> Callable[[Path], None]:
    """An attack that writes one file of a run's folder."""

    def forge(run: Path) -> None:
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return forge


def alone(content: str | bytes) -> Callable[[Path], None]:
    """A config.yaml in a folder that has no checkpoint."""

    def forge(run: Path) -> None:
        put("config.yaml", content)(run)
        shutil.rmtree(run / "checkpoints")
        (run / "result.json").unlink()

    return forge


def result(**change: Any) -> Callable[[Path], None]:
    """The result of the harmless run with a change."""

    def forge(run: Path) -> None:
        told = json.loads((run / "result.json").read_text())
        (run / "result.json").write_text(json.dumps(told | change))

    return forge


def pipe(name: str) -> Callable[[Path], None]:
    """A named pipe in the place of a file."""

    def forge(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        os.mkfifo(run / name)

    return forge


def device(name: str) -> Callable[[Path], None]:
    """A link to a device without end in the place of a file."""

    def forge(run: Path) -> None:
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to("/dev/zero")

    return forge


@pytest.mark.parametrize("content", YAML.values(), ids=YAML)
def test_a_hostile_config_is_refused(content: str | bytes, refused: Any) -> None:
    refused(alone(content), ["resume", "resolved"])


def test_a_run_begins_anew_over_a_config_that_cannot_be_read(attacked: Any) -> None:
    assert attacked(alone(YAML["an object"]), ["again"])["again"].code == 0


@pytest.mark.parametrize("opened", ["an object", "an object of a module"])
def test_the_same_yaml_is_executed_where_it_is_opened_carelessly(opened: str, watched: Any, tmp_path: Path) -> None:
    (tmp_path / "canary.py").write_text("class Thing: pass\n")
    (tmp_path / "config.yaml").write_text(YAML[opened])
    counted = watched.open("careless", "yaml", str(tmp_path / "config.yaml"), cwd=str(tmp_path)).counted
    assert any("os.system" in event or "canary" in event for event in counted)


RESULTS = {
    **{name: put("result.json", content) for name, content in JSON.items()},
    "a checkpoint elsewhere": result(best_checkpoint="../../../../etc/passwd"),
    "a checkpoint of an absolute path": result(best_checkpoint="/etc/passwd"),
    "metrics of text": result(metrics={"test/accuracy": "x"}),
    "metrics with an escape sequence": result(metrics={"test/\x1b[2Jaccuracy": 1.0}),
    "seconds of text": result(seconds="long"),
    "a pipe": pipe("result.json"),
    "a device": device("result.json"),
}


@pytest.mark.parametrize("forge", RESULTS.values(), ids=RESULTS)
def test_a_hostile_result_is_refused(forge: Callable[[Path], None], refused: Any) -> None:
    refused(forge, ["resolved", "load"])


@pytest.mark.parametrize("forge", [pipe("result.json"), device("result.json"), put("result.json", JSON["no text"])])
def test_a_hostile_result_of_another_run_does_not_hide_one(
    forge: Callable[[Path], None], watched: Any, opens: Any, tmp_path: Path
) -> None:
    for name in ("runs/a/good", "runs/a/evil"):
        shutil.copytree(watched.home / "twin", tmp_path / name)
    forge(tmp_path / "runs/a/evil")
    beginning = json.loads((tmp_path / "runs/a/good/result.json").read_text())["id"][:8]
    opens("evaluate", beginning, like="evaluate", code=0, cwd=str(tmp_path))
    opens("evaluate", "0" * 8, like="evaluate", cwd=str(tmp_path))


@pytest.mark.parametrize("content", [b"\xff\xfe\x9b", b"x" * (1 << 21)], ids=["no text", "megabytes"])
def test_hostile_words_are_refused(content: bytes, refused: Any) -> None:
    refused(put("overrides.txt", content), ["resume", "resolved"])


TABLES = {
    "text": "epoch,loss\n0,high\n",
    "more cells than names": "epoch\n0,1,2\n",
    "a cell of a megabyte": "epoch\n" + "1" * (1 << 20) + "\n",
    "no text": b"epoch\n\xff\n",
    "a NUL": "epoch\n\x00\n",
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_a_hostile_table_is_refused(content: str | bytes, tmp_path: Path) -> None:
    """No command reads it, as the checkpoint has the rows; who reads it by hand gets a sentence."""
    path = tmp_path / table.NAME
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BadData, match=r"metrics\.csv: "):
        table.read(path)


@pytest.mark.parametrize(
    "name", ["config.yaml", "result.json", "overrides.txt", "log.txt", "metrics.csv", "wandb.json"]
)
@pytest.mark.parametrize("forge", [pipe, device])
def test_what_is_no_file_is_neither_waited_for_nor_read_to_its_end(
    name: str, forge: Callable[[str], Callable[[Path], None]], refused: Any
) -> None:
    refused(forge(name), ["resume"])


@pytest.mark.parametrize("read", [read_yaml, read_json, read_text])
def test_a_text_of_a_runs_folder_is_read(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text('{"a": [1, -2.5, true, null, "ü\\ntext"]}')
    assert read(path) == (path.read_text() if read is read_text else {"a": [1, -2.5, True, None, "ü\ntext"]})
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing")
    with pytest.raises(BadData, match="Is a directory"):
        read(tmp_path)


def test_what_a_run_writes_is_read(watched: Any) -> None:
    path = watched.home / "twin" / "config.yaml"
    assert read_yaml(path) == yaml.safe_load(path.read_text())
