"""`snnlab diff`: what differs between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def run(folder: Path, tau: float = 10.0, accuracy: float | None = 0.5, **facts: Any) -> None:
    """The folder of a run that is done."""
    config = {"experiment": None, "seed": 0, "output_dir": str(folder), "neuron": {"name": "lif", "tau": tau}}
    result = {
        "id": f"{tau}{folder.name}",
        "metrics": {"test/accuracy": accuracy},
        "seconds": 10.0,
        "epochs": 5,
        "best_epoch": 4,
        "versions": {"torch": "2.12.0"},
        "git": {"commit": "a" * 40, "dirty": False},
        "device": "cpu",
        "config": config,
    }
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(json.dumps(config))
    (folder / "overrides.txt").write_text("")
    (folder / "result.json").write_text(json.dumps(result | facts))


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """Two runs, in runs/a and runs/b."""
    run(tmp_path / "runs" / "a")
    changed = {"versions": {"torch": "2.13.0"}, "git": {"commit": "b" * 40, "dirty": True}, "device": "cuda:0"}
    run(tmp_path / "runs" / "b", 5.0, 0.75, seconds=12.5, best_epoch=3, **changed)
    return tmp_path


def test_options_versions_and_outcome_are_shown_side_by_side(snnlab: Any, two: Path) -> None:
    ran = snnlab("diff", "runs/a", "runs/b")
    assert (ran.code, ran.err) == (0, "")
    assert [line.split() for line in ran.out.splitlines()[3:]] == [
        ["option", "1", "2"],
        ["neuron.tau", "10", "5"],
        [],
        ["made", "with", "1", "2"],
        ["torch", "2.12.0", "2.13.0"],
        ["git", "aaaaaaaaaaaa", "bbbbbbbbbbbb", "and", "changes"],
        ["device", "cpu", "cuda:0"],
        [],
        ["1", "2", "difference"],
        ["test/accuracy", "0.5000", "0.7500", "+0.2500"],
        ["best_epoch", "4", "3", "-1"],
        ["epochs", "5", "5", "0"],
        ["seconds", "10.0", "12.5", "+2.5"],
    ]


def test_json_has_the_same(snnlab: Any, two: Path) -> None:
    found = json.loads(snnlab("diff", "--json", "runs/a", "runs/b").out)
    assert found["options"] == {"neuron.tau": ["10", "5"]}
    assert found["metrics"] == {"test/accuracy": [0.5, 0.75, 0.25]}
    assert found["seconds"] == [10.0, 12.5, 2.5]
    assert [each["folder"] for each in found["runs"]] == ["runs/a", "runs/b"]


def test_the_same_experiment_is_told(snnlab: Any, two: Path) -> None:
    out = snnlab("diff", "runs/a", "runs/a").out
    assert "their ids are equal" in out
    assert "no option differs" in out


@pytest.mark.parametrize("name", ["runs/b", "runs/b/checkpoints/best.ckpt", "runs/b/result.json", "last", "5.0b"])
def test_a_run_is_found_by_any_of_its_names(snnlab: Any, two: Path, name: str) -> None:
    (two / "runs" / "b" / "checkpoints").mkdir()
    (two / "runs" / "b" / "checkpoints" / "best.ckpt").write_bytes(b"")
    ran = snnlab("diff", "runs/a", name)
    assert ran.code == 0, ran.err
    assert "2: runs/b (completed" in ran.out


def test_a_run_that_has_not_ended_is_compared_by_its_options(snnlab: Any, two: Path) -> None:
    (two / "runs" / "b" / "result.json").unlink()
    out = snnlab("diff", "runs/a", "runs/b").out
    assert "(waiting)" in out
    assert ["neuron.tau", "10", "5"] in [line.split() for line in out.splitlines()]


def test_an_option_that_one_run_lacks_is_a_dash(snnlab: Any, two: Path) -> None:
    run(two / "runs" / "c", config={"seed": 0, "neuron": {"name": "li"}, "experiment": None})
    lines = [line.split() for line in snnlab("diff", "runs/a", "runs/c").out.splitlines()]
    assert ["neuron", "lif", "li"] in lines
    assert ["neuron.tau", "10", "-"] in lines


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["runs/a"], 2, "It takes two"),
        (["runs/a", "runs/b", "runs/a"], 2, "It takes two"),
        (["runs/a", "runs/b", "--jsn"], 2, "Did you mean --json?"),
        (["runs/a", "nix"], 1, "there is no such run"),
        (["runs/a", "runs"], 1, "it is no run's folder"),
        (["runs/a", "runs/broken"], 1, "cannot be read"),
    ],
)
def test_what_is_wrong_is_told(snnlab: Any, two: Path, words: list[str], code: int, said: str) -> None:
    (two / "runs" / "broken").mkdir()
    (two / "runs" / "broken" / "result.json").write_text("{")
    ran = snnlab("diff", *words)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


def test_a_strangers_words_do_not_reach_the_terminal_as_they_are(snnlab: Any, two: Path) -> None:
    run(two / "runs" / "c\x1b[2J", versions={"torch": "\u202e"}, device="\x9b")
    ran = snnlab("diff", "runs/a", "runs/c\x1b[2J")
    assert all(letter.isprintable() or letter == "\n" for letter in ran.out + ran.err)
